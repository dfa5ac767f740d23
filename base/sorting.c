/* sorting.c: see sorting.h. */
#include "base/sorting.h"

#include <stdlib.h>

static int by_float(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int by_double(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_floats(float *values, size_t count) { qsort(values, count, sizeof *values, by_float); }
void sort_doubles(double *values, size_t count) { qsort(values, count, sizeof *values, by_double); }
