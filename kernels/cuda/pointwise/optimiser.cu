/* optimiser.cu: gradient norm, AdamW (Loshchilov 2019) and the average, steered by struct optim_state on the device, so
   that nothing waits for the host. Arrays are whole arenas, one launch each. */
#include "kernels/cuda/rows/total.cuh"

void grad_norm_begin(struct optim_state *state) {
    mem_zero(&state->norm_squared, sizeof state->norm_squared);
    mem_zero(&state->spiked, sizeof state->spiked);
}

/* Reads four gradients at a time where they are aligned, because this reads the largest
   array of a step and computes next to nothing. */
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

/* One thread adds the ranks' sums in their order, because ranks are few. */
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
    state->norm = (float)sqrt(state->norm_squared); /* a NaN or infinity in any gradient ends up here */
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

/* Number of blocks, each of which computes the powers of beta once: eight for each of 264 multiprocessors. */
enum { UPDATE_BLOCKS = 2112 };

struct update {
    real *master, *m, *v, *ema;
    elem *weights;
    real *grad;
    long n;
    struct adamw how;
    const struct optim_state *state;
};
struct factors { /* computed once in each block */
    real clip, correct1, correct2, d;
};

__device__ static struct factors factors_of(const struct update &a) {
    double updates = (double)a.state->updates;
    float u = (float)a.state->updates, early = (1 + u) / (a.how.warmup + u);
    return {a.state->clip, (real)(1 / (1 - pow((double)a.how.beta1, updates))),
            (real)(1 / (1 - pow((double)a.how.beta2, updates))), fminf(early, a.how.average)};
}

template <int V> __device__ static void update_at(const struct update &a, long i, const struct factors &f) {
    float w[V], m[V], v[V], g[V];
    load(w, a.master + i);
    load(m, a.m + i);
    load(v, a.v + i);
    load(g, a.grad + i);
#pragma unroll
    for (int j = 0; j < V; j++) {
        float gradient = g[j] * f.clip;
        m[j] = a.how.beta1 * m[j] + (1 - a.how.beta1) * gradient;
        v[j] = a.how.beta2 * v[j] + (1 - a.how.beta2) * gradient * gradient;
        w[j] -= a.how.lr * (m[j] * f.correct1 / (sqrtf(v[j] * f.correct2) + a.how.eps) + a.how.decay * w[j]);
    }
    store(a.master + i, w);
    store(a.m + i, m);
    store(a.v + i, v);
    store(a.weights + i, w);
    if (!a.ema) return;
    float e[V];
    load(e, a.ema + i);
#pragma unroll
    for (int j = 0; j < V; j++) e[j] = f.d * e[j] + (1 - f.d) * w[j];
    store(a.ema + i, e);
}

template <int V> __device__ static void clear_at(const struct update &a, long i) {
    const float zeros[V] = {0};
    store(a.grad + i, zeros);
}

/* Four blocks on a multiprocessor leave 64 registers a thread, of which this takes all but a few. Without the bound
   ptxas takes fewer for V = 1, and spills. */
template <int V> __global__ void __launch_bounds__(BLOCK_THREADS, 4) update_kernel(struct update a) {
    __shared__ struct factors f;
    int skip = a.state->nonfinite;
    if (threadIdx.x == 0 && !skip) f = factors_of(a);
    __syncthreads();
    for (long i = ((long)blockIdx.x * BLOCK_THREADS + threadIdx.x) * V; i < a.n;
         i += (long)gridDim.x * BLOCK_THREADS * V) {
        if (i + V <= a.n) {
            if (!skip) update_at<V>(a, i, f);
            if (a.how.clear) clear_at<V>(a, i);
        } else {
            for (long k = i; k < a.n; k++) {
                if (!skip) update_at<1>(a, k, f);
                if (a.how.clear) clear_at<1>(a, k);
            }
        }
    }
}

static long update_blocks(long n, int vectorised) {
    long blocks = divide_up(n, BLOCK_THREADS * (vectorised ? (long)VECTOR : 1));
    return blocks < UPDATE_BLOCKS ? blocks : UPDATE_BLOCKS;
}

void adamw_update(real *master, real *m, real *v, real *ema, elem *weights, real *grad, long n, const struct adamw *how,
                  const struct optim_state *state) {
    struct update a = {master, m, v, ema, weights, grad, n, *how, state};
    int vectorised =
        aligned16(master) && aligned16(m) && aligned16(v) && aligned16(ema) && aligned16(weights) && aligned16(grad);
    if (n <= 0) return;
    if (vectorised)
        LAUNCH(update_kernel<VECTOR>, update_blocks(n, 1), BLOCK_THREADS, 0, a);
    else
        LAUNCH(update_kernel<1>, update_blocks(n, 0), BLOCK_THREADS, 0, a);
}
