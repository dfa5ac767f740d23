/* length_norm.c: the norm over channels of video autoencoders and the softmax of their attention. Rows are split over
   threads; a row is read from memory once. Wider rows are summed in lanes, added up by halves. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

static float row_factor(const elem *x, long d) {
    vec squares = {0};
    for (long i = 0; i < d; i += LANES) {
        vec v = elem_load_some(x + i, d - i);
        squares += v * v;
    }
    return sqrtf((float)d) / fmaxf(sqrtf(vec_sum(squares)), 1e-12f);
}

void length_norm(elem *y, const elem *x, const elem *w, long n, long d) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        float factor = row_factor(x + r * d, d);
        for (long i = 0; i < d; i += LANES)
            elem_store_some(y + r * d + i, elem_load_some(x + r * d + i, d - i) * factor * elem_load_some(w + i, d - i),
                            d - i);
    }
}

void length_norm_silu(elem *y, const elem *x, const elem *w, long n, long d) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        float factor = row_factor(x + r * d, d);
        for (long i = 0; i < d; i += LANES) {
            vec v = elem_load_some(x + r * d + i, d - i) * factor * elem_load_some(w + i, d - i);
            elem_store_some(y + r * d + i, v * vec_sigmoid(v), d - i);
        }
    }
}

/* Finds the largest number of a row; lanes past its end do not count. */
static float row_largest(const real *s, long d) {
    float largest = -INFINITY;
    long whole = d / LANES * LANES;
    vec most = vec_set(-INFINITY);
    for (long i = 0; i < whole; i += LANES) most = vec_max(vec_load(s + i), most);
    for (int i = 0; i < LANES && whole; i++) largest = fmaxf(largest, most[i]);
    for (long i = whole; i < d; i++) largest = fmaxf(largest, s[i]);
    return largest;
}

void softmax_forward(elem *p, const real *s, real scale, long n, long d) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        const real *row = s + r * d;
        float largest = row_largest(row, d), power = scale * LOG2_E;
        vec sum = {0};
        for (long i = 0; i < d; i += LANES)
            sum += vec_first(vec_exp2((vec_load_some(row + i, d - i) - largest) * power), d - i);
        float share = 1 / vec_sum(sum);
        for (long i = 0; i < d; i += LANES)
            elem_store_some(p + r * d + i, vec_exp2((vec_load_some(row + i, d - i) - largest) * power) * share, d - i);
    }
}
