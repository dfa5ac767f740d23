/* tensor_stats.h: smallest, largest, mean and standard deviation of numbers that come in pieces (Welford's update). */
#ifndef TOOLS_TENSOR_STATS_H
#define TOOLS_TENSOR_STATS_H

#include <stddef.h>

struct tensor_stats {          /* starts as all zero */
    double min, max, mean, m2; /* over the finite values; m2: sum of squared deviations */
    size_t count, wrong;       /* number of finite values, of others */
};
void tensor_stats_add(struct tensor_stats *stats, const float *values, size_t count);
double tensor_stats_deviation(const struct tensor_stats *stats);
/* Writes "[-1, 1], mean 0.01, deviation 0.5" and, where there are any, ", 3 not finite". */
void tensor_stats_text(const struct tensor_stats *stats, char *text, size_t size);
/* Prints text of a file to stdout. Control characters become '?'. Where `lines` is not NULL newlines stay and are
   followed by `lines` (an indent), and a tab becomes two spaces. */
void print_clean(const char *text, const char *lines);

#endif
