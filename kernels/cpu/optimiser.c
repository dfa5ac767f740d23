/* optimiser.c: sum of squared gradients, AdamW (Loshchilov 2019) and the average, steered by struct
   optim_state on the device, streamed by all threads. The norm is summed in double over a fixed number
   of pieces, so it does not depend on the thread count. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

/* Sums in double, in LANES / 2 sums side by side: as many as a register holds. A wider vector would be legal, but gcc
   moves it through memory piece by piece, ten times slower. */
static double sum_of_squares(const real *x, long n) {
    enum { DOUBLES = LANES / 2, SUMS = 4, TURN = SUMS * DOUBLES };
    typedef double dvec __attribute__((vector_size(8 * DOUBLES)));
    typedef float half_vec __attribute__((vector_size(4 * DOUBLES)));
    typedef float half_memory __attribute__((vector_size(4 * DOUBLES), aligned(4), may_alias));
    dvec sum[SUMS] = {0};
    long i = 0;
    for (; i + TURN <= n; i += TURN)
        for (int s = 0; s < SUMS; s++) {
            half_vec x_s = *(const half_memory *)(x + i + s * DOUBLES);
            dvec v = __builtin_convertvector(x_s, dvec);
            sum[s] += v * v;
        }
    dvec all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = 0;
    for (int l = 0; l < DOUBLES; l++) total += all[l];
    for (; i < n; i++) total += (double)x[i] * (double)x[i];
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

/* Numbers that all threads share, computed once. */
struct update {
    float clip, correct1, correct2, d;
    struct adamw how;
};

static struct update update_of(const struct adamw *how, const struct optim_state *state) {
    double u = (double)state->updates, early = (1.0 + u) / (how->warmup + u);
    return (struct update){.clip = state->clip,
                           .correct1 = (float)(1 / (1 - pow(how->beta1, u))),
                           .correct2 = (float)(1 / (1 - pow(how->beta2, u))),
                           .d = early < how->average ? (float)early : how->average,
                           .how = *how};
}

static void adamw_piece(const struct update *u, real *restrict master, real *restrict m, real *restrict v,
                        elem *restrict weights, const real *restrict grad, long n) {
    const float beta1 = u->how.beta1, beta2 = u->how.beta2, lr = u->how.lr, eps = u->how.eps, decay = u->how.decay;
    const float clip = u->clip, correct1 = u->correct1, correct2 = u->correct2;
#pragma omp simd
    for (long i = 0; i < n; i++) {
        float g = grad[i] * clip, first = beta1 * m[i] + (1 - beta1) * g, second = beta2 * v[i] + (1 - beta2) * g * g;
        float w = master[i] - lr * (first * correct1 / (sqrtf(second * correct2) + eps) + decay * master[i]);
        m[i] = first;
        v[i] = second;
        master[i] = w;
        weights[i] = elem_store(w);
    }
}

static void average_piece(const struct update *u, real *restrict ema, const real *restrict master, long n) {
    const float d = u->d;
#pragma omp simd
    for (long i = 0; i < n; i++) ema[i] = d * ema[i] + (1 - d) * master[i];
}

/* Works piece by piece, so that the average and the zeros find the piece in the first cache. */
void adamw_update(real *master, real *m, real *v, real *ema, elem *weights, real *grad, long n, const struct adamw *how,
                  const struct optim_state *state) {
    KERNEL_SCOPE;
    enum { PIECE = 1024 };
    const struct update u = update_of(how, state);
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i += PIECE) {
        long some = n - i < PIECE ? n - i : PIECE;
        if (!state->nonfinite) adamw_piece(&u, master + i, m + i, v + i, weights + i, grad + i, some);
        if (!state->nonfinite && ema) average_piece(&u, ema + i, master + i, some);
        if (how->clear) memset(grad + i, 0, (size_t)some * sizeof *grad);
    }
    packed_renew(weights, n * (long)sizeof *weights);
}
