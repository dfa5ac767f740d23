/* step_report.h: prints where a training step's time goes, by operation: milliseconds, calls, the rate reached, its
   share of the machine's limit, and the time that the step would gain if the operation ran at that limit. */
#ifndef TOOLS_BENCH_STEP_REPORT_H
#define TOOLS_BENCH_STEP_REPORT_H

#include "tools/bench/measure.h"
#include "tools/record/timed.h"

enum { STEP_KERNELS_MAX = 128 };
/* Times of one step: its seconds, its OpenMP regions and the times of its kernels. */
struct step_times {
    double seconds;
    long regions;
    int count;
    struct timed_entry entries[STEP_KERNELS_MAX];
};
/* The step to be timed runs between these two. step_times_end returns the device's first failure, or OK. */
void step_times_begin(struct step_times *t);
int step_times_end(struct step_times *t);
void step_times_print(const struct limits *limits, const struct step_times *t);

#endif
