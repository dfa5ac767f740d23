/* regions.c: see regions.h. gcc turns "omp parallel" into a call of GOMP_parallel. When a program has a
   function of that name, the linker gives it to all libraries in place of the runtime's, so that every
   call passes here on its way. */
#include "tools/bench/regions.h"

#include <dlfcn.h>
#include <stdatomic.h>

typedef void region_start(void (*body)(void *), void *data, unsigned threads, unsigned flags);
region_start GOMP_parallel;

static atomic_long entered;

long regions_entered(void) { return entered; }

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags) {
    static region_start *_Atomic next;
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "GOMP_parallel");
    atomic_fetch_add_explicit(&entered, 1, memory_order_relaxed);
    next(body, data, threads, flags);
}
