/* signal.c: rows over time: windows, statistics and norms of channels, interpolation, as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void unfold_rows(elem *y, const elem *x, long n, long width, long stride) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++)
        for (long i = 0; i < width; i++) y[r * width + i] = x[r * stride + i];
}

/* The variance of two parts with weights 1 - w and w is that within the parts plus w (1 -
   w) (difference of means)^2. */
void channel_moments(real *mean, real *variance, const real *x, long n, long d, real weight) {
    KERNEL_SCOPE;
    for (long c = 0; c < d; c++) {
        double sum = 0, squares = 0;
        for (long r = 0; r < n; r++) sum += x[r * d + c];
        double m = sum / (double)n;
        for (long r = 0; r < n; r++) squares += (x[r * d + c] - m) * (x[r * d + c] - m);
        double v = squares / (double)n;
        if (weight != 1) {
            double off = m - mean[c];
            m = mean[c] + weight * off;
            v = (1 - weight) * variance[c] + weight * v + weight * (1 - weight) * off * off;
        }
        mean[c] = (real)m;
        variance[c] = (real)v;
    }
}

void channel_norm(elem *y, const real *x, const real *mean, const real *variance, const elem *w, const elem *b, long n,
                  long d, real eps) {
    KERNEL_SCOPE;
    for (long c = 0; c < d; c++) {
        double rstd = 1 / sqrt((double)variance[c] + (double)eps), factor = w ? elem_load(w[c]) : 1;
        double shift = b ? elem_load(b[c]) : 0;
        for (long r = 0; r < n; r++)
            y[r * d + c] = elem_store((real)((x[r * d + c] - mean[c]) * rstd * factor + shift));
    }
}

void interpolate_rows(real *y, const real *x, long n, long m, long d, double first, double step) {
    KERNEL_SCOPE;
    for (long r = 0; r < m; r++) {
        double at = first + (double)r * step, last = (double)(n - 1);
        at = at < 0 ? 0 : at > last ? last : at;
        long low = (long)at, high = low + 1 < n ? low + 1 : low;
        real share = (real)(at - (double)low);
        for (long c = 0; c < d; c++) y[r * d + c] = (1 - share) * x[low * d + c] + share * x[high * d + c];
    }
}
