/* norm_rope.c: RMSNorm and rotation in one function. The definition does one after the other; backends whose kernels
   are bound by memory make it one pass. */
#include "kernels/kernels.h"
#include "kernels/device.h"

void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long y_stride, long normed_stride,
                          real eps) {
    KERNEL_SCOPE;
    long sample = n * H * D, stride = normed ? normed_stride : y_stride;
    elem *to = normed ? normed : y;
    for (long b = 0; b < B; b++) rmsnorm_forward(to + b * stride, rstd + b * n, x + b * sample, w, n, H * D, eps);
    rope_apply(y, to, cos, sin, B, n, H, D, stride, y_stride, 1);
}

void rmsnorm_rope_backward(elem *dx, long dx_stride, real *dw, const elem *dy, const elem *x, const real *rstd,
                           const elem *w, const real *cos, const real *sin, long B, long n, long H, long D) {
    KERNEL_SCOPE;
    for (long r = 0; r < B * n; r++) {
        long token = r % n, at = r * H * D;
        rope_apply(dx + r * dx_stride, dy + at, cos + token * (D / 2), sin + token * (D / 2), 1, 1, H, D, 0, 0, -1);
        rmsnorm_backward(dx + r * dx_stride, dw, dx + r * dx_stride, x + at, rstd + r, w, 1, H * D);
    }
}
