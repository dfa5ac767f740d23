/* optimiser.c: sum of squared gradients, AdamW (Loshchilov 2019) and the average, steered by struct optim_state on the
   device (optim_state.c), as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void grad_norm_add(struct optim_state *state, const real *grad, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)grad[i] * grad[i];
    state->norm_squared += sum;
}

static void average(real *ema, const real *master, long n, const struct adamw *how, const struct optim_state *state) {
    double early = (1.0 + (double)state->updates) / (how->warmup + (double)state->updates);
    real d = early < how->average ? (real)early : how->average;
    for (long i = 0; i < n; i++) ema[i] = d * ema[i] + (1 - d) * master[i];
}

static void update(real *master, real *m, real *v, elem *weights, const real *grad, long n, const struct adamw *how,
                   const struct optim_state *state) {
    real clip = state->clip;
    real correct1 = (real)(1 / (1 - pow(how->beta1, (double)state->updates)));
    real correct2 = (real)(1 / (1 - pow(how->beta2, (double)state->updates)));
    for (long i = 0; i < n; i++) {
        real g = grad[i] * clip;
        m[i] = how->beta1 * m[i] + (1 - how->beta1) * g;
        v[i] = how->beta2 * v[i] + (1 - how->beta2) * g * g;
        master[i] -= how->lr * (m[i] * correct1 / ((real)sqrt(v[i] * correct2) + how->eps) + how->decay * master[i]);
        weights[i] = elem_store(master[i]);
    }
}

void adamw_update(real *master, real *m, real *v, real *ema, elem *weights, real *grad, long n, const struct adamw *how,
                  const struct optim_state *state) {
    KERNEL_SCOPE;
    if (!state->nonfinite) update(master, m, v, weights, grad, n, how, state);
    if (!state->nonfinite && ema) average(ema, master, n, how, state);
    for (long i = 0; i < n && how->clear; i++) grad[i] = 0;
}
