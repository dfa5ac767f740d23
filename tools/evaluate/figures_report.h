/* figures_report.h: writes figures (figures.h) as objects of report.json, whose keys docs/evaluation.md explains, and
   as a table for a reader. */
#ifndef TOOLS_EVALUATE_FIGURES_REPORT_H
#define TOOLS_EVALUATE_FIGURES_REPORT_H

#include <cjson/cJSON.h>

#include "tools/evaluate/figures.h"

/* An interval, whose value has the name `key`; a test against chance. */
cJSON *interval_json(const char *key, const struct bootstrap_interval *interval);
cJSON *chance_json(const struct chance_test *test);

/* "measures" of one source, from its rows [figure_count] of figures_compute's arrays. */
cJSON *figures_json(const struct bootstrap_interval *over_copy, const double *over_drawn);
/* Adds one more dialogue to the array of one figure in a source's "by_dialogue"; NaN becomes null. */
void dialogue_value_add(cJSON *source, const char *name, double value);
/* Adds one more dialogue to "by_dialogue" of one source: to every figure's array the figure of this dialogue alone,
   null where the source or the dialogue has none. */
void figures_dialogue_add(cJSON *source, const struct source_totals *totals, const struct source_totals *copy);
/* Differences between two sources, from their row [figure_count]. */
cJSON *figures_difference_json(const struct bootstrap_interval *differences);
/* "shifts" of one source: the control by cyclic shifts, [FOLLOWED]. */
cJSON *figures_shifts_json(const struct shift_sums *shifts);

/* "bands" of one source: deviation within a dialogue over the copy's, by region, from coarse to fine. */
cJSON *figures_bands_json(const struct latent_sums *source, const struct latent_sums *copy);
/* Adds to "frechet_scale" what a Frechet distance to the copy is by chance (halves of the copy) and at worst (a still
   picture). prefix: what the names of the figures begin with, "frechet_" or "feature_frechet_". */
void figures_scale_add(cJSON *scale, const char *prefix, const struct latent_sums *copy,
                       const struct latent_sums *halves);

/* Prints the figures that a reader looks at first: a line each, a column for each of column_count sources, whose
   numbers are `columns` and whose names `names`, and the interval of the last column. */
void figures_print(const struct bootstrap_interval *over_copy, const char *const *names, const int *columns,
                   int column_count);
/* Prints the differences of the same figures, [pairs, figure_count], a column for each pair, with a star where the
   interval excludes 0. */
void figures_print_differences(const struct bootstrap_interval *differences, const char *const *names, int pairs);

#endif
