/* figures.h: a source's figures with the codec's copy of the truth as the yardstick: data set, discriminator and
   student know that copy alone, and what it lacks no student can have. Where a figure is a ratio its value over the
   drawing stands beside it. Each comes with a bootstrap's interval over dialogues, and so do differences between two
   sources of the same dialogues. docs/evaluation.md says what each figure is. */
#ifndef TOOLS_EVALUATE_FIGURES_H
#define TOOLS_EVALUATE_FIGURES_H

#include "tools/evaluate/bootstrap.h"
#include "tools/evaluate/trial.h"

struct figure {
    const char *name;
    /* NaN where there is nothing to measure. over: the yardstick's totals of the same dialogues. */
    double (*of)(const struct source_totals *totals, const struct source_totals *over, int which);
    int which;
    int is_ratio; /* over another source; else the value stands for itself */
};
extern const struct figure figures[];
extern const int figure_count;

/* Sums of every dialogue by every source: of[dialogue * sources + source]; NULL where it was not made. */
struct figure_table {
    int dialogues, sources, copy, drawn; /* copy, drawn: which of the sources they are */
    const struct source_totals *const *of;
};
struct figure_pair { /* the difference a - b */
    int a, b;
};
/* over_copy [sources][figure_count], over_drawn [sources][figure_count], differences [pairs][figure_count] of
   over_copy. ERR_DEVICE: out of memory. */
int figures_compute(const struct figure_table *table, uint64_t seed, const struct figure_pair *pairs, int pair_count,
                    struct bootstrap_interval *over_copy, double *over_drawn, struct bootstrap_interval *differences);

#endif
