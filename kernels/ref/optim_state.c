/* optim_state.c: decides, in an optimiser's state on the device, what its next update does: the norm of the gradients,
   whether it is a spike or not finite, the factor that clips it, and the counts of updates made and skipped. These are
   a few numbers, so the same code serves every backend on the host. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void grad_norm_begin(struct optim_state *state) {
    KERNEL_SCOPE;
    state->norm_squared = 0;
    state->spiked = 0;
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
    state->norm = (float)sqrt(state->norm_squared); /* a NaN or infinity in any gradient ends up here */
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
