/* gemm.c: linear layers and real matrix products of kernels.h, as the definition: one dot product an output, summed in
   real in index order. A weight is w [dout, din]. */
#include "kernels/kernels.h"
#include "kernels/device.h"
#include "kernels/ref/gelu.h"

/* Dot product of row x, of length din, with row o of w, plus the bias. */
static real linear_dot(const elem *x, const elem *w, const elem *b, long o, long din) {
    real sum = b ? elem_load(b[o]) : 0;
    for (long i = 0; i < din; i++) sum += elem_load(x[i]) * elem_load(w[o * din + i]);
    return sum;
}

void linear_forward(elem *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < n; r++) {
        for (long o = 0; o < dout; o++) {
            real sum = linear_dot(x + r * din, w, b, o, din);
            elem *out = y + r * dout + o;
            *out = elem_store(beta == 0 ? sum : sum + beta * elem_load(*out));
        }
    }
}

void linear_parts_forward(elem *y, const elem *x, const elem *w, const elem *b, long parts, long y_stride, long n,
                          long din, long dout) {
    for (long i = 0; i < parts; i++)
        linear_forward(y + i * y_stride, x, w + i * dout * din, b + i * dout, n, din, dout, 0);
}

void linear_forward_real(real *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < n; r++)
        for (long o = 0; o < dout; o++) y[r * dout + o] = linear_dot(x + r * din, w, b, o, din);
}

void linear_gelu_forward(elem *y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < n; r++) {
        for (long o = 0; o < dout; o++) {
            long at = r * dout + o;
            elem sum = elem_store(linear_dot(x + r * din, w, b, o, din));
            y[at] = elem_store(gelu_value(elem_load(sum))); /* gelu of the stored value, which the backward sees */
            if (pre) pre[at] = sum;
        }
    }
}

/* sum over o of dy[o] w[o, i] */
static real linear_dot_transposed(const elem *dy, const elem *w, long i, long din, long dout) {
    real sum = 0;
    for (long o = 0; o < dout; o++) sum += elem_load(dy[o]) * elem_load(w[o * din + i]);
    return sum;
}

void linear_backward_input(elem *dx, const elem *dy, const elem *w, long n, long din, long dout, real beta) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < n; r++) {
        for (long i = 0; i < din; i++) {
            real sum = linear_dot_transposed(dy + r * dout, w, i, din, dout);
            elem *out = dx + r * din + i;
            *out = elem_store(beta == 0 ? sum : sum + beta * elem_load(*out));
        }
    }
}

void linear_gelu_backward_input(elem *dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < n; r++) {
        for (long i = 0; i < din; i++) {
            long at = r * din + i;
            dx[at] = elem_store(linear_dot_transposed(dy + r * dout, w, i, din, dout) * gelu_slope(elem_load(pre[at])));
        }
    }
}

void linear_backward_weight(real *dw, real *db, const elem *dy, const elem *x, long n, long din, long dout) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long o = 0; o < dout; o++) {
        for (long i = 0; i < din && dw; i++) {
            real sum = 0;
            for (long r = 0; r < n; r++) sum += elem_load(dy[r * dout + o]) * elem_load(x[r * din + i]);
            dw[o * din + i] += sum;
        }
        if (db) {
            real sum = 0;
            for (long r = 0; r < n; r++) sum += elem_load(dy[r * dout + o]);
            db[o] += sum;
        }
    }
}

void matmul_real(real *c, const real *a, const real *b, long m, long k, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < m; r++) {
        for (long o = 0; o < n; o++) {
            real sum = 0;
            for (long i = 0; i < k; i++) sum += a[r * k + i] * b[i * n + o];
            c[r * n + o] = sum;
        }
    }
}

void matmul_real_nt(real *c, const real *a, const real *b, long m, long k, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < m; r++) {
        for (long o = 0; o < n; o++) {
            real sum = 0;
            for (long i = 0; i < k; i++) sum += a[r * k + i] * b[o * k + i];
            c[r * n + o] = sum;
        }
    }
}

void matmul_real_tn(real *c, const real *a, const real *b, long m, long k, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long r = 0; r < m; r++) {
        for (long o = 0; o < n; o++) {
            real sum = 0;
            for (long i = 0; i < k; i++) sum += a[i * m + r] * b[i * n + o];
            c[r * n + o] = sum;
        }
    }
}
