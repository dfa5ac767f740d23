/* instructions_built.c: see instructions.h. Compiled with the flags of kernels/cpu, and for that reason data alone: it
   is read on processors that cannot run what those flags allow. */
#include "kernels/host/instructions.h"

#define TEXT(value)      #value
#define ROW(name, macro) TEXT(macro),
const char *const instructions_built[] = {INSTRUCTION_SETS(ROW)};
