/* measure.h: times a call for benchmarks, and measures the limits that it is held against: multiply-adds in registers
   and a streaming copy. A call is run until there are enough runs or its time box is used up; the median counts. Times
   last until the device is done. Every figure is printed as soon as it is known. */
#ifndef TOOLS_BENCH_MEASURE_H
#define TOOLS_BENCH_MEASURE_H

#include "kernels/types.h"

enum { BENCH_RUNS_MIN = 5, BENCH_RUNS_MAX = 64 };
struct series {
    double opened, start, begun;  /* seconds: before the first run; before the first that counts; before this one */
    double times[BENCH_RUNS_MAX]; /* seconds of each run that counts */
    int count;                    /* runs that count; below 0: the first, which does not, is still to come */
};
/* Sets the time box of every series from now on, in seconds; 0, as at first: no box. No run begins after it; where it
   ends in the first run, that one counts. So a call that takes longer than the box is made once. */
void bench_time_box(double seconds);
/* Measures processor time of the process instead of wall time, for one thread on a machine that others use too. */
void bench_use_processor_time(void);
double bench_now(void);                        /* seconds */
double bench_median(double *times, int count); /* sorts the times */
struct series series_start(void);
/* Is the condition of the loop whose body is measured: notes the time of the last run; 0: there were enough runs. */
int series_next(struct series *s);
double series_median(struct series *s); /* seconds */

/* Rates that count as 100 %, in operations and bytes a second; 0: not yet known. */
struct limits {
    double arithmetic, arithmetic_real, memory;
};
enum work { ARITHMETIC, ARITHMETIC_REAL, MEMORY };
/* Prints the median, the rate of `amount` operations or bytes, its share of the limit, and the number of runs when it
   is below BENCH_RUNS_MIN. Returns the rate. */
double bench_report(const struct limits *limits, struct series *s, const char *name, enum work work, double amount);
#define MEASURE(limits, name, work, amount, call)                                                                      \
    __extension__({                                                                                                    \
        struct series series_ = series_start();                                                                        \
        while (series_next(&series_)) call;                                                                            \
        bench_report(limits, &series_, name, work, amount);                                                            \
    })

/* Device arrays of `size` numbers, filled with small normals, from which every operation takes its operands. */
struct operands {
    long size;
    elem *e[5];
    real *r[4];
};
int operands_open(struct operands *o, long size);
void operands_close(struct operands *o);
/* Measures and prints the limits: the rate of the arithmetic units (kernels/peak.h), products of square matrices with a
   quarter, a half and all of `edge` rows, and a copy. Operands must hold edge x edge numbers. Where the first rate is
   not known the fastest product stands for it; edge 0: no products where it is known. */
void measure_limits(struct limits *limits, const struct operands *o, long edge);

/* Prints who served what since the last call (kernels/served.h), with the reason where the library refused and a kernel
   of our own did it. Prints nothing where the backend has one way for everything. */
void bench_served(void);

#endif
