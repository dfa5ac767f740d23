/* t5.c: what T5's text encoders have that a DiT has not (Raffel 2020): a norm without mean over the residual stream, a
   gated GELU, attention with a bias by distance. As the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"
#include "kernels/ref/gelu.h"

#include <math.h>

void rmsnorm_resid_forward(elem *y, const resid *x, const elem *w, long n, long d, real eps) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        double squares = 0;
        for (long i = 0; i < d; i++) squares += (double)x[r * d + i] * x[r * d + i];
        real rstd = (real)(1.0 / sqrt(squares / (double)d + eps));
        for (long i = 0; i < d; i++) y[r * d + i] = elem_store(x[r * d + i] * rstd * elem_load(w[i]));
    }
}

void gelu_gate_forward(elem *y, const elem *gate, const elem *up, long n) {
    KERNEL_SCOPE;
#pragma omp parallel for
    for (long i = 0; i < n; i++) y[i] = elem_store(gelu_value(elem_load(gate[i])) * elem_load(up[i]));
}

/* Computes one query of one head. k and v point at the head's first key; the bias of key t is bias[-t]. */
static void attend(elem *o, const elem *q, const elem *k, const elem *v, const real *bias, long S, long pitch, long D,
                   real scale) {
    real largest = -INFINITY, total = 0, sum[ATTENTION_HEAD_MAX] = {0};
    for (long t = 0; t < S; t++) {
        real score = 0, shrink = 1, p = 1;
        for (long d = 0; d < D; d++) score += elem_load(q[d]) * elem_load(k[t * pitch + d]);
        score = scale * score + bias[-t];
        if (score > largest) {
            shrink = (real)exp(largest - score);
            largest = score;
        } else {
            p = (real)exp(score - largest);
        }
        total = total * shrink + p;
        for (long d = 0; d < D; d++) sum[d] = sum[d] * shrink + p * elem_load(v[t * pitch + d]);
    }
    for (long d = 0; d < D; d++) o[d] = elem_store(sum[d] / total);
}

void attention_relative_forward(elem *o, const elem *q, const elem *k, const elem *v, const real *bias, long S, long H,
                                long D, long reach, real scale) {
    KERNEL_SCOPE;
    if (D > ATTENTION_HEAD_MAX) {
        device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
        return;
    }
#pragma omp parallel for
    for (long i = 0; i < S * H; i++) {
        long s = i / H, h = i % H, at = i * D;
        attend(o + at, q + at, k + h * D, v + h * D, bias + h * (2 * reach - 1) + s + reach - 1, S, H * D, D, scale);
    }
}
