/* figures_report.h: figures (figures.h) as objects of report.json and as a table for a reader. Keys: docs/evaluation.md. */
#ifndef TOOLS_EVALUATE_FIGURES_REPORT_H
#define TOOLS_EVALUATE_FIGURES_REPORT_H

#include <cjson/cJSON.h>

#include "tools/evaluate/figures.h"

/* "measures" of one source: of figures.h's arrays, its row [figure_count] each. */
cJSON *figures_json(const struct bootstrap_interval *over_copy, const double *over_drawn);
/* Differences between two sources: row [figure_count]. */
cJSON *figures_difference_json(const struct bootstrap_interval *differences);
/* "shifts" of one source: the control by cyclic shifts, [FOLLOWED]. */
cJSON *figures_shifts_json(const struct shift_sums *shifts);

/* Prints the figures that a reader looks at first: a line each, a column for each of `columns` sources (numbers of the
   table's sources, named by `names`), and the last column's interval. */
void figures_print(const struct bootstrap_interval *over_copy, const char *const *names, const int *columns,
                   int column_count);

#endif
