/* regions.c: see regions.h. gcc turns "omp parallel" into a call of GOMP_parallel. A program's own function of that
   name comes before the runtime's in every library's eyes, so that all their calls pass here on their way. */
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
