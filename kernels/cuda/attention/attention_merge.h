/* attention_merge.h: merges attention over each of several ranges into attention over all. */
#ifndef KERNELS_CUDA_ATTENTION_ATTENTION_MERGE_H
#define KERNELS_CUDA_ATTENTION_ATTENTION_MERGE_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* lse = log of the sum over ranges of exp(sums), o = the sum over ranges of exp(sums - lse) part. part [count, B, S, H,
   D] is each range's own output, sums its own log-sums, [B, H, S] for each range, attention_pitch numbers apart. */
void attention_merge(elem *o, real *lse, const elem *part, const real *sums, int count, long B, long S, long H, long D);
/* Numbers between the sums of two ranges, so that all start at a multiple of 16 bytes, as the library is promised. */
static inline long attention_pitch(long B, long S, long H) { return (B * S * H + 3) / 4 * 4; }

#ifdef __cplusplus
}
#endif

#endif
