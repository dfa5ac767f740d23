/* optimiser.cu: gradient norm, AdamW (Loshchilov 2019) and EMA, steered by struct optim_state on the device: the host is
   not asked. Arrays are whole arenas, one launch each. */
#include "kernels/cuda/rows/total.cuh"

void grad_norm_begin(struct optim_state *state) {
    mem_zero(&state->norm_squared, sizeof state->norm_squared);
    mem_zero(&state->spiked, sizeof state->spiked);
}

/* Four gradients at a time where they are aligned: this reads the largest array of a step and computes next to nothing. */
struct square_four {
    const real *grad;
    __device__ double at(long i) const {
        float4 g = ((const float4 *)grad)[i];
        return (double)g.x * g.x + (double)g.y * g.y + ((double)g.z * g.z + (double)g.w * g.w);
    }
};
struct square {
    const real *grad;
    __device__ double at(long i) const { return (double)grad[i] * grad[i]; }
};
struct add_to_norm {
    struct optim_state *state;
    __device__ void at(long, double sum) const { state->norm_squared += sum; }
};

void grad_norm_add(struct optim_state *state, const real *grad, long n) {
    long fours = aligned16(grad) ? n / 4 : 0;
    if (fours) total(square_four{grad}, add_to_norm{state}, 1, fours);
    if (n > 4 * fours) total(square{grad + 4 * fours}, add_to_norm{state}, 1, n - 4 * fours);
}

/* Ranks are few: one thread adds them in their order. */
__global__ void grad_norm_combine_kernel(struct optim_state *state, const struct optim_state *all, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += all[i].norm_squared;
    state->norm_squared = sum;
}

void grad_norm_combine(struct optim_state *state, const struct optim_state *all, long n) {
    LAUNCH(grad_norm_combine_kernel, 1, 1, 0, state, all, n);
}

__global__ void grad_norm_spike_kernel(struct optim_state *state, real factor, long warmup) {
    float norm = (float)sqrt(state->norm_squared);
    if (!isfinite(norm)) return;
    state->spiked = state->updates >= warmup && state->typical > 0 && norm > factor * state->typical;
    if (!state->spiked) state->typical = state->typical > 0 ? 0.98f * state->typical + 0.02f * norm : norm;
}

void grad_norm_spike(struct optim_state *state, real factor, long warmup) {
    LAUNCH(grad_norm_spike_kernel, 1, 1, 0, state, factor, warmup);
}

__global__ void grad_norm_end_kernel(struct optim_state *state, const real *loss, real max_norm) {
    state->norm = (float)sqrt(state->norm_squared); /* a NaN or an infinity anywhere in the gradients ends up here */
    state->clip = max_norm > 0 && state->norm > max_norm ? max_norm / state->norm : 1;
    state->nonfinite = state->spiked || !isfinite(state->norm) || (loss && !isfinite(*loss));
    if (state->nonfinite) {
        state->skipped++;
        state->skipped_in_row++;
    } else {
        state->updates++;
        state->skipped_in_row = 0;
    }
}

void grad_norm_end(struct optim_state *state, const real *loss, real max_norm) {
    LAUNCH(grad_norm_end_kernel, 1, 1, 0, state, loss, max_norm);
}

/* Blocks that stay: each works out the powers of beta once. Eight blocks for each of 264 multiprocessors. */
enum { UPDATE_BLOCKS = 2112 };

struct adamw {
    real *master, *m, *v;
    elem *weights;
    const real *grad;
    long n;
    real lr, beta1, beta2, eps, decay;
    const struct optim_state *state;
};

template <int V>
__device__ static void adamw_at(const struct adamw &a, long i, real clip, real correct1, real correct2) {
    float w[V], m[V], v[V], g[V];
    load(w, a.master + i);
    load(m, a.m + i);
    load(v, a.v + i);
    load(g, a.grad + i);
#pragma unroll
    for (int j = 0; j < V; j++) {
        float gradient = g[j] * clip;
        m[j] = a.beta1 * m[j] + (1 - a.beta1) * gradient;
        v[j] = a.beta2 * v[j] + (1 - a.beta2) * gradient * gradient;
        w[j] -= a.lr * (m[j] * correct1 / (sqrtf(v[j] * correct2) + a.eps) + a.decay * w[j]);
    }
    store(a.master + i, w);
    store(a.m + i, m);
    store(a.v + i, v);
    store(a.weights + i, w);
}

template <int V> __global__ void __launch_bounds__(BLOCK_THREADS) adamw_kernel(struct adamw a) {
    __shared__ real correct[2];
    if (a.state->nonfinite) return;
    if (threadIdx.x == 0) {
        correct[0] = (real)(1 / (1 - pow((double)a.beta1, (double)a.state->updates)));
        correct[1] = (real)(1 / (1 - pow((double)a.beta2, (double)a.state->updates)));
    }
    __syncthreads();
    real clip = a.state->clip;
    for (long i = ((long)blockIdx.x * BLOCK_THREADS + threadIdx.x) * V; i < a.n;
         i += (long)gridDim.x * BLOCK_THREADS * V) {
        if (i + V <= a.n)
            adamw_at<V>(a, i, clip, correct[0], correct[1]);
        else
            for (long k = i; k < a.n; k++) adamw_at<1>(a, k, clip, correct[0], correct[1]);
    }
}

static long update_blocks(long n, int vectorised) {
    long blocks = divide_up(n, BLOCK_THREADS * (vectorised ? (long)VECTOR : 1));
    return blocks < UPDATE_BLOCKS ? blocks : UPDATE_BLOCKS;
}

void adamw_update(real *master, real *m, real *v, elem *weights, const real *grad, long n, real lr, real beta1,
                  real beta2, real eps, real decay, const struct optim_state *state) {
    struct adamw a = {master, m, v, weights, grad, n, lr, beta1, beta2, eps, decay, state};
    int vectorised = aligned16(master) && aligned16(m) && aligned16(v) && aligned16(weights) && aligned16(grad);
    if (n <= 0) return;
    if (vectorised)
        LAUNCH(adamw_kernel<VECTOR>, update_blocks(n, 1), BLOCK_THREADS, 0, a);
    else
        LAUNCH(adamw_kernel<1>, update_blocks(n, 0), BLOCK_THREADS, 0, a);
}

struct ema {
    real *ema;
    const real *master;
    real decay, warmup;
    const struct optim_state *state;
    template <int V> __device__ void at(long i) const {
        if (state->nonfinite) return;
        float updates = (float)state->updates, early = (1 + updates) / (warmup + updates), d = fminf(early, decay);
        float e[V], w[V];
        load(e, ema + i);
        load(w, master + i);
#pragma unroll
        for (int j = 0; j < V; j++) e[j] = d * e[j] + (1 - d) * w[j];
        store(ema + i, e);
    }
};

void ema_update(real *ema_values, const real *master, long n, real decay, real warmup,
                const struct optim_state *state) {
    for_each(ema{ema_values, master, decay, warmup, state}, n, aligned16(ema_values) && aligned16(master));
}
