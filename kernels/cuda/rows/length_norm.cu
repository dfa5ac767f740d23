/* length_norm.cu: the norm over channels of video autoencoders and the softmax of their attention. Rows are short (96
   to 1024 channels), so a warp has a row; it stays in registers between its sum and its use where it is vectorised. */
#include "kernels/cuda/kernel.cuh"

enum { WARPS = BLOCK_THREADS / 32 };

/* 1: columns fit in 32 bits, with a step past the end of a row. 0: they do not, and a failure is kept. */
static int columns_fit(const char *what, long d) {
    if (!place_fits(2 * d)) device_fail("%s: rows of %ld numbers: too many", what, d);
    return place_fits(2 * d);
}

/* y = x sqrt(d) / max(|x|, 1e-12) w, or the SiLU of that. K is the number of vectors that
   a lane holds; 0: the row is read twice. */
template <int V, int K, int SILU>
__global__ void __launch_bounds__(BLOCK_THREADS)
    length_norm_kernel(elem *y, const elem *x, const elem *w, long n, int d) {
    long r = blockIdx.x * (long)WARPS + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    float kept[K ? K : 1][V], squares = 0;
    if (r >= n) return;
    x += r * d;
    y += r * d;
#pragma unroll
    for (int k = 0; k < (K ? K : 1); k++) {
        for (int c = (k * 32 + lane) * V; c < d; c += K ? d : 32 * V) {
            load(kept[k], x + c);
#pragma unroll
            for (int j = 0; j < V; j++) squares += kept[k][j] * kept[k][j];
        }
    }
    /* a row so short that its squares vanish is flushed to zero with them */
    float factor = sqrtf((float)d) / fmaxf(sqrtf(warp_sum(squares)), 1e-12f);
#pragma unroll
    for (int k = 0; k < (K ? K : 1); k++) {
        for (int c = (k * 32 + lane) * V; c < d; c += K ? d : 32 * V) {
            float weight[V];
            load(weight, w + c);
            if (!K) load(kept[k], x + c);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float v = kept[k][j] * factor * weight[j];
                kept[k][j] = SILU ? v / (1 + expf(-v)) : v;
            }
            store(y + c, kept[k]);
        }
    }
}

template <int SILU> static void length_norm_launch(elem *y, const elem *x, const elem *w, long n, long d) {
    long blocks = launch_blocks(n, WARPS);
    if (blocks < 0) return device_fail("norm: %ld rows: too many", n);
    if (blocks == 0 || !columns_fit("norm", d)) return;
    int vectorised = aligned16(y) && aligned16(x) && aligned16(w) && d % VECTOR == 0;
    if (vectorised && d <= 32 * VECTOR)
        LAUNCH((length_norm_kernel<VECTOR, 1, SILU>), blocks, BLOCK_THREADS, 0, y, x, w, n, (int)d);
    else if (vectorised && d <= 4 * 32 * VECTOR)
        LAUNCH((length_norm_kernel<VECTOR, 4, SILU>), blocks, BLOCK_THREADS, 0, y, x, w, n, (int)d);
    else
        LAUNCH((length_norm_kernel<1, 0, SILU>), blocks, BLOCK_THREADS, 0, y, x, w, n, (int)d);
}

void length_norm(elem *y, const elem *x, const elem *w, long n, long d) { length_norm_launch<0>(y, x, w, n, d); }

void length_norm_silu(elem *y, const elem *x, const elem *w, long n, long d) { length_norm_launch<1>(y, x, w, n, d); }

/* A block has one row, because these rows are the positions of a frame, thousands long. */
__global__ void __launch_bounds__(BLOCK_THREADS) softmax_kernel(elem *p, const real *s, real scale, int d) {
    __shared__ float largest[WARPS];
    float most = -INFINITY, sum = 0;
    s += blockIdx.x * (long)d;
    p += blockIdx.x * (long)d;
    for (int i = (int)threadIdx.x; i < d; i += BLOCK_THREADS) most = fmaxf(most, scale * s[i]);
    for (int lane = 16; lane > 0; lane /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, lane));
    if (threadIdx.x % 32 == 0) largest[threadIdx.x / 32] = most;
    __syncthreads();
    for (int i = 0; i < WARPS; i++) most = fmaxf(most, largest[i]);
    for (int i = (int)threadIdx.x; i < d; i += BLOCK_THREADS) sum += expf(scale * s[i] - most);
    sum = 1 / block_sum(sum);
    for (int i = (int)threadIdx.x; i < d; i += BLOCK_THREADS) p[i] = from_float<elem>(expf(scale * s[i] - most) * sum);
}

void softmax_forward(elem *p, const real *s, real scale, long n, long d) {
    long blocks = launch_blocks(n, 1);
    if (blocks < 0) return device_fail("softmax: %ld rows: too many", n);
    if (blocks && columns_fit("softmax", d)) LAUNCH(softmax_kernel, blocks, BLOCK_THREADS, 0, p, s, scale, (int)d);
}
