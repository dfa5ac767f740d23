/* attention_merge.h: attention over several ranges from attention over each. */
#ifndef KERNELS_CUDA_ATTENTION_MERGE_H
#define KERNELS_CUDA_ATTENTION_MERGE_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* part [count, B, S, H, D], sums [count, B, H, S]: a range's own output and log-sum. lse = log sum exp of the sums,
   o = sum exp(sums - lse) part. */
void attention_merge(elem *o, real *lse, const elem *part, const real *sums, int count, long B, long S, long H, long D);

#ifdef __cplusplus
}
#endif

#endif
