/* regions.h: counts the OpenMP regions that this process has entered, in our code and in libraries; each costs its
   threads a start and a wait for the slowest. They are counted where the runtime is gcc's; elsewhere the count is 0. */
#ifndef TOOLS_BENCH_REGIONS_H
#define TOOLS_BENCH_REGIONS_H

long regions_entered(void);

#endif
