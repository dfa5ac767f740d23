/* pointwise.c: conversions and element-by-element operations of kernels.h, streamed a vector at a time by all threads.
   Each output element depends on the inputs at its own index, so outputs may overwrite inputs of the same type. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

#define PRAGMA(text) _Pragma(#text)
/* A loop over i = 0, LANES, 2 LANES and so on; a body that reads and writes n - i elements at + i does all n. */
#define EACH_VECTOR(n)                                                                                                 \
    PRAGMA(omp parallel for schedule(static) if ((n) > PARALLEL_MIN))                                                  \
    for (long i = 0; i < (n); i += LANES)

void elem_from_real(elem *y, const real *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) elem_store_some(y + i, vec_load_some(x + i, n - i), n - i);
    packed_renew(y, n * (long)sizeof *y);
}

void real_from_elem(real *y, const elem *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) vec_store_some(y + i, elem_load_some(x + i, n - i), n - i);
}

void real_fill(real *y, real value, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) vec_store_some(y + i, vec_set(value), n - i);
}

void real_axpby(real *y, real a, const real *x, real b, long n) {
    KERNEL_SCOPE;
    /* b = 0 assigns: what y held, a NaN too, is not read */
    if (b == 0) {
        EACH_VECTOR(n) vec_store_some(y + i, a * vec_load_some(x + i, n - i), n - i);
    } else {
        EACH_VECTOR(n)
        vec_store_some(y + i, a * vec_load_some(x + i, n - i) + b * vec_load_some(y + i, n - i), n - i);
    }
}

void real_group_combine(real *y, const real *a, const real *x, const real *b, const real *z, long groups, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static) if (groups * size > PARALLEL_MIN)
    for (long g = 0; g < groups; g++) {
        real *to = y + g * size;
        const real *from_x = x + g * size, *from_z = z + g * size;
        for (long i = 0; i < size; i += LANES)
            vec_store_some(to + i,
                           a[g] * vec_load_some(from_x + i, size - i) + b[g] * vec_load_some(from_z + i, size - i),
                           size - i);
    }
}

void real_add_elem(real *y, const elem *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) vec_store_some(y + i, vec_load_some(y + i, n - i) + elem_load_some(x + i, n - i), n - i);
}

void elem_add(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) elem_store_some(y + i, elem_load_some(y + i, n - i) + elem_load_some(x + i, n - i), n - i);
}

void gelu_forward(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) elem_store_some(y + i, vec_gelu(elem_load_some(x + i, n - i)), n - i);
}

void gelu_backward(elem *dx, const elem *dy, const elem *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n)
    elem_store_some(dx + i, elem_load_some(dy + i, n - i) * vec_gelu_slope(elem_load_some(x + i, n - i)), n - i);
}

void gelu_erf_forward(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) elem_store_some(y + i, vec_gelu_erf(elem_load_some(x + i, n - i)), n - i);
}

void silu_forward(elem *y, const real *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) {
        vec v = vec_load_some(x + i, n - i);
        elem_store_some(y + i, v * vec_sigmoid(v), n - i);
    }
}

void silu_backward(real *dx, const elem *dy, const real *x, long n) {
    KERNEL_SCOPE;
    EACH_VECTOR(n) {
        vec v = vec_load_some(x + i, n - i), s = vec_sigmoid(v);
        vec_store_some(dx + i, elem_load_some(dy + i, n - i) * s * (1.0f + v * (1.0f - s)), n - i);
    }
}

/* The output's sign decides; the gradient that passes keeps its bits. */
void relu_forward(elem *y, const elem *x, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for simd schedule(static) if (parallel : n > PARALLEL_MIN)
    for (long i = 0; i < n; i++) y[i] = elem_load(x[i]) > 0 ? x[i] : 0;
}

void relu_backward(elem *dx, const elem *dy, const elem *y, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for simd schedule(static) if (parallel : n > PARALLEL_MIN)
    for (long i = 0; i < n; i++) dx[i] = elem_load(y[i]) > 0 ? dy[i] : 0;
}

void soft_clamp(real *y, const real *x, real limit, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static) if (n > PARALLEL_MIN)
    for (long i = 0; i < n; i++) y[i] = limit * tanhf(x[i] / limit);
}
