/* attention.c: chooses who computes attention (kernels.h): cuDNN where it takes the problem, otherwise kernels of our
   own, on tensor cores where rows are aligned. */
#include "kernels/cuda/attention/attention.h"
#include "kernels/device.h"
#include "kernels/served.h"

static int head_fits(long D) {
    if (D <= ATTENTION_HEAD_MAX) return 1;
    device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
    return 0;
}

static void served(const char *operation, const char *by, const struct attention *a) {
    long keys = 0;
    for (int r = 0; r < a->count; r++) keys += a->ranges[r].length;
    const long size[] = {a->B, a->S, keys, a->H, a->D, a->count};
    served_by(operation, by, sizeof size / sizeof *size, size);
}

void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale) {
    struct attention a = {ranges, count, B, S, H, D, scale};
    if (!head_fits(D) || B * S * H <= 0) return;
    if (attention_cudnn_forward(o, lse, q, &a)) return served("attention forward", "cuDNN", &a);
    if (attention_mma_forward(o, lse, q, &a)) return served("attention forward", "attention_mma.cu", &a);
    attention_plain_forward(o, lse, q, &a);
    served("attention forward", "attention_plain.cu", &a);
}

void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale) {
    struct attention a = {ranges, count, B, S, H, D, scale};
    if (!head_fits(D) || B * S * H <= 0) return;
    if (attention_cudnn_backward(dq, dout, o, lse, q, &a)) return served("attention backward", "cuDNN", &a);
    real *delta = workspace_push(sizeof(real) * (size_t)(B * S * H));
    if (!delta) return;
    attention_delta(delta, dout, o, B, S, H, D);
    int tensor_cores = attention_mma_backward(dq, dout, lse, delta, q, &a);
    if (!tensor_cores) attention_plain_backward(dq, dout, lse, delta, q, &a);
    served("attention backward", tensor_cores ? "attention_mma.cu" : "attention_plain.cu", &a);
    workspace_pop(delta);
}
