/* libraries.c: in the shim's build NVIDIA's libraries take no problem, so that the own kernels do all the work; but
   attention to several ranges with an odd number of queries goes as cuDNN's does, range by range and merged, so that
   the merging runs too. */
#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/attention/attention_merge.h"
#include "kernels/cuda/convolution/conv.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/products/gemm_lt.h"
#include "kernels/device.h"

void gemm_lt_close(void) {}
void cudnn_close(void) {}

int gemm_lt(const struct gemm *g) { return (void)g, 0; }

int attention_cudnn_forward(elem *o, real *lse, const elem *q, const struct attention *a) {
    size_t rows = (size_t)(a->B * a->S * a->H), pitch = (size_t)attention_pitch(a->B, a->S, a->H);
    if (a->count < 2 || a->S % 2 == 0 || !lse) return 0;
    for (int r = 0; r < a->count; r++)
        if (a->ranges[r].length <= 0) return 0;
    elem *part = workspace_push(sizeof(elem) * rows * (size_t)(a->D * a->count));
    real *sums = part ? workspace_push(sizeof(real) * pitch * (size_t)a->count) : NULL;
    for (int r = 0; r < a->count && sums; r++) {
        struct attention one = *a;
        one.ranges = &a->ranges[r];
        one.count = 1;
        attention_plain_forward(part + (size_t)r * rows * (size_t)a->D, sums + (size_t)r * pitch, q, &one);
    }
    if (sums) attention_merge(o, lse, part, sums, a->count, a->B, a->S, a->H, a->D);
    workspace_pop(sums);
    workspace_pop(part);
    return 1;
}

int attention_cudnn_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                             const struct attention *a) {
    return (void)dq, (void)dout, (void)o, (void)lse, (void)q, (void)a, 0;
}

int conv_cudnn_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape,
                       real beta) {
    return (void)y, (void)x, (void)w, (void)b, (void)shape, (void)beta, 0;
}

int conv_cudnn_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    return (void)dx, (void)dy, (void)w, (void)shape, (void)beta, 0;
}

int conv_cudnn_backward_weight(real *dw, const elem *dy, const elem *x, const struct conv_shape *shape) {
    return (void)dw, (void)dy, (void)x, (void)shape, 0;
}

int conv_cudnn_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    return (void)y, (void)x, (void)w, (void)b, (void)shape, 0;
}
