/* attention_mma.cu: attention on tensor cores by tiles with online softmax (Dao 2023): bf16, heads up to 128. It stands
   in where cuDNN has no engine, and is what cuDNN is held against at sizes that the plain kernels are too slow for.
   A warp has 16 rows of its own (queries; in the backward to keys and values: keys) and all of the other side's tile,
   so scores never leave its registers: the result of one product is the operand of the next. The four warps of a block
   share the other side's tile. No atomics: dq has a kernel of its own, which works the scores out once more.
   With p = exp(scale q.k - lse), ds = p (dout.v - delta) scale:  dq = sum ds k,  dk = sum ds q,  dv = sum p dout. */
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/attention/attention.h"

#ifdef TYPE_BF16

/* A block has 64 rows, so that four warps hide each other's waits. The other side comes 32 rows at a time: with
   64 the backward's sums (256 numbers of a 128-wide head a lane row) would leave no registers for scores. Rows in
   shared memory are 16 bytes longer than W, so that the eight rows of a fragment fall into different banks. */
enum { WARPS = 4, MMA_THREADS = 32 * WARPS, ROWS = 16 * WARPS, SIDE = 32, HEAD_MAX = 128, GAP = 8 };

struct mma_ranges {
    struct attention_range range[ATTENTION_RANGES_MAX];
    int count;
};

struct mma_sizes {
    long S, H, D, tiles; /* tiles: number of tiles of a head's rows */
    float scale, bits;   /* bits: scale in units of base-2 exponents */
};

/* The block's sample, head and first row. */
struct mma_place {
    long b, h, first;
};
__device__ static inline struct mma_place mma_place_of_block(const struct mma_sizes &s) {
    long head = blockIdx.x / s.tiles;
    return {head / s.H, head % s.H, blockIdx.x % s.tiles * ROWS};
}

/* Loads `rows` rows of a head, H D apart, as N rows of W numbers in shared memory; zero past the end. */
template <int W, int N>
__device__ static inline void rows_load(elem *tile, const elem *from, long rows, const struct mma_sizes &s) {
    for (int t = threadIdx.x; t < N * (W / 8); t += MMA_THREADS) {
        int r = t / (W / 8), d = t % (W / 8) * 8;
        uint4 v = {};
        if (r < rows && d < s.D) v = *(const uint4 *)(from + r * s.H * s.D + d);
        *(uint4 *)(tile + r * (W + GAP) + d) = v;
    }
}

/* Scores: sum [SIDE / 8] = this warp's 16 rows of `rows` times the SIDE rows of `side`, all of width W. */
template <int W> __device__ static inline void rows_dot(float (&sum)[SIDE / 8][4], const elem *rows, const elem *side) {
#pragma unroll
    for (int n = 0; n < SIDE / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) sum[n][i] = 0;
#pragma unroll
    for (int k = 0; k < W; k += 16) {
        unsigned a[4], b[2];
        mma_load_a(a, rows + k, W + GAP);
#pragma unroll
        for (int n = 0; n < SIDE / 8; n++) {
            mma_load_b_transposed(b, side + n * 8 * (W + GAP) + k, W + GAP);
            mma(sum[n], a, b);
        }
    }
}

/* sum [W / 8] += p [16, SIDE] side [SIDE, W] */
template <int W>
__device__ static inline void rows_add(float (&sum)[W / 8][4], const float (&p)[SIDE / 8][4], const elem *side) {
#pragma unroll
    for (int k = 0; k < SIDE; k += 16) {
        unsigned a[4], b[2];
        mma_chain(a, p[k / 8], p[k / 8 + 1]);
#pragma unroll
        for (int n = 0; n < W / 8; n++) {
            mma_load_b(b, side + k * (W + GAP) + n * 8, W + GAP);
            mma(sum[n], a, b);
        }
    }
}

template <int W> __device__ static inline void rows_zero(float (&sum)[W / 8][4]) {
#pragma unroll
    for (int n = 0; n < W / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) sum[n][i] = 0;
}

/* Row, of the warp's 16, and column, of eight, of number i of the four that a lane holds of a result. */
__device__ static inline int lane_row(int i) { return (int)threadIdx.x % 32 / 4 + i / 2 * 8; }
__device__ static inline int lane_column(int i) { return (int)threadIdx.x % 4 * 2 + i % 2; }

/* Writes number i of tile n of the result, times factor[row half], to row r: assigned in
   `to`, added in `to_sum`; rows are H D apart. */
template <int W>
__device__ static inline void rows_store(elem *to, real *to_sum, const float (&sum)[W / 8][4], const float (&factor)[2],
                                         long rows, const struct mma_sizes &s) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (lane_row(i) >= rows) continue;
#pragma unroll
        for (int n = 0; n < W / 8; n++) {
            int d = n * 8 + lane_column(i);
            if (d >= s.D) continue;
            float v = sum[n][i] * factor[i / 2];
            if (to) to[lane_row(i) * s.H * s.D + d] = from_float<elem>(v);
            if (to_sum) to_sum[lane_row(i) * s.H * s.D + d] += v;
        }
    }
}

/* Combines the four lanes that share a row. */
__device__ static inline float row_max(float v) {
    v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
    return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}
__device__ static inline float row_sum(float v) {
    v += __shfl_xor_sync(0xffffffffu, v, 1);
    return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

/* ---- forward ---- */

/* Turns the scores of `keys` keys into weights relative to the new maximum, and scales the sums so far to it. */
template <int W>
__device__ static inline void softmax_step(float (&o)[W / 8][4], float (&score)[SIDE / 8][4], float (&most)[2],
                                           float (&total)[2], long keys, float bits) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float largest = most[half], sum = 0;
#pragma unroll
        for (int n = 0; n < SIDE / 8; n++)
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                score[n][i] = n * 8 + lane_column(i) < keys ? score[n][i] * bits : -INFINITY;
                largest = fmaxf(largest, score[n][i]);
            }
        largest = row_max(largest);
        float shrink = exp2f(most[half] - largest);
#pragma unroll
        for (int n = 0; n < SIDE / 8; n++)
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; i++) {
                score[n][i] = exp2f(score[n][i] - largest);
                sum += score[n][i];
            }
#pragma unroll
        for (int n = 0; n < W / 8; n++) o[n][2 * half] *= shrink, o[n][2 * half + 1] *= shrink;
        most[half] = largest;
        total[half] = total[half] * shrink + sum; /* sum of this lane's columns; the row's is made at the end */
    }
}

template <int W>
__global__ void __launch_bounds__(MMA_THREADS, 1)
    mma_forward_kernel(elem *o, real *lse, const elem *q, struct mma_ranges all, struct mma_sizes s) {
    DYNAMIC_SHARED(elem, shared);
    elem *queries = shared, *keys = queries + ROWS * (W + GAP), *values = keys + SIDE * (W + GAP);
    struct mma_place at = mma_place_of_block(s);
    long rows = s.S - at.first, mine = threadIdx.x / 32 * 16;
    float sum[W / 8][4], most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    rows_zero<W>(sum);
    rows_load<W, ROWS>(queries, q + ((at.b * s.S + at.first) * s.H + at.h) * s.D, rows, s);
    for (int r = 0; r < all.count; r++) {
        const struct attention_range &range = all.range[r];
        for (long first = 0; first < range.length; first += SIDE) {
            long count = range.length - first, head = (first * s.H + at.h) * s.D;
            float score[SIDE / 8][4];
            __syncthreads(); /* the last tile has been used */
            rows_load<W, SIDE>(keys, range.k + at.b * range.k_stride + head, count, s);
            rows_load<W, SIDE>(values, range.v + at.b * range.v_stride + head, count, s);
            __syncthreads();
            if (mine >= rows) continue; /* the same for all of a warp */
            rows_dot<W>(score, queries + mine * (W + GAP), keys);
            softmax_step<W>(sum, score, most, total, count, s.bits);
            rows_add<W>(sum, score, values);
        }
    }
    if (mine >= rows) return;
    total[0] = row_sum(total[0]);
    total[1] = row_sum(total[1]);
    float factor[2] = {1 / total[0], 1 / total[1]};
    long row = at.first + mine;
    rows_store<W>(o + ((at.b * s.S + row) * s.H + at.h) * s.D, NULL, sum, factor, rows - mine, s);
    for (int half = 0; half < 2; half++)
        if (threadIdx.x % 4 == 0 && mine + lane_row(2 * half) < rows)
            lse[(at.b * s.H + at.h) * s.S + row + lane_row(2 * half)] =
                most[half] * 0.69314718055994530942f + logf(total[half]);
}

/* ---- backward ---- */

/* Turns the products q.k and dout.v into p and ds / scale; lse is in bits. */
__device__ static inline void slopes(float &p, float &ds, float lse, float delta, float bits) {
    p = exp2f(p * bits - lse);
    ds = p * (ds - delta);
}

template <int W>
__global__ void __launch_bounds__(MMA_THREADS, 1)
    mma_dq_kernel(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q, struct mma_ranges all,
                  struct mma_sizes s) {
    DYNAMIC_SHARED(elem, shared);
    elem *queries = shared, *douts = queries + ROWS * (W + GAP), *keys = douts + ROWS * (W + GAP);
    elem *values = keys + SIDE * (W + GAP);
    struct mma_place at = mma_place_of_block(s);
    long rows = s.S - at.first, mine = threadIdx.x / 32 * 16, base = ((at.b * s.S + at.first) * s.H + at.h) * s.D;
    float sum[W / 8][4], log_sum[2], subtract[2];
    rows_zero<W>(sum);
    for (int half = 0; half < 2; half++) {
        long row = mine + lane_row(2 * half), place = (at.b * s.H + at.h) * s.S + at.first + row;
        log_sum[half] =
            row < rows ? lse[place] * 1.44269504088896340736f : INFINITY; /* makes all p of a row past the end zero */
        subtract[half] = row < rows ? delta[place] : 0;
    }
    rows_load<W, ROWS>(queries, q + base, rows, s);
    rows_load<W, ROWS>(douts, dout + base, rows, s);
    for (int r = 0; r < all.count; r++) {
        const struct attention_range &range = all.range[r];
        for (long first = 0; first < range.length; first += SIDE) {
            long count = range.length - first, head = (first * s.H + at.h) * s.D;
            float p[SIDE / 8][4], ds[SIDE / 8][4];
            __syncthreads();
            rows_load<W, SIDE>(keys, range.k + at.b * range.k_stride + head, count, s);
            rows_load<W, SIDE>(values, range.v + at.b * range.v_stride + head, count, s);
            __syncthreads();
            if (mine >= rows) continue;
            rows_dot<W>(p, queries + mine * (W + GAP), keys);
            rows_dot<W>(ds, douts + mine * (W + GAP), values);
#pragma unroll
            for (int n = 0; n < SIDE / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    slopes(p[n][i], ds[n][i], log_sum[i / 2], subtract[i / 2], s.bits);
                    /* keys past the end are rows of zeros, but where
                                           true scores are far lower their p is infinite */
                    if (n * 8 + lane_column(i) >= count) ds[n][i] = 0;
                }
            rows_add<W>(sum, ds, keys);
        }
    }
    if (mine >= rows) return;
    float factor[2] = {s.scale, s.scale};
    rows_store<W>(dq + base + mine * s.H * s.D, NULL, sum, factor, rows - mine, s);
}

template <int W>
__global__ void __launch_bounds__(MMA_THREADS, 1)
    mma_dkdv_kernel(const elem *dout, const real *lse, const real *delta, const elem *q, struct attention_range range,
                    struct mma_sizes s) {
    DYNAMIC_SHARED(elem, shared);
    __shared__ float log_sum[SIDE], subtract[SIDE];
    elem *keys = shared, *values = keys + ROWS * (W + GAP), *queries = values + ROWS * (W + GAP);
    elem *douts = queries + SIDE * (W + GAP);
    struct mma_place at = mma_place_of_block(s);
    long rows = range.length - at.first, mine = threadIdx.x / 32 * 16;
    long k_at = at.b * range.k_stride + (at.first * s.H + at.h) * s.D;
    long v_at = at.b * range.v_stride + (at.first * s.H + at.h) * s.D;
    float dk[W / 8][4], dv[W / 8][4];
    rows_zero<W>(dk);
    rows_zero<W>(dv);
    rows_load<W, ROWS>(keys, range.k + k_at, rows, s);
    rows_load<W, ROWS>(values, range.v + v_at, rows, s);
    for (long first = 0; first < s.S; first += SIDE) {
        long base = ((at.b * s.S + first) * s.H + at.h) * s.D, place = (at.b * s.H + at.h) * s.S + first;
        float p[SIDE / 8][4], ds[SIDE / 8][4];
        __syncthreads();
        rows_load<W, SIDE>(queries, q + base, s.S - first, s);
        rows_load<W, SIDE>(douts, dout + base, s.S - first, s);
        if (threadIdx.x < SIDE) {
            int there = first + threadIdx.x < s.S;
            log_sum[threadIdx.x] = there ? lse[place + threadIdx.x] * 1.44269504088896340736f : INFINITY;
            subtract[threadIdx.x] = there ? delta[place + threadIdx.x] : 0;
        }
        __syncthreads();
        if (mine >= rows) continue;
        rows_dot<W>(p, keys + mine * (W + GAP), queries);
        rows_dot<W>(ds, values + mine * (W + GAP), douts);
#pragma unroll
        for (int n = 0; n < SIDE / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int query = n * 8 + lane_column(i);
                slopes(p[n][i], ds[n][i], log_sum[query], subtract[query], s.bits);
            }
        rows_add<W>(dv, p, douts);
        rows_add<W>(dk, ds, queries);
    }
    if (mine >= rows) return;
    long packed = ((at.b * range.length + at.first + mine) * s.H + at.h) * s.D, row = mine * s.H * s.D;
    float scale[2] = {s.scale, s.scale}, one[2] = {1, 1};
    rows_store<W>(range.dk ? range.dk + packed : NULL, range.dk_sum ? range.dk_sum + k_at + row : NULL, dk, scale,
                  rows - mine, s);
    rows_store<W>(range.dv ? range.dv + packed : NULL, range.dv_sum ? range.dv_sum + v_at + row : NULL, dv, one,
                  rows - mine, s);
}

/* ---- launches ---- */

/* 1: the kernels take the problem: rows can be read by 16 bytes. */
static int mma_takes(const struct attention *a, const elem *q, const elem *other) {
    int takes = a->D % 8 == 0 && a->D <= HEAD_MAX && aligned16(q) && aligned16(other);
    for (int r = 0; r < a->count; r++) {
        const struct attention_range *range = &a->ranges[r];
        takes =
            takes && aligned16(range->k) && aligned16(range->v) && range->k_stride % 8 == 0 && range->v_stride % 8 == 0;
    }
    return takes;
}

static struct mma_sizes mma_sizes_of(const struct attention *a, long rows) {
    return (struct mma_sizes){a->S, a->H, a->D, divide_up(rows, ROWS), a->scale, a->scale * 1.44269504088896340736f};
}

static struct mma_ranges mma_copy_ranges(const struct attention *a) {
    struct mma_ranges all = {{}, a->count};
    for (int r = 0; r < a->count; r++) all.range[r] = a->ranges[r];
    return all;
}

static long mma_blocks(const struct attention *a, long rows) {
    long blocks = launch_blocks(a->B * a->H * divide_up(rows, ROWS), 1);
    if (blocks < 0) device_fail("attention: %ld samples of %ld rows: too many", a->B, rows);
    return blocks < 0 ? 0 : blocks;
}

/* Launches a kernel with `tiles` rows in shared memory; more than 48 kB must be asked for. */
#define LAUNCH_MMA_WIDTH(kernel, W, grid, tiles, ...)                                                                  \
    do {                                                                                                               \
        int bytes = (int)sizeof(elem) * (tiles) * ((W) + GAP);                                                         \
        if (bytes > 48 << 10)                                                                                          \
            cuda_failed(cudaFuncSetAttribute(kernel<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), #kernel); \
        LAUNCH(kernel<W>, grid, MMA_THREADS, bytes, __VA_ARGS__);                                                      \
    } while (0)
#define LAUNCH_MMA(kernel, D, grid, tiles, ...)                                                                        \
    do {                                                                                                               \
        if ((D) <= 32)                                                                                                 \
            LAUNCH_MMA_WIDTH(kernel, 32, grid, tiles, __VA_ARGS__);                                                    \
        else if ((D) <= 64)                                                                                            \
            LAUNCH_MMA_WIDTH(kernel, 64, grid, tiles, __VA_ARGS__);                                                    \
        else                                                                                                           \
            LAUNCH_MMA_WIDTH(kernel, 128, grid, tiles, __VA_ARGS__);                                                   \
    } while (0)

int attention_mma_forward(elem *o, real *lse, const elem *q, const struct attention *a) {
    if (!mma_takes(a, q, o)) return 0;
    struct mma_ranges all = mma_copy_ranges(a);
    struct mma_sizes s = mma_sizes_of(a, a->S);
    long blocks = mma_blocks(a, a->S);
    if (blocks) LAUNCH_MMA(mma_forward_kernel, a->D, blocks, ROWS + 2 * SIDE, o, lse, q, all, s);
    return 1;
}

int attention_mma_backward(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q,
                           const struct attention *a) {
    if (!mma_takes(a, q, dout)) return 0;
    for (int r = 0; r < a->count; r++) {
        struct attention_range range = a->ranges[r];
        long blocks = mma_blocks(a, range.length);
        if (!blocks || (!range.dk && !range.dv && !range.dk_sum && !range.dv_sum)) continue;
        struct mma_sizes s = mma_sizes_of(a, range.length);
        LAUNCH_MMA(mma_dkdv_kernel, a->D, blocks, 2 * ROWS + 2 * SIDE, dout, lse, delta, q, range, s);
    }
    struct mma_ranges all = mma_copy_ranges(a);
    struct mma_sizes s = mma_sizes_of(a, a->S);
    long blocks = mma_blocks(a, a->S);
    if (dq && blocks) LAUNCH_MMA(mma_dq_kernel, a->D, blocks, 2 * ROWS + 2 * SIDE, dq, dout, lse, delta, q, all, s);
    return 1;
}

#else /* tensor cores have no float of this precision */

int attention_mma_forward(elem *o, real *lse, const elem *q, const struct attention *a) {
    return (void)o, (void)lse, (void)q, (void)a, 0;
}

int attention_mma_backward(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q,
                           const struct attention *a) {
    return (void)dq, (void)dout, (void)lse, (void)delta, (void)q, (void)a, 0;
}

#endif
