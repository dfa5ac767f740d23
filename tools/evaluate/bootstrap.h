/* bootstrap.h: intervals for figures, which tell how far a figure might be off had other dialogues been taken.
   Dialogues are drawn again with replacement, as many as there are, and the figure is computed anew from each draw
   (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: the percentile interval). All figures are computed
   from the same draws, so that a difference between two students is judged dialogue by dialogue. Pure functions; the
   draws depend on seed and count alone. */
#ifndef TOOLS_EVALUATE_BOOTSTRAP_H
#define TOOLS_EVALUATE_BOOTSTRAP_H

#include <stdint.h>

enum { BOOTSTRAP_DRAWS = 1000 };

/* Writes `figures` numbers for the dialogues drawn[0 .. count-1] (numbers below count, some of them more than once). */
typedef void (*bootstrap_figures)(void *user, const int *drawn, int count, double *figures);

struct bootstrap_interval {
    double value;     /* the figure over all dialogues, each once */
    double low, high; /* ends of the 95 % interval; both are the value where there are fewer than two dialogues */
};
/* Computes the intervals out [figures]. A draw in which a figure is NaN (nothing to measure there) does not count for
   that figure. ERR_DEVICE: out of memory. */
int bootstrap(uint64_t seed, int count, bootstrap_figures compute, void *user, struct bootstrap_interval *out,
              int figures);

#endif
