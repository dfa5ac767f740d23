/* interval.h: the 95 % interval of a mean over dialogues and training runs (seeds), every run measured on the same
   dialogues. How far the mean might be off has two parts, which are added up: that of other dialogues, from the spread
   of the dialogues' means, and that of other seeds, from the spread of the runs' means. Noise of single values is
   counted in both, so that the interval errs to the wide side. Because runs are few, Student's t takes the place of the
   normal quantile, with the degrees of freedom by Satterthwaite ("An approximate distribution of estimates of variance
   components", 1946). Pure functions. */
#ifndef TOOLS_TABLE_INTERVAL_H
#define TOOLS_TABLE_INTERVAL_H

struct interval {
    double value;     /* the mean; NaN: there was no value */
    double low, high; /* both are the value where neither dialogues nor runs are more than one */
};
/* Computes the interval of values [runs, dialogues], of which those that are NaN do not count. With one run it holds
   for other dialogues alone, and with one dialogue for other runs alone. */
struct interval interval_of(const double *values, int runs, int dialogues);
/* Two-sided 95 % quantile of Student's t with `freedom` degrees, at least 1. */
double interval_student(double freedom);

#endif
