/* optimiser.c: sum of squared gradients, AdamW (Loshchilov 2019) and EMA, steered by struct optim_state on the device
   (optim_state.c), as the definition. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void grad_norm_add(struct optim_state *state, const real *grad, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)grad[i] * grad[i];
    state->norm_squared += sum;
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
