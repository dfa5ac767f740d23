/* figures.h: a source's figures, with the codec's copy of the truth as the yardstick: data set, discriminator and
   student know only that copy, and no student can have what it lacks. Where a figure is a ratio its value over the
   drawing stands beside it. Each comes with a bootstrap interval over dialogues, and so do differences between two
   sources of the same dialogues. docs/evaluation.md says what each figure is. */
#ifndef TOOLS_EVALUATE_FIGURES_H
#define TOOLS_EVALUATE_FIGURES_H

#include "tools/evaluate/bootstrap.h"
#include "tools/evaluate/trial.h"

struct figure {
    const char *name;
    /* Computes the figure; NaN where nothing can be measured. over: the yardstick's totals of the same dialogues. */
    double (*of)(const struct source_totals *totals, const struct source_totals *over, int which);
    int which;
    int is_ratio; /* 1: a ratio to another source; 0: the value stands for itself */
};
extern const struct figure figures[];
extern const int figure_count;

/* Sums of every dialogue by every source, of[dialogue * sources + source]; NULL where it was not made. */
struct figure_table {
    int dialogues, sources, copy, drawn; /* copy, drawn: numbers of those sources */
    const struct source_totals *const *of;
};
struct figure_pair { /* the difference a - b */
    int a, b;
};
/* Computes the figures over the copy and over the drawing, [sources][figure_count] each, and differences between
   sources of those over the copy, [pairs][figure_count]. ERR_DEVICE: out of memory. */
int figures_compute(const struct figure_table *table, uint64_t seed, const struct figure_pair *pairs, int pair_count,
                    struct bootstrap_interval *over_copy, double *over_drawn, struct bootstrap_interval *differences);

#endif
