/* failure.h: keeps the first failure of kernels and copies, which return nothing, until somebody asks. It serves
   device.c of every backend; there is one store for the process, thread-safe. */
#ifndef KERNELS_FAILURE_H
#define KERNELS_FAILURE_H

#include <stdarg.h>

/* Counts a failure, and keeps its text if it is the first since failure_take. */
void failure_keep(const char *format, va_list list);
/* Returns ERR_DEVICE with the kept text, and forgets it; OK: there was no failure. */
int failure_take(void);

#endif
