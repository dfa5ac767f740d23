/* norm_rope.c: RMSNorm (norms.c) and rotation (turn.h) in one pass: a row is read from memory once and stays in the
   first cache between the norm's sum and what follows it. A token's angles are loaded once for all its heads. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/row_sums.h"
#include "kernels/cpu/turn.h"

/* A token's row: H heads of width D, and its angles. */
struct token {
    long H, D;
    const real *cos, *sin;
};
static struct token token_of(const real *cos, const real *sin, long i, long H, long D) {
    return (struct token){H, D, cos + i * (D / 2), sin + i * (D / 2)};
}
SIMD struct turn turn_at(const struct token *t, long j, float sign) {
    return turn_load(t->cos + j / 2, t->sin + j / 2, (t->D - j) / 2, sign);
}

static float row_squares(const elem *x, long d) {
    vec squares = {0};
    for (long i = 0; i < d; i += LANES) {
        vec v = elem_load_some(x + i, d - i);
        squares += v * v;
    }
    return vec_sum(squares);
}

/* normed = x scale w (NULL: not wanted), y = rotate(normed), from the stored numbers, as
   when the cache rotates its keys later. */
static void forward_row(elem *y, elem *normed, const elem *x, const elem *w, float scale, const struct token *t) {
    for (long j = 0; j < t->D; j += LANES) {
        struct turn turn = turn_at(t, j, 1);
        for (long h = 0; h < t->H; h++) {
            long i = h * t->D + j, left = t->D - j;
            vec v = elem_rounded(elem_load_some(x + i, left) * scale * elem_load_some(w + i, left));
            if (normed) elem_store_some(normed + i, v, left);
            elem_store_some(y + i, turn_apply(turn, v), left);
        }
    }
}

void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long y_stride, long normed_stride,
                          real eps) {
    KERNEL_SCOPE;
    long d = H * D;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < B * n; r++) {
        struct token token = token_of(cos, sin, r % n, H, D);
        long at = r % n * d;
        rstd[r] = 1 / sqrtf(row_squares(x + r * d, d) / (float)d + eps);
        forward_row(y + r / n * y_stride + at, normed ? normed + r / n * normed_stride + at : NULL, x + r * d, w,
                    rstd[r], &token);
    }
}

/* Mean over the row of (dy rotated back) w x rstd; also adds to dw [d] (NULL: not wanted). */
static float mean_product(float *dw, const elem *dy, const elem *x, float rstd, const elem *w, const struct token *t) {
    vec product = {0};
    for (long j = 0; j < t->D; j += LANES) {
        struct turn turn = turn_at(t, j, -1);
        for (long h = 0; h < t->H; h++) {
            long i = h * t->D + j, left = t->D - j;
            vec g = turn_apply(turn, elem_load_some(dy + i, left)), xh = elem_load_some(x + i, left) * rstd;
            product += g * elem_load_some(w + i, left) * xh;
            if (dw) vec_store_some(dw + i, vec_load_some(dw + i, left) + g * xh, left);
        }
    }
    return vec_sum(product) / (float)(t->H * t->D);
}

/* Writes a row of dx. dx may be dy: each number of dy is read once more, just before the same one of dx is written. */
static void backward_row(elem *dx, float *dw, const elem *dy, const elem *x, float rstd, const elem *w,
                         const struct token *t) {
    float mean = mean_product(dw, dy, x, rstd, w, t);
    for (long j = 0; j < t->D; j += LANES) {
        struct turn turn = turn_at(t, j, -1);
        for (long h = 0; h < t->H; h++) {
            long i = h * t->D + j, left = t->D - j;
            vec g = turn_apply(turn, elem_load_some(dy + i, left)), xh = elem_load_some(x + i, left) * rstd;
            elem_store_some(dx + i, rstd * (g * elem_load_some(w + i, left) - xh * mean), left);
        }
    }
}

void rmsnorm_rope_backward(elem *dx, long dx_stride, real *dw, const elem *dy, const elem *x, const real *rstd,
                           const elem *w, const real *cos, const real *sin, long B, long n, long H, long D) {
    KERNEL_SCOPE;
    long d = H * D;
    struct row_sums sums = row_sums_open(d);
    if (!sums.at) return;
#pragma omp parallel
    {
        float *own = dw ? row_sums_own(&sums) : NULL;
#pragma omp for schedule(static)
        for (long r = 0; r < B * n; r++) {
            struct token token = token_of(cos, sin, r % n, H, D);
            backward_row(dx + r * dx_stride, own, dy + r * d, x + r * d, rstd[r], w, &token);
        }
    }
    row_sums_add(dw, &sums, 0, d);
    row_sums_close();
}
