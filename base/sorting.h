/* sorting.h: sorts plain numbers, from the least to the largest. */
#ifndef BASE_SORTING_H
#define BASE_SORTING_H

#include <stddef.h>

/* Sort `count` values in place. None may be a NaN, which has no place in an order. */
void sort_floats(float *values, size_t count);
void sort_doubles(double *values, size_t count);

#endif
