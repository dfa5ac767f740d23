/* attention_plain.cu: attention in float arithmetic by tiles with online softmax (Milakov and Gimelshein
   2018; Dao 2022): no S x K buffer, any width of heads, any number type. The kernels on tensor cores are held
   against it. A block has a tile of queries (backward to keys and values: of keys) of one head of one sample,
   and walks the other side tile by tile in index order, so sums have one order and no number has two writers.
   The backward computes the scores twice, once for dq and once for dk and dv: the price of no atomics. With p
   = exp(scale q.k - lse), ds = p (dout.v - delta) scale:  dq = sum ds k,  dk = sum ds q,  dv = sum p dout. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/attention/attention.h"

/* A tile is 16 x 16 scores, two to a thread, in four warps. Rows of the tiles are a number longer than they need to be,
   against bank conflicts. At the widest head (256) two tiles take 33 kB of shared memory, four 66 kB. */
enum { TILE = 16, THREADS = 128, LANES = THREADS / TILE, PITCH_EXTRA = 1 };

struct ranges {
    struct attention_range range[ATTENTION_RANGES_MAX];
    int count;
};

struct sizes {
    long S, H, D, tiles; /* tiles: number of tiles of a head's queries (or keys) */
    float scale;
};

/* The block's place: sample, head, first row of its tile. */
struct place {
    long b, h, first;
};
__device__ static inline struct place place_of_block(const struct sizes &s) {
    long head = blockIdx.x / s.tiles;
    return {head / s.H, head % s.H, blockIdx.x % s.tiles * TILE};
}

/* Loads `rows` rows of one head, H D apart, into a tile; the rest is zero. */
__device__ static inline void tile_load(float *tile, const elem *from, long rows, const struct sizes &s) {
    for (int t = threadIdx.x; t < TILE * (int)s.D; t += THREADS) {
        int r = t / (int)s.D, d = t % (int)s.D;
        tile[r * (s.D + PITCH_EXTRA) + d] = r < rows ? to_float(from[r * s.H * s.D + d]) : 0;
    }
}

/* score[i][j] = a_i . b_j */
__device__ static inline void tile_dot(float (*score)[TILE + 1], const float *a, const float *b, long D) {
    for (int t = threadIdx.x; t < TILE * TILE; t += THREADS) {
        const float *u = a + t / TILE * (D + PITCH_EXTRA), *v = b + t % TILE * (D + PITCH_EXTRA);
        float sum = 0;
        for (long d = 0; d < D; d++) sum += u[d] * v[d];
        score[t / TILE][t % TILE] = sum;
    }
}

/* The numbers of a [TILE][D] sum that one thread holds: row threadIdx.x / LANES, columns threadIdx.x % LANES + k LANES.
   W, at least D, is the number of columns. */
template <int W> struct own_sums { float x[W / LANES]; };
template <int W> __device__ inline void sums_zero(own_sums<W> &s) {
#pragma unroll
    for (int k = 0; k < W / LANES; k++) s.x[k] = 0;
}
/* s += sum over j of weight_j tile_j, weight_j at weight[j stride] */
template <int W>
__device__ inline void sums_add(own_sums<W> &s, const float *weight, int stride, const float *tile, long D) {
    for (int j = 0; j < TILE; j++) {
        float w = weight[j * stride];
#pragma unroll
        for (int k = 0; k < W / LANES; k++) {
            int d = threadIdx.x % LANES + k * LANES;
            if (d < D) s.x[k] += w * tile[j * (D + PITCH_EXTRA) + d];
        }
    }
}

/* ---- forward ---- */

/* Bias of T5 (Raffel 2020): row[h (2 reach - 1) + s - t + reach - 1] is added to the
   score of query s and key t of head h. */
struct relative_bias {
    const real *row; /* NULL: nothing */
    long reach;
    __device__ float at(long h, long query, long key) const {
        return row ? row[h * (2 * reach - 1) + query - key + reach - 1] : 0;
    }
};

/* The forward; lse NULL: not wanted. */
template <int W>
__global__ void __launch_bounds__(THREADS)
    attention_forward_kernel(elem *o, real *lse, const elem *q, struct ranges all, struct relative_bias bias,
                             struct sizes s) {
    DYNAMIC_SHARED(float, shared);
    __shared__ float score[TILE][TILE + 1];
    float *queries = shared, *keys = shared + TILE * (s.D + PITCH_EXTRA); /* keys, then values */
    struct place at = place_of_block(s);
    long rows = s.S - at.first < TILE ? s.S - at.first : TILE, mine = threadIdx.x / LANES;
    own_sums<W> sum;
    float largest = -INFINITY, total = 0;
    sums_zero(sum);
    tile_load(queries, q + ((at.b * s.S + at.first) * s.H + at.h) * s.D, rows, s);
    for (int r = 0; r < all.count; r++) {
        const struct attention_range &range = all.range[r];
        for (long first = 0; first < range.length; first += TILE) {
            long count = range.length - first < TILE ? range.length - first : TILE, head = (first * s.H + at.h) * s.D;
            __syncthreads(); /* the last tile has been used */
            tile_load(keys, range.k + at.b * range.k_stride + head, count, s);
            __syncthreads();
            tile_dot(score, queries, keys, s.D);
            __syncthreads();
            tile_load(keys, range.v + at.b * range.v_stride + head, count, s);
            float most = largest, weight[TILE];
#pragma unroll
            for (int j = 0; j < TILE; j++) {
                weight[j] = -INFINITY;
                if (j < count && mine < rows)
                    weight[j] = s.scale * score[mine][j] + bias.at(at.h, at.first + mine, first + j);
                most = fmaxf(most, weight[j]);
            }
            float shrink = mine < rows ? expf(largest - most) : 0;
            total *= shrink;
#pragma unroll
            for (int j = 0; j < TILE; j++) {
                weight[j] = mine < rows ? expf(weight[j] - most) : 0;
                total += weight[j];
            }
#pragma unroll
            for (int k = 0; k < W / LANES; k++) sum.x[k] *= shrink;
            largest = most;
            __syncthreads();
            sums_add(sum, weight, 1, keys, s.D);
        }
    }
    if (mine >= rows) return;
    long row = at.first + mine;
#pragma unroll
    for (int k = 0; k < W / LANES; k++) {
        int d = threadIdx.x % LANES + k * LANES;
        if (d < s.D) o[((at.b * s.S + row) * s.H + at.h) * s.D + d] = from_float<elem>(sum.x[k] / total);
    }
    if (lse && threadIdx.x % LANES == 0) lse[(at.b * s.H + at.h) * s.S + row] = largest + logf(total);
}

/* ---- backward ---- */

/* Makes delta; a warp has one row. */
__global__ void __launch_bounds__(THREADS)
    attention_delta_kernel(real *delta, const elem *dout, const elem *o, long rows, struct sizes s) {
    long row = blockIdx.x * (THREADS / 32L) + threadIdx.x / 32; /* (b S + i) H + h */
    if (row >= rows) return;
    float sum = 0;
    for (long d = threadIdx.x % 32; d < s.D; d += 32) sum += to_float(dout[row * s.D + d]) * to_float(o[row * s.D + d]);
    sum = warp_sum(sum);
    long h = row % s.H, i = row / s.H % s.S, b = row / (s.H * s.S);
    if (threadIdx.x % 32 == 0) delta[(b * s.H + h) * s.S + i] = sum;
}

/* Turns score and dscore, the products q.k and dout.v of a tile, into p and ds. Rows are
   queries when BY_QUERY, otherwise keys. */
template <int BY_QUERY>
__device__ static inline void softmax_slopes(float (*score)[TILE + 1], float (*dscore)[TILE + 1], const real *lse,
                                             const real *delta, long queries, long keys, float scale) {
    for (int t = threadIdx.x; t < TILE * TILE; t += THREADS) {
        int i = t / TILE, j = t % TILE, query = BY_QUERY ? i : j, key = BY_QUERY ? j : i;
        int inside = query < queries && key < keys;
        float p = inside ? expf(scale * score[i][j] - lse[query]) : 0;
        score[i][j] = p;
        dscore[i][j] = inside ? p * (dscore[i][j] - delta[query]) * scale : 0;
    }
}

template <int W>
__global__ void __launch_bounds__(THREADS)
    attention_dq_kernel(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q,
                        struct ranges all, struct sizes s) {
    DYNAMIC_SHARED(float, shared);
    __shared__ float score[TILE][TILE + 1], dscore[TILE][TILE + 1];
    long tile = TILE * (s.D + PITCH_EXTRA);
    float *queries = shared, *douts = shared + tile, *keys = shared + 2 * tile, *values = shared + 3 * tile;
    struct place at = place_of_block(s);
    long rows = s.S - at.first < TILE ? s.S - at.first : TILE, mine = threadIdx.x / LANES;
    long base = ((at.b * s.S + at.first) * s.H + at.h) * s.D, statistics = (at.b * s.H + at.h) * s.S + at.first;
    own_sums<W> sum;
    sums_zero(sum);
    tile_load(queries, q + base, rows, s);
    tile_load(douts, dout + base, rows, s);
    for (int r = 0; r < all.count; r++) {
        const struct attention_range &range = all.range[r];
        for (long first = 0; first < range.length; first += TILE) {
            long count = range.length - first < TILE ? range.length - first : TILE, head = (first * s.H + at.h) * s.D;
            __syncthreads();
            tile_load(keys, range.k + at.b * range.k_stride + head, count, s);
            tile_load(values, range.v + at.b * range.v_stride + head, count, s);
            __syncthreads();
            tile_dot(score, queries, keys, s.D);
            tile_dot(dscore, douts, values, s.D);
            __syncthreads();
            softmax_slopes<1>(score, dscore, lse + statistics, delta + statistics, rows, count, s.scale);
            __syncthreads();
            sums_add(sum, dscore[mine], 1, keys, s.D);
        }
    }
    if (mine >= rows) return;
#pragma unroll
    for (int k = 0; k < W / LANES; k++) {
        int d = threadIdx.x % LANES + k * LANES;
        if (d < s.D) dq[base + mine * s.H * s.D + d] = from_float<elem>(sum.x[k]);
    }
}

template <int W>
__global__ void __launch_bounds__(THREADS)
    attention_dkdv_kernel(const elem *dout, const real *lse, const real *delta, const elem *q,
                          struct attention_range range, struct sizes s) {
    DYNAMIC_SHARED(float, shared);
    __shared__ float score[TILE][TILE + 1], dscore[TILE][TILE + 1];
    long tile = TILE * (s.D + PITCH_EXTRA);
    float *keys = shared, *values = shared + tile, *queries = shared + 2 * tile, *douts = shared + 3 * tile;
    struct place at = place_of_block(s);
    long rows = range.length - at.first < TILE ? range.length - at.first : TILE, mine = threadIdx.x / LANES;
    long k_at = at.b * range.k_stride + (at.first * s.H + at.h) * s.D;
    long v_at = at.b * range.v_stride + (at.first * s.H + at.h) * s.D;
    own_sums<W> dk, dv;
    sums_zero(dk);
    sums_zero(dv);
    tile_load(keys, range.k + k_at, rows, s);
    tile_load(values, range.v + v_at, rows, s);
    for (long first = 0; first < s.S; first += TILE) {
        long count = s.S - first < TILE ? s.S - first : TILE, base = ((at.b * s.S + first) * s.H + at.h) * s.D;
        long statistics = (at.b * s.H + at.h) * s.S + first;
        __syncthreads();
        tile_load(queries, q + base, count, s);
        tile_load(douts, dout + base, count, s);
        __syncthreads();
        tile_dot(score, keys, queries, s.D);
        tile_dot(dscore, values, douts, s.D);
        __syncthreads();
        softmax_slopes<0>(score, dscore, lse + statistics, delta + statistics, count, rows, s.scale);
        __syncthreads();
        sums_add(dk, dscore[mine], 1, queries, s.D);
        sums_add(dv, score[mine], 1, douts, s.D);
    }
    if (mine >= rows) return;
    long packed = ((at.b * range.length + at.first + mine) * s.H + at.h) * s.D, row = mine * s.H * s.D;
#pragma unroll
    for (int k = 0; k < W / LANES; k++) {
        int d = threadIdx.x % LANES + k * LANES;
        if (d >= s.D) continue;
        if (range.dk) range.dk[packed + d] = from_float<elem>(dk.x[k]);
        if (range.dv) range.dv[packed + d] = from_float<elem>(dv.x[k]);
        if (range.dk_sum) range.dk_sum[k_at + row + d] += dk.x[k];
        if (range.dv_sum) range.dv_sum[v_at + row + d] += dv.x[k];
    }
}

/* ---- launches ---- */

static struct sizes sizes_of(const struct attention *a, long rows) {
    return (struct sizes){a->S, a->H, a->D, divide_up(rows, TILE), a->scale};
}

static size_t tiles_bytes(int tiles, long D) { return sizeof(float) * (size_t)(tiles * TILE * (D + PITCH_EXTRA)); }

/* Launches a kernel; shared memory beyond 48 kB must be asked for. */
#define LAUNCH_WIDTH(kernel, W, grid, bytes, ...)                                                                      \
    do {                                                                                                               \
        if ((bytes) > 48 << 10)                                                                                        \
            cuda_failed(cudaFuncSetAttribute(kernel<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes)),    \
                        #kernel);                                                                                      \
        LAUNCH(kernel<W>, grid, THREADS, bytes, __VA_ARGS__);                                                          \
    } while (0)
#define LAUNCH_HEADS(kernel, D, grid, bytes, ...)                                                                      \
    do {                                                                                                               \
        if ((D) <= 64)                                                                                                 \
            LAUNCH_WIDTH(kernel, 64, grid, bytes, __VA_ARGS__);                                                        \
        else if ((D) <= 128)                                                                                           \
            LAUNCH_WIDTH(kernel, 128, grid, bytes, __VA_ARGS__);                                                       \
        else                                                                                                           \
            LAUNCH_WIDTH(kernel, 256, grid, bytes, __VA_ARGS__);                                                       \
    } while (0)

static struct ranges copy_ranges(const struct attention *a) {
    struct ranges all = {{}, a->count};
    for (int r = 0; r < a->count; r++) all.range[r] = a->ranges[r];
    return all;
}

/* Number of blocks for tiles of `rows` rows of every head; 0: none, or a failure that is kept. */
static long head_blocks(const struct attention *a, long rows) {
    long blocks = launch_blocks(a->B * a->H * divide_up(rows, TILE), 1);
    if (blocks < 0) device_fail("attention: %ld samples of %ld rows: too many", a->B, rows);
    return blocks < 0 ? 0 : blocks;
}

void attention_plain_forward(elem *o, real *lse, const elem *q, const struct attention *a) {
    struct ranges all = copy_ranges(a);
    struct sizes s = sizes_of(a, a->S);
    long blocks = head_blocks(a, a->S);
    if (blocks)
        LAUNCH_HEADS(attention_forward_kernel, a->D, blocks, tiles_bytes(2, a->D), o, lse, q, all, relative_bias{}, s);
}

/* Attention with T5's bias. Prompts are encoded once, outside of steps, so that tensor
   cores are not worth a kernel of their own here. */
void attention_relative_forward(elem *o, const elem *q, const elem *k, const elem *v, const real *bias, long S, long H,
                                long D, long reach, real scale) {
    struct attention_range range = {k, v, S, 0, 0, NULL, NULL, NULL, NULL};
    struct attention a = {&range, 1, 1, S, H, D, scale};
    if (D > ATTENTION_HEAD_MAX)
        return device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
    struct ranges all = copy_ranges(&a);
    struct sizes s = sizes_of(&a, S);
    long blocks = head_blocks(&a, S);
    if (blocks)
        LAUNCH_HEADS(attention_forward_kernel, D, blocks, tiles_bytes(2, D), o, (real *)NULL, q, all,
                     (relative_bias{bias, reach}), s);
}

void attention_delta(real *delta, const elem *dout, const elem *o, long B, long S, long H, long D) {
    struct sizes s = {S, H, D, 0, 0};
    long blocks = launch_blocks(B * S * H, THREADS / 32);
    if (blocks < 0) return device_fail("attention: %ld rows: too many", B * S * H);
    if (blocks) LAUNCH(attention_delta_kernel, blocks, THREADS, 0, delta, dout, o, B * S * H, s);
}

void attention_plain_backward(elem *dq, const elem *dout, const real *lse, const real *delta, const elem *q,
                              const struct attention *a) {
    for (int r = 0; r < a->count; r++) {
        struct attention_range range = a->ranges[r];
        long blocks = head_blocks(a, range.length);
        if (!blocks || (!range.dk && !range.dv && !range.dk_sum && !range.dv_sum)) continue;
        struct sizes s = sizes_of(a, range.length);
        LAUNCH_HEADS(attention_dkdv_kernel, a->D, blocks, tiles_bytes(4, a->D), dout, lse, delta, q, range, s);
    }
    struct ranges all = copy_ranges(a);
    struct sizes s = sizes_of(a, a->S);
    long blocks = head_blocks(a, a->S);
    if (dq && blocks)
        LAUNCH_HEADS(attention_dq_kernel, a->D, blocks, tiles_bytes(4, a->D), dq, dout, lse, delta, q, all, s);
}
