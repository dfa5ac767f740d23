/* finite.c: see finite.h. */
#include "base/finite.h"

#include <math.h>

long finite_fault(const float *values, size_t count) {
    int all = 1;
    for (size_t i = 0; i < count; i++) all &= values[i] - values[i] == 0; /* one pass that vectorises */
    if (all) return -1;
    size_t i = 0;
    while (isfinite(values[i])) i++;
    return (long)i;
}
