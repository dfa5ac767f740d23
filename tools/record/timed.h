/* timed.h: the recorder's clock. Between timed_begin and timed_end every call of a kernel is made and waited for, and
   its time by the caller's clock is noted. A kernel that calls another is charged only with its own time. It works in
   programs that are linked as record.h says. One thread. */
#ifndef TOOLS_RECORD_TIMED_H
#define TOOLS_RECORD_TIMED_H

#include "tools/record/traffic.h"

/* Time and traffic of one kernel since timed_begin. */
struct timed_entry {
    const char *kernel;
    long calls;
    double seconds;
    double bytes, operations; /* counts as in traffic.h, but in bytes of this build */
};
void timed_begin(double (*clock_seconds)(void));
/* Ends it and returns the device's first failure meanwhile, or OK. */
int timed_end(void);
/* Gets the i-th kernel, in the order of first calls; 0: there is none. */
int timed_entry(int i, struct timed_entry *entry);

/* For record.c, which calls these around every call of a kernel. */
int timed_on(void);
void timed_open(void);
void timed_close(const char *kernel, struct numbers in, struct numbers out, double operations);

#endif
