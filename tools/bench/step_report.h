/* step_report.h: where a training step's time goes, by operation: milliseconds, calls, the rate reached, its share of
   the machine's limit and what the step would gain if the operation ran at that limit. */
#ifndef TOOLS_BENCH_STEP_REPORT_H
#define TOOLS_BENCH_STEP_REPORT_H

#include "tools/bench/measure.h"
#include "tools/record/timed.h"

enum { STEP_KERNELS_MAX = 128 };
/* One step: its seconds, its OpenMP regions and what its kernels took. */
struct step_times {
    double seconds;
    long regions;
    int count;
    struct timed_entry entries[STEP_KERNELS_MAX];
};
/* Between these two a step is made. step_times_end has the device's first failure. */
void step_times_begin(struct step_times *t);
int step_times_end(struct step_times *t);
void step_times_print(const struct limits *limits, const struct step_times *t);

#endif
