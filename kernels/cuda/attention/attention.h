/* attention.h: the ways to compute attention in this backend. kernels.h has the operation; attention.c chooses. */
#ifndef KERNELS_CUDA_ATTENTION_ATTENTION_H
#define KERNELS_CUDA_ATTENTION_ATTENTION_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sizes and operands of one call, as in kernels.h. */
struct attention {
    const struct attention_range *ranges; /* host array */
    int count;
    long B, S, H, D;
    real scale;
};

/* Kernels of our own in float arithmetic: any type, any D up to ATTENTION_HEAD_MAX. */
void attention_plain_forward(elem *o, real *lse, const elem *q, const struct attention *a);
/* delta [B, H, S] = sums over d of dout o, which attention_delta makes. */
void attention_plain_backward(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q,
                              const struct attention *a);
void attention_delta(real *delta, const elem *dout, const elem *o, long B, long S, long H, long D);

/* Kernels of our own on tensor cores. 1: they did it; 0: they do not take the problem (rows that are not aligned to 16
   bytes, heads wider than 128, float builds). */
int attention_mma_forward(elem *o, real *lse, const elem *q, const struct attention *a);
int attention_mma_backward(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q,
                           const struct attention *a);

/* cuDNN. 1: it did it, or failed and kept the failure; 0: it does not take the problem. */
int attention_cudnn_forward(elem *o, real *lse, const elem *q, const struct attention *a);
int attention_cudnn_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                             const struct attention *a);

#ifdef __cplusplus
}
#endif

#endif
