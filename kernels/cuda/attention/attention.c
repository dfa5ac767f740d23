/* attention.c: attention of kernels.h: by cuDNN where it takes the problem, else by the own kernels, on tensor cores where
   rows are aligned. */
#include "kernels/cuda/attention/attention.h"
#include "kernels/device.h"

static int head_fits(long D) {
    if (D <= ATTENTION_HEAD_MAX) return 1;
    device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
    return 0;
}

void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale) {
    struct attention a = {ranges, count, B, S, H, D, scale};
    if (!head_fits(D) || B * S * H <= 0) return;
    if (attention_cudnn_forward(o, lse, q, &a) || attention_mma_forward(o, lse, q, &a)) return;
    attention_plain_forward(o, lse, q, &a);
}

void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale) {
    struct attention a = {ranges, count, B, S, H, D, scale};
    if (!head_fits(D) || B * S * H <= 0 || attention_cudnn_backward(dq, dout, o, lse, q, &a)) return;
    real *delta = workspace_push(sizeof(real) * (size_t)(B * S * H));
    if (!delta) return;
    attention_delta(delta, dout, o, B, S, H, D);
    if (!attention_mma_backward(dq, dout, lse, delta, q, &a)) attention_plain_backward(dq, dout, lse, delta, q, &a);
    workspace_pop(delta);
}
