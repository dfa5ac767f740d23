/* rope.c: rotary positions on three axes (Su 2021; Wan's order of pairs), as the definition. Pair j of a head is
   (2j, 2j + 1); its angle is in the table (rope_table.c). */
#include "kernels/kernels.h"
#include "kernels/device.h"

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

void rope_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, const real *cos,
                const real *sin, long n, long H, long D) {
    KERNEL_SCOPE;
    for (long i = 0; i < n * H; i++) { /* token i / H, head i % H */
        const uint8_t *in = codes + i * D;
        elem *out = y + i * D;
        for (long j = 0; j < D / 2; j++) {
            real c = cos[i / H * (D / 2) + j], s = sin[i / H * (D / 2) + j];
            real u = scale[i] * (real)quantised_value(in[2 * j], type);
            real v = scale[i] * (real)quantised_value(in[2 * j + 1], type);
            out[2 * j] = elem_store(u * c - v * s);
            out[2 * j + 1] = elem_store(u * s + v * c);
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
