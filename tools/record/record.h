/* record.h: the dry run. Between dry_begin and dry_end this process's calls of kernels are counted and not made. It
   works in programs that are linked with DRY_WRAP (make/tests.mk), by which the linker leads every call of a kernel to
   a function in record.c first. Device memory is addresses without memory behind them, so that a network of any size
   fits; a kernel that record.c does not know ends the program at its first access. One thread. Where no dry run is on,
   calls are made, and timed where that was asked for (timed.h). */
#ifndef TOOLS_RECORD_RECORD_H
#define TOOLS_RECORD_RECORD_H

#include "tools/record/traffic.h"

/* Counts of one kernel's calls since the last dry_clear. */
struct dry_entry {
    const char *kernel;
    struct traffic traffic;
};
/* Begins a dry run. ERR_DEVICE: the system gives no addresses. */
int dry_begin(void);
void dry_end(void); /* memory that was allocated meanwhile must no longer be used */
void dry_clear(void);
struct traffic dry_sum(void);
/* Gets the i-th kernel, in the order of first calls; 0: there is none. */
int dry_entry(int i, struct dry_entry *entry);

#endif
