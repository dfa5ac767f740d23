/* instructions_built.c: see instructions.h. It is compiled with the flags of kernels/cpu and holds only data, because
   it is read on processors that cannot run the code that those flags allow. */
#include "kernels/host/instructions.h"

#define TEXT(value)      #value
#define ROW(name, macro) TEXT(macro),
const char *const instructions_built[] = {INSTRUCTION_SETS(ROW)};
