/* signal.c: rows over time: windows, statistics and norms of channels, interpolation. Rows are split over threads where
   they are independent, columns in blocks of a vector where they are summed. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

void unfold_rows(elem *y, const elem *x, long n, long width, long stride) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) memcpy(y + r * width, x + r * stride, sizeof *y * (size_t)width);
}

/* Sums x, or (x - mean)^2, over the rows of one vector of columns. Pieces of 64 rows keep the error of a sum small. */
SIMD vec column_sum(const real *x, long n, long d, long left, const vec *mean) {
    enum { PIECE = 64 };
    vec sum = {0};
    for (long first = 0; first < n; first += PIECE) {
        vec part = {0};
        long end = first + PIECE < n ? first + PIECE : n;
        for (long r = first; r < end; r++) {
            vec v = vec_load_some(x + r * d, left);
            part += mean ? (v - *mean) * (v - *mean) : v;
        }
        sum += part;
    }
    return sum;
}

/* The variance of two parts with weights 1 - w and w is that within the parts plus w (1 -
   w) (difference of means)^2. */
void channel_moments(real *mean, real *variance, const real *x, long n, long d, real weight) {
    KERNEL_SCOPE;
    if (d == 1) { /* a signal: its samples are the lanes */
        double sum = 0, squares = 0;
        for (long r = 0; r < n; r++) sum += x[r];
        double m = sum / (double)n;
        for (long r = 0; r < n; r++) squares += (x[r] - m) * (x[r] - m);
        double v = squares / (double)n;
        if (weight != 1) {
            double off = m - *mean;
            m = *mean + weight * off;
            v = (1 - weight) * *variance + weight * v + weight * (1 - weight) * off * off;
        }
        *mean = (real)m;
        *variance = (real)v;
        return;
    }
#pragma omp parallel for schedule(static)
    for (long c = 0; c < d; c += LANES) {
        vec m = column_sum(x + c, n, d, d - c, NULL) / (float)n, v = column_sum(x + c, n, d, d - c, &m) / (float)n;
        if (weight != 1) {
            vec old = vec_load_some(mean + c, d - c), off = m - old;
            m = old + weight * off;
            v = (1 - weight) * vec_load_some(variance + c, d - c) + weight * v + weight * (1 - weight) * off * off;
        }
        vec_store_some(mean + c, m, d - c);
        vec_store_some(variance + c, v, d - c);
    }
}

static void norm_signal(elem *y, const real *x, real mean, real rstd, real w, real b, long n) {
    for (long i = 0; i < n; i += LANES)
        elem_store_some(y + i, (vec_load_some(x + i, n - i) - mean) * rstd * w + b, n - i);
}

void channel_norm(elem *y, const real *x, const real *mean, const real *variance, const elem *w, const elem *b, long n,
                  long d, real eps) {
    KERNEL_SCOPE;
    if (d == 1) {
        norm_signal(y, x, *mean, 1 / sqrtf(*variance + eps), w ? elem_load(*w) : 1, b ? elem_load(*b) : 0, n);
        return;
    }
#pragma omp parallel for schedule(static)
    for (long c = 0; c < d; c += LANES) {
        long left = d - c;
        vec m = vec_load_some(mean + c, left), v = vec_load_some(variance + c, left) + eps, rstd;
        for (int i = 0; i < LANES; i++) rstd[i] = 1 / sqrtf(v[i]);
        vec factor = w ? elem_load_some(w + c, left) : vec_set(1), shift = b ? elem_load_some(b + c, left) : vec_set(0);
        for (long r = 0; r < n; r++)
            elem_store_some(y + r * d + c, (vec_load_some(x + r * d + c, left) - m) * rstd * factor + shift, left);
    }
}

void interpolate_rows(real *y, const real *x, long n, long m, long d, double first, double step) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < m; r++) {
        double at = first + (double)r * step, last = (double)(n - 1);
        at = at < 0 ? 0 : at > last ? last : at;
        long low = (long)at, high = low + 1 < n ? low + 1 : low;
        float share = (float)(at - (double)low);
        for (long c = 0; c < d; c += LANES)
            vec_store_some(y + r * d + c,
                           (1 - share) * vec_load_some(x + low * d + c, d - c) +
                               share * vec_load_some(x + high * d + c, d - c),
                           d - c);
    }
}
