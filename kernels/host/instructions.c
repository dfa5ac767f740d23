/* instructions.c: see instructions.h. Compiled without the flags of kernels/cpu. */
#include "kernels/host/instructions.h"

#include <stddef.h>
#include <string.h>

const char *instructions_missing(const char *const *built) {
#ifdef __x86_64__
#define CHECK(name, macro)                                                                                             \
    if (!strcmp(*built++, "1") && !__builtin_cpu_supports(name)) return name;
    INSTRUCTION_SETS(CHECK)
#else
    (void)built;
#endif
    return NULL;
}
