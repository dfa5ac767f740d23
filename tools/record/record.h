/* record.h: the dry run: between dry_begin and dry_end the kernels' calls of this process are counted and not made.
   It works in programs that are linked with DRY_WRAP (make/tests.mk), by which the linker leads every call of a kernel
   to the function of its name in record.c first. Device memory is addresses without memory behind them: a network of
   any size passes, and a kernel that nobody counts ends the program at its first access. One thread. Where no dry run
   is on, the calls are made, and timed where that was asked for (timed.h). */
#ifndef TOOLS_RECORD_RECORD_H
#define TOOLS_RECORD_RECORD_H

#include "tools/record/traffic.h"

/* What one kernel was called for since the last dry_clear. */
struct dry_entry {
    const char *kernel;
    struct traffic traffic;
};
/* ERR_DEVICE: no addresses to be had. */
int dry_begin(void);
void dry_end(void); /* what was allocated meanwhile must no longer be used */
void dry_clear(void);
struct traffic dry_sum(void);
/* The i-th kernel, in the order of their first calls; 0: there is none. */
int dry_entry(int i, struct dry_entry *entry);

#endif
