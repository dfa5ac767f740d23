/* measure.h: how benchmarks time a call and what they hold it against. A call is run until there are enough runs
   or its time box is used up; the median counts. Limits are measured: multiply-adds in registers, a streaming copy.
   Times include the device's end. Every figure is printed when it is there. */
#ifndef TOOLS_BENCH_MEASURE_H
#define TOOLS_BENCH_MEASURE_H

#include "kernels/types.h"

enum { BENCH_RUNS_MIN = 5, BENCH_RUNS_MAX = 64 };
struct series {
    double opened, start, begun,
        times[BENCH_RUNS_MAX]; /* opened: before the first run; start: before the first that counts */
    int count;                 /* below 0: the first run, which is not counted, is still to come */
};
/* The time box of every series from here on, in seconds: no further run begins after it, and where it ends in the first
   run, that one counts. So a call that takes longer than the box is made once. 0, at first: no box. */
void bench_time_box(double seconds);
/* Processor time of the process instead of wall time: for one thread on a machine that others use too. */
void bench_use_processor_time(void);
double bench_now(void);                        /* seconds */
double bench_median(double *times, int count); /* sorts them */
struct series series_start(void);
/* Condition of the loop whose body is measured: notes the last run's time; 0 when there were enough. */
int series_next(struct series *s);
double series_median(struct series *s); /* seconds */

/* Flop/s and byte/s that are called 100 %. 0: not yet known. */
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

/* Device arrays of `size` numbers, filled with small normals, that every operation takes its operands from. */
struct operands {
    long size;
    elem *e[5];
    real *r[4];
};
int operands_open(struct operands *o, long size);
void operands_close(struct operands *o);
/* The arithmetic units' own rate (kernels/peak.h); square matrix products of a quarter, a half and all of `edge`, whose
   square operands hold, against it; and a copy. Where the first is not known the fastest product stands for it.
   edge 0: no products where it is known. */
void measure_limits(struct limits *limits, const struct operands *o, long edge);

/* Prints who served what since the last time (kernels/served.h): own kernels, and what was refused on the way, have a
   reason. Nothing where the backend has one way for everything. */
void bench_served(void);

#endif
