/* sums.h: adds up structs of sums whose members are doubles alone. */
#ifndef TOOLS_EVALUATE_SUMS_H
#define TOOLS_EVALUATE_SUMS_H

#include <stddef.h>

/* to += from, number by number; both are structs of `bytes` bytes. */
static inline void sums_add(void *to, const void *from, size_t bytes) {
    double *sums = to;
    const double *more = from;
    for (size_t i = 0; i < bytes / sizeof *sums; i++) sums[i] += more[i];
}

#endif
