/* optimiser.c: gradient norm, AdamW (Loshchilov 2019) and EMA, steered by struct optim_state on the device, as the
   definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void grad_norm_begin(struct optim_state *state) {
    KERNEL_SCOPE;
    state->norm_squared = 0;
    state->spiked = 0;
}

void grad_norm_add(struct optim_state *state, const real *grad, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)grad[i] * grad[i];
    state->norm_squared += sum;
}

void grad_norm_combine(struct optim_state *state, const struct optim_state *all, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < n; i++) sum += all[i].norm_squared;
    state->norm_squared = sum;
}

void grad_norm_spike(struct optim_state *state, real factor, long warmup) {
    KERNEL_SCOPE;
    float norm = (float)sqrt(state->norm_squared);
    if (!isfinite(norm)) return;
    state->spiked = state->updates >= warmup && state->typical > 0 && norm > factor * state->typical;
    if (!state->spiked) state->typical = state->typical > 0 ? 0.98f * state->typical + 0.02f * norm : norm;
}

void grad_norm_end(struct optim_state *state, const real *loss, real max_norm) {
    KERNEL_SCOPE;
    state->norm = (float)sqrt(state->norm_squared); /* a NaN or an infinity anywhere in the gradients ends up here */
    state->clip = max_norm > 0 && state->norm > max_norm ? (float)(max_norm / state->norm) : 1;
    state->nonfinite = state->spiked || !isfinite(state->norm) || (loss && !isfinite(*loss));
    if (state->nonfinite) {
        state->skipped++;
        state->skipped_in_row++;
    } else {
        state->updates++;
        state->skipped_in_row = 0;
    }
}

void adamw_update(real *master, real *m, real *v, elem *weights, const real *grad, long n, real lr, real beta1,
                  real beta2, real eps, real decay, const struct optim_state *state) {
    KERNEL_SCOPE;
    if (state->nonfinite) return;
    real clip = state->clip;
    real correct1 = (real)(1 / (1 - pow(beta1, (double)state->updates)));
    real correct2 = (real)(1 / (1 - pow(beta2, (double)state->updates)));
    for (long i = 0; i < n; i++) {
        real g = grad[i] * clip;
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        master[i] -= lr * (m[i] * correct1 / ((real)sqrt(v[i] * correct2) + eps) + decay * master[i]);
        weights[i] = elem_store(master[i]);
    }
}

void ema_update(real *ema, const real *master, long n, real decay, real warmup, const struct optim_state *state) {
    KERNEL_SCOPE;
    if (state->nonfinite) return;
    double early = (1.0 + (double)state->updates) / (warmup + (double)state->updates);
    real d = early < decay ? (real)early : decay;
    for (long i = 0; i < n; i++) ema[i] = d * ema[i] + (1 - d) * master[i];
}
