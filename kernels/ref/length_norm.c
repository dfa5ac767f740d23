/* length_norm.c: the norm over channels of video autoencoders and the softmax of their attention, as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

/* sqrt(d)/max(|x|, 1e-12) */
static real row_factor(const elem *x, long d) {
    double squares = 0;
    for (long i = 0; i < d; i++) squares += (double)elem_load(x[i]) * elem_load(x[i]);
    return (real)(sqrt((double)d) / fmax(sqrt(squares), 1e-12));
}

void length_norm(elem *y, const elem *x, const elem *w, long n, long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        real factor = row_factor(x + r * d, d);
        for (long i = 0; i < d; i++) y[r * d + i] = elem_store(elem_load(x[r * d + i]) * factor * elem_load(w[i]));
    }
}

void length_norm_silu(elem *y, const elem *x, const elem *w, long n, long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        real factor = row_factor(x + r * d, d);
        for (long i = 0; i < d; i++) {
            real v = elem_load(x[r * d + i]) * factor * elem_load(w[i]);
            y[r * d + i] = elem_store(v / (1 + (real)exp(-v)));
        }
    }
}

void softmax_forward(elem *p, const real *s, real scale, long n, long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        real largest = -INFINITY;
        double sum = 0;
        for (long i = 0; i < d; i++) largest = fmax(largest, scale * s[r * d + i]);
        for (long i = 0; i < d; i++) sum += exp(scale * s[r * d + i] - largest);
        for (long i = 0; i < d; i++) p[r * d + i] = elem_store((real)(exp(scale * s[r * d + i] - largest) / sum));
    }
}
