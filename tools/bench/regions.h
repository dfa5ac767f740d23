/* regions.h: how many OpenMP regions this process has entered, in our code and in the libraries': each costs its
   threads a start and a wait for the slowest. Counted where the compiler's runtime is gcc's; else 0. */
#ifndef TOOLS_BENCH_REGIONS_H
#define TOOLS_BENCH_REGIONS_H

long regions_entered(void);

#endif
