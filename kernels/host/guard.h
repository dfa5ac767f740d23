/* guard.h: in GUARD=1 builds, device memory that faults when it is touched outside kernel calls (device.h). Each block
   ends at a page that is never readable, so that most overruns fault as well. Safe to use from several host threads. */
#ifndef KERNELS_HOST_GUARD_H
#define KERNELS_HOST_GUARD_H

#include <stddef.h>

/* Memory aligned to 64 bytes; NULL: there is none left. guard_free takes what guard_alloc gave, or NULL. */
void *guard_alloc(size_t bytes);
void guard_free(void *pointer);

#endif
