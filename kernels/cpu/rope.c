/* rope.c: rotary positions on three axes (Su 2021; Wan's order of pairs). Pair j of a head is (2j, 2j + 1); its angle
   is in the table (ref/rope_table.c). */
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/turn.h"
#include "kernels/cpu/widen.h"

void rope_apply(elem *y, const elem *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
                long y_stride, int sign) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < B * n; row++) {
        long b = row / n, i = row % n, table = i * (D / 2);
        const elem *in = x + b * x_stride + i * H * D;
        elem *out = y + b * y_stride + i * H * D;
        for (long d = 0; d < D; d += LANES) {
            struct turn t = turn_load(cos + table + d / 2, sin + table + d / 2, (D - d) / 2, (float)sign);
            for (long h = 0; h < H; h++)
                elem_store_some(out + h * D + d, turn_apply(t, elem_load_some(in + h * D + d, D - d)), D - d);
        }
    }
}

void rope_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, const real *cos,
                const real *sin, long n, long H, long D) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++)
        for (long d = 0; d < D; d += LANES) {
            struct turn t = turn_load(cos + i * (D / 2) + d / 2, sin + i * (D / 2) + d / 2, (D - d) / 2, 1);
            for (long head = i * H; head < (i + 1) * H; head++) {
                vec v = codes_load_some(codes + head * D + d, type, D - d) * scale[head];
                elem_store_some(y + head * D + d, turn_apply(t, v), D - d);
            }
        }
}

void rope_add_inverse(real *y, const real *x, const real *cos, const real *sin, long B, long n, long H, long D,
                      long x_stride, long y_stride) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < B * n; row++) {
        long b = row / n, i = row % n, table = i * (D / 2);
        const real *in = x + b * x_stride + i * H * D;
        real *out = y + b * y_stride + i * H * D;
        for (long d = 0; d < D; d += LANES) {
            struct turn t = turn_load(cos + table + d / 2, sin + table + d / 2, (D - d) / 2, -1);
            for (long h = 0; h < H; h++) {
                vec turned = turn_apply(t, vec_load_some(in + h * D + d, D - d));
                vec_store_some(out + h * D + d, vec_load_some(out + h * D + d, D - d) + turned, D - d);
            }
        }
    }
}
