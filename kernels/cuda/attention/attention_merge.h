/* attention_merge.h: attention over several ranges from attention over each. */
#ifndef KERNELS_CUDA_ATTENTION_ATTENTION_MERGE_H
#define KERNELS_CUDA_ATTENTION_ATTENTION_MERGE_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* part [count, B, S, H, D], sums [B, H, S] a range, attention_pitch numbers from one range's to the next's: a range's
   own output and log-sum. lse = log sum exp of the sums, o = sum exp(sums - lse) part. */
void attention_merge(elem *o, real *lse, const elem *part, const real *sums, int count, long B, long S, long H, long D);
/* Every range's sums start at a multiple of 16 bytes, as the library is promised. */
static inline long attention_pitch(long B, long S, long H) { return (B * S * H + 3) / 4 * 4; }

#ifdef __cplusplus
}
#endif

#endif
