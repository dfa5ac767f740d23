/* failure.h: what went wrong in kernels and copies, which return nothing: for device.c of every backend. One for the
   process, thread-safe. */
#ifndef KERNELS_FAILURE_H
#define KERNELS_FAILURE_H

#include <stdarg.h>

/* Counts a failure; its text is kept where it is the first since failure_take. */
void failure_keep(const char *format, va_list list);
/* ERR_DEVICE with the text that is kept, which is then forgotten; OK: there was no failure. */
int failure_take(void);

#endif
