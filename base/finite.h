/* finite.h: checks that values are finite numbers, as every reader does with weights,
   rows and sound before it hands them on. */
#ifndef BASE_FINITE_H
#define BASE_FINITE_H

#include <stddef.h>

/* Index of the first value that is infinite or no number; -1: there is none. */
long finite_fault(const float *values, size_t count);

#endif
