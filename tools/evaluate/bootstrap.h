/* bootstrap.h: how far a figure would be off had other dialogues been drawn: dialogues are drawn again with
   replacement, as many as there are, and the figure is computed anew from each draw (Efron and Tibshirani, "An
   Introduction to the Bootstrap", 1993: the percentile interval). Paired: whatever is compared sees the same draw, so
   that a difference between two students is judged dialogue by dialogue. Pure; the draws are a function of seed and
   count alone. */
#ifndef TOOLS_EVALUATE_BOOTSTRAP_H
#define TOOLS_EVALUATE_BOOTSTRAP_H

#include <stdint.h>

enum { BOOTSTRAP_DRAWS = 1000 };

/* Writes `figures` numbers for the dialogues drawn[0 .. count-1] (numbers below count, some of them more than once). */
typedef void (*bootstrap_figures)(void *user, const int *drawn, int count, double *figures);

struct bootstrap_interval {
    double value;     /* of all dialogues, each once */
    double low, high; /* 95 %; the value itself, twice, for fewer than two dialogues */
};
/* out [figures]. A figure that is NaN in a draw (nothing to measure there) is left out of its interval. ERR_DEVICE:
   out of memory. */
int bootstrap(uint64_t seed, int count, bootstrap_figures compute, void *user, struct bootstrap_interval *out,
              int figures);

#endif
