/* norm_quantise.c: a norm whose result is quantised, as the definition: one after the other, through y. Backends whose
   kernels are bound by memory make it one pass. */
#include "kernels/kernels.h"
#include "kernels/device.h"

void residual_modulate_quantise(uint8_t *codes, real *code_scale, enum quantised_type type, elem *y, real *mean,
                                real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
                                long gate_stride, const real *shift, const real *scale, long n, long d,
                                long rows_per_group, long group_stride, real eps) {
    if (branch)
        residual_modulate_forward(y, mean, rstd, out, x, branch, gate, gate_stride, shift, scale, n, d, rows_per_group,
                                  group_stride, eps);
    else
        layernorm_modulate_forward(y, mean, rstd, x, shift, scale, n, d, rows_per_group, group_stride, eps);
    rows_quantise(codes, code_scale, type, y, n, d);
}

void residual_layernorm_quantise(uint8_t *codes, real *code_scale, enum quantised_type type, elem *y, real *mean,
                                 real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
                                 long gate_stride, const elem *w, const elem *b, long n, long d, long rows_per_group,
                                 real eps) {
    residual_layernorm_forward(y, mean, rstd, out, x, branch, gate, gate_stride, w, b, n, d, rows_per_group, eps);
    rows_quantise(codes, code_scale, type, y, n, d);
}
