/* row_sums.h: sums over rows that are split over threads: each thread adds up a piece of its own (buffer.h), and the
   pieces are added up in the order of the threads: equal threads, equal bits. */
#ifndef KERNELS_CPU_ROW_SUMS_H
#define KERNELS_CPU_ROW_SUMS_H

#include <omp.h>
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/simd.h"

/* One piece [each] for each of `threads` threads; at == NULL: there was no memory, and a failure is kept. */
struct row_sums {
    float *at;
    long threads, each;
};
/* Opens pieces of n zeros for each thread; close it unless at == NULL. */
static inline struct row_sums row_sums_open(long n) {
    struct row_sums s = {NULL, omp_get_max_threads(), n};
    s.at = cpu_buffer_take(s.threads, &s.each);
    if (s.at) memset(s.at, 0, sizeof(float) * (size_t)(s.threads * s.each));
    return s;
}
/* The calling thread's piece. */
static inline float *row_sums_own(const struct row_sums *s) { return s->at + omp_get_thread_num() * s->each; }
/* Adds numbers from .. from + n - 1 of each piece to `to` [n], in the order of the threads; to NULL: does nothing. */
static inline void row_sums_add(real *to, const struct row_sums *s, long from, long n) {
    for (long t = 0; t < s->threads && to; t++)
        for (long i = 0; i < n; i++) to[i] += s->at[t * s->each + from + i];
}
static inline void row_sums_close(void) { cpu_buffer_give(); }

#endif
