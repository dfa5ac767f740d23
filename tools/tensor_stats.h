/* tensor_stats.h: smallest, largest, mean and standard deviation of numbers that come in pieces (Welford's update). */
#ifndef TOOLS_TENSOR_STATS_H
#define TOOLS_TENSOR_STATS_H

#include <stddef.h>

struct tensor_stats {          /* starts as all zero */
    double min, max, mean, m2; /* of the finite values */
    size_t count, wrong;       /* finite values; others */
};
void tensor_stats_add(struct tensor_stats *stats, const float *values, size_t count);
double tensor_stats_deviation(const struct tensor_stats *stats);
/* "[-1, 1], mean 0.01, deviation 0.5" and, when there are, ", 3 not finite". */
void tensor_stats_text(const struct tensor_stats *stats, char *text, size_t size);
/* Text of a file made printable: control characters become '?', newlines stay when `lines` is not NULL and are followed
   by it (an indent). To stdout. */
void print_clean(const char *text, const char *lines);

#endif
