/* optimiser.c: sum of squared gradients, AdamW (Loshchilov 2019) and EMA, steered by struct optim_state on the device,
   streamed by all threads. The norm is summed in double over a fixed number of pieces, so it does not depend on the
   thread count. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

/* In double, LANES sums side by side. */
static double sum_of_squares(const real *x, long n) {
    typedef double dvec __attribute__((vector_size(8 * LANES)));
    dvec sum = {0};
    for (long i = 0; i < n; i += LANES) {
        dvec v = __builtin_convertvector(vec_load_some(x + i, n - i), dvec);
        sum += v * v;
    }
    double total = 0;
    for (int i = 0; i < LANES; i++) total += sum[i];
    return total;
}

void grad_norm_add(struct optim_state *state, const real *grad, long n) {
    KERNEL_SCOPE;
    enum { PIECES = 64 };
    double piece[PIECES];
    long each = (n + PIECES - 1) / PIECES;
#pragma omp parallel for schedule(static)
    for (long p = 0; p < PIECES; p++) {
        long first = p * each, last = first + each < n ? first + each : n;
        piece[p] = first < last ? sum_of_squares(grad + first, last - first) : 0;
    }
    for (long p = 0; p < PIECES; p++) state->norm_squared += piece[p];
}

void adamw_update(real *master, real *m, real *v, elem *weights, const real *grad, long n, real lr, real beta1,
                  real beta2, real eps, real decay, const struct optim_state *state) {
    KERNEL_SCOPE;
    if (state->nonfinite) return;
    float clip = state->clip;
    float correct1 = (float)(1 / (1 - pow(beta1, (double)state->updates)));
    float correct2 = (float)(1 / (1 - pow(beta2, (double)state->updates)));
#pragma omp parallel for simd schedule(static)
    for (long i = 0; i < n; i++) {
        float g = grad[i] * clip, first = beta1 * m[i] + (1 - beta1) * g, second = beta2 * v[i] + (1 - beta2) * g * g;
        float w = master[i] - lr * (first * correct1 / (sqrtf(second * correct2) + eps) + decay * master[i]);
        m[i] = first;
        v[i] = second;
        master[i] = w;
        weights[i] = elem_store(w);
    }
}

void ema_update(real *ema, const real *master, long n, real decay, real warmup, const struct optim_state *state) {
    KERNEL_SCOPE;
    if (state->nonfinite) return;
    double early = (1.0 + (double)state->updates) / (warmup + (double)state->updates);
    float d = early < decay ? (float)early : decay;
#pragma omp parallel for simd schedule(static)
    for (long i = 0; i < n; i++) ema[i] = d * ema[i] + (1 - d) * master[i];
}
