/* rope.c: rotary positions on three axes (Su 2021; Wan's order of pairs), as the definition. Pair j of a head is
   (2j, 2j + 1); the first pairs_t pairs turn by the frame, then pairs_h by the row, pairs_w by the column. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

/* Angles of one axis into a token's table row from pair `first` on. */
static void axis_angles(real *c, real *s, int first, int pairs, double theta, double position) {
    for (int k = 0; k < pairs; k++) {
        double angle = position * pow(theta, -(double)k / pairs);
        c[first + k] = (real)cos(angle);
        s[first + k] = (real)sin(angle);
    }
}

void rope_table(real *cos, real *sin, const struct rope_axes *axes, const int *frame_position, int frames, int ph,
                int pw) {
    KERNEL_SCOPE;
    long half = axes->head_dim / 2, token = 0;
    for (int f = 0; f < frames; f++) {
        for (int h = 0; h < ph; h++) {
            for (int w = 0; w < pw; w++, token++) {
                real *c = cos + token * half, *s = sin + token * half;
                axis_angles(c, s, 0, axes->pairs_t, axes->theta_t, frame_position[f]);
                axis_angles(c, s, axes->pairs_t, axes->pairs_h, axes->theta_hw, h);
                axis_angles(c, s, axes->pairs_t + axes->pairs_h, axes->pairs_w, axes->theta_hw, w);
            }
        }
    }
}

void rope_apply(elem *y, const elem *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
                long y_stride, int sign) {
    KERNEL_SCOPE;
    for (long b = 0; b < B; b++) {
        for (long i = 0; i < n * H; i++) { /* token i / H, head i % H */
            const elem *in = x + b * x_stride + i * D;
            elem *out = y + b * y_stride + i * D;
            for (long j = 0; j < D / 2; j++) {
                real c = cos[i / H * (D / 2) + j], s = sign * sin[i / H * (D / 2) + j];
                real u = elem_load(in[2 * j]), v = elem_load(in[2 * j + 1]);
                out[2 * j] = elem_store(u * c - v * s);
                out[2 * j + 1] = elem_store(u * s + v * c);
            }
        }
    }
}

void rope_add_inverse(real *y, const real *x, const real *cos, const real *sin, long B, long n, long H, long D,
                      long x_stride, long y_stride) {
    KERNEL_SCOPE;
    for (long b = 0; b < B; b++) {
        for (long i = 0; i < n * H; i++) {
            const real *in = x + b * x_stride + i * D;
            real *out = y + b * y_stride + i * D;
            for (long j = 0; j < D / 2; j++) {
                real c = cos[i / H * (D / 2) + j], s = sin[i / H * (D / 2) + j];
                real u = in[2 * j], v = in[2 * j + 1];
                out[2 * j] += u * c + v * s;
                out[2 * j + 1] += v * c - u * s;
            }
        }
    }
}
