/* norms.c: LayerNorm (Ba 2016), with modulation (Peebles 2023) or with weights, and RMSNorm (Zhang 2019), as the
   definition. x [n, d]; mean and rstd [n] in real. With xh = (x - mean) rstd and dxh the gradient at xh:
   dx = rstd (dxh - mean(dxh) - xh mean(dxh xh)). */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

static void row_statistics(real *mean, real *rstd, const resid *x, long d, real eps) {
    double sum = 0, squares = 0;
    for (long i = 0; i < d; i++) sum += x[i];
    double m = sum / (double)d;
    for (long i = 0; i < d; i++) squares += (x[i] - m) * (x[i] - m);
    *mean = (real)m;
    *rstd = (real)(1.0 / sqrt(squares / (double)d + eps));
}

void layernorm_modulate_forward(elem *y, real *mean, real *rstd, const resid *x, const real *shift, const real *scale,
                                long n, long d, long rows_per_group, long group_stride, real eps) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        const real *a = shift + r / rows_per_group * group_stride, *s = scale + r / rows_per_group * group_stride;
        row_statistics(&mean[r], &rstd[r], x + r * d, d, eps);
        for (long i = 0; i < d; i++) y[r * d + i] = elem_store((x[r * d + i] - mean[r]) * rstd[r] * (1 + s[i]) + a[i]);
    }
}

/* Adds to one row of dx. The gradient at xh is dy times the weight or, with weight NULL, times 1 + scale. */
static void layernorm_backward_row(resid *dx, const elem *dy, const resid *x, real mean, real rstd, const elem *weight,
                                   const real *scale, long d) {
    double sum = 0, product = 0;
    for (long i = 0; i < d; i++) {
        real dxh = elem_load(dy[i]) * (weight ? elem_load(weight[i]) : 1 + scale[i]);
        sum += dxh;
        product += dxh * ((x[i] - mean) * rstd);
    }
    real mean_dxh = (real)(sum / (double)d), mean_product = (real)(product / (double)d);
    for (long i = 0; i < d; i++) {
        real dxh = elem_load(dy[i]) * (weight ? elem_load(weight[i]) : 1 + scale[i]);
        dx[i] += rstd * (dxh - mean_dxh - (x[i] - mean) * rstd * mean_product);
    }
}

void layernorm_modulate_backward(resid *dx, real *dshift, real *dscale, const elem *dy, const resid *x,
                                 const real *mean, const real *rstd, const real *scale, long n, long d,
                                 long rows_per_group, long group_stride) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        long group = r / rows_per_group * group_stride;
        for (long i = 0; i < d; i++) {
            real g = elem_load(dy[r * d + i]);
            if (dshift) dshift[group + i] += g;
            if (dscale) dscale[group + i] += g * ((x[r * d + i] - mean[r]) * rstd[r]);
        }
        if (dx) layernorm_backward_row(dx + r * d, dy + r * d, x + r * d, mean[r], rstd[r], NULL, scale + group, d);
    }
}

void layernorm_forward(elem *y, real *mean, real *rstd, const resid *x, const elem *w, const elem *b, long n, long d,
                       real eps) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        row_statistics(&mean[r], &rstd[r], x + r * d, d, eps);
        for (long i = 0; i < d; i++)
            y[r * d + i] = elem_store((x[r * d + i] - mean[r]) * rstd[r] * elem_load(w[i]) + elem_load(b[i]));
    }
}

void layernorm_backward(resid *dx, real *dw, real *db, const elem *dy, const resid *x, const real *mean,
                        const real *rstd, const elem *w, long n, long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        for (long i = 0; i < d; i++) {
            real g = elem_load(dy[r * d + i]);
            if (db) db[i] += g;
            if (dw) dw[i] += g * ((x[r * d + i] - mean[r]) * rstd[r]);
        }
        if (dx) layernorm_backward_row(dx + r * d, dy + r * d, x + r * d, mean[r], rstd[r], w, NULL, d);
    }
}

/* The norms with a residual in front do one after the other; backends whose kernels are
   bound by memory make it one pass. */
void residual_modulate_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                               const real *gate, long gate_stride, const real *shift, const real *scale, long n, long d,
                               long rows_per_group, long group_stride, real eps) {
    KERNEL_SCOPE;
    residual_forward(out, x, branch, gate, n, d, rows_per_group, gate_stride);
    layernorm_modulate_forward(y, mean, rstd, out, shift, scale, n, d, rows_per_group, group_stride, eps);
}

void residual_layernorm_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                                const real *gate, long gate_stride, const elem *w, const elem *b, long n, long d,
                                long rows_per_group, real eps) {
    KERNEL_SCOPE;
    residual_forward(out, x, branch, gate, n, d, rows_per_group, gate_stride);
    layernorm_forward(y, mean, rstd, out, w, b, n, d, eps);
}

void residual_layernorm_backward(resid *dx, real *dw, real *db, elem *dbranch, real *dgate, real *dbias, const elem *dy,
                                 const resid *x, const real *mean, const real *rstd, const elem *w, const elem *branch,
                                 const real *gate, long gate_stride, long n, long d, long rows_per_group) {
    KERNEL_SCOPE;
    layernorm_backward(dx, dw, db, dy, x, mean, rstd, w, n, d);
    residual_backward(dbranch, dgate, dbias, dx, branch, gate, n, d, rows_per_group, gate_stride);
}

void residual_modulate_backward(resid *dx, real *dshift, real *dscale, elem *dbranch, real *dgate, real *dbias,
                                const elem *dy, const resid *x, const real *mean, const real *rstd, const real *scale,
                                const elem *branch, const real *gate, long gate_stride, long n, long d,
                                long rows_per_group, long group_stride) {
    KERNEL_SCOPE;
    layernorm_modulate_backward(dx, dshift, dscale, dy, x, mean, rstd, scale, n, d, rows_per_group, group_stride);
    residual_backward(dbranch, dgate, dbias, dx, branch, gate, n, d, rows_per_group, gate_stride);
}

void rmsnorm_forward(elem *y, real *rstd, const elem *x, const elem *w, long n, long d, real eps) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        double squares = 0;
        for (long i = 0; i < d; i++) squares += (double)elem_load(x[r * d + i]) * elem_load(x[r * d + i]);
        rstd[r] = (real)(1.0 / sqrt(squares / (double)d + eps));
        for (long i = 0; i < d; i++) y[r * d + i] = elem_store(elem_load(x[r * d + i]) * rstd[r] * elem_load(w[i]));
    }
}

void rmsnorm_backward(elem *dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w, long n,
                      long d) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        double product = 0; /* dot product of the gradient at x rstd with x rstd */
        for (long i = 0; i < d; i++) {
            real g = elem_load(dy[r * d + i]), xh = elem_load(x[r * d + i]) * rstd[r];
            product += g * elem_load(w[i]) * xh;
            if (dw) dw[i] += g * xh;
        }
        real mean_product = (real)(product / (double)d);
        for (long i = 0; i < d && dx; i++) { /* starts only when all of the row's dy was read, because dx may be dy */
            real g = elem_load(dy[r * d + i]), xh = elem_load(x[r * d + i]) * rstd[r];
            dx[r * d + i] = elem_store(rstd[r] * (g * elem_load(w[i]) - xh * mean_product));
        }
    }
}
