/* timed.h: the recorder's clock: between timed_begin and timed_end the kernels' calls of this process are made, each
   waited for, and its time by the caller's clock noted. A kernel that calls another has the time of its own alone.
   Works in programs that are linked as record.h says. One thread. */
#ifndef TOOLS_RECORD_TIMED_H
#define TOOLS_RECORD_TIMED_H

#include "tools/record/traffic.h"

/* What one kernel took since timed_begin. */
struct timed_entry {
    const char *kernel;
    long calls;
    double seconds;
    double bytes, operations; /* as traffic.h counts them, in bytes of this build */
};
void timed_begin(double (*clock_seconds)(void));
/* The device's first failure meanwhile. */
int timed_end(void);
/* The i-th kernel, in the order of their first calls; 0: there is none. */
int timed_entry(int i, struct timed_entry *entry);

/* For record.c: around every call. */
int timed_on(void);
void timed_open(void);
void timed_close(const char *kernel, struct numbers in, struct numbers out, double operations);

#endif
