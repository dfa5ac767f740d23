/* pointwise.c: conversions and element-by-element operations of kernels.h, as the definition. Each output element
   depends on the inputs at its own index, so outputs may overwrite inputs of the same type. */
#include "kernels/kernels.h"
#include "kernels/device.h"
#include "kernels/ref/gelu.h"

void elem_from_real(elem *y, const real *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_store(x[i]);
}

void real_from_elem(real *y, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_load(x[i]);
}

void real_fill(real *y, real value, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = value;
}

void real_axpby(real *y, real a, const real *x, real b, long n) {
    KERNEL_SCOPE;
    /* b = 0 assigns: what y held, a NaN too, is not read */
    for (long i = 0; i < n; i++) y[i] = b == 0 ? a * x[i] : a * x[i] + b * y[i];
}

void real_group_combine(real *y, const real *a, const real *x, const real *b, const real *z, long groups, long size) {
    KERNEL_SCOPE;
    for (long g = 0; g < groups; g++)
        for (long i = g * size; i < (g + 1) * size; i++) y[i] = a[g] * x[i] + b[g] * z[i];
}

void real_add_elem(real *y, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] += elem_load(x[i]);
}

void elem_add(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_store(elem_load(y[i]) + elem_load(x[i]));
}

void gelu_forward(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_store(gelu_value(elem_load(x[i])));
}

void gelu_backward(elem *dx, const elem *dy, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) dx[i] = elem_store(elem_load(dy[i]) * gelu_slope(elem_load(x[i])));
}

void gelu_erf_forward(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_store(gelu_erf_value(elem_load(x[i])));
}

void silu_forward(elem *y, const real *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_store((real)(x[i] * sigmoid(x[i])));
}

void silu_backward(real *dx, const elem *dy, const real *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) {
        double s = sigmoid(x[i]);
        dx[i] = (real)(elem_load(dy[i]) * s * (1.0 + x[i] * (1.0 - s)));
    }
}

void relu_forward(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = elem_load(x[i]) > 0 ? x[i] : elem_store(0);
}

void relu_backward(elem *dx, const elem *dy, const elem *y, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) dx[i] = elem_load(y[i]) > 0 ? dy[i] : elem_store(0);
}

void soft_clamp(real *y, const real *x, real limit, long n) {
    KERNEL_SCOPE;
    for (long i = 0; i < n; i++) y[i] = (real)(limit * tanh((double)x[i] / limit));
}
