/* quantised_product.c: a linear layer of quantised rows and weights, as the definition. Sums of int8 are whole numbers
   and exact; those of fp8 are in real. */
#include "kernels/kernels.h"
#include "kernels/device.h"

static real code_dot(const uint8_t *x, const uint8_t *w, enum quantised_type type, long din) {
    int32_t whole = 0;
    real sum = 0;
    if (type == QUANTISED_INT8)
        for (long i = 0; i < din; i++) whole += (int8_t)x[i] * (int8_t)w[i];
    else
        for (long i = 0; i < din; i++) sum += (real)fp8_value(x[i]) * (real)fp8_value(w[i]);
    return type == QUANTISED_INT8 ? (real)whole : sum;
}

void linear_quantised_forward(elem *y, const uint8_t *x, const real *x_scale, const uint8_t *w, const real *w_scale,
                              const elem *b, enum quantised_type type, long n, long din, long dout) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < n; r++)
        for (long o = 0; o < dout; o++) {
            real sum = code_dot(x + r * din, w + o * din, type, din) * (x_scale[r] * w_scale[o]);
            y[r * dout + o] = elem_store(b ? sum + elem_load(b[o]) : sum);
        }
}

long quantised_room(enum quantised_type type, long n, long din, long dout) {
    return (void)type, (void)n, (void)din, (void)dout, 0;
}
