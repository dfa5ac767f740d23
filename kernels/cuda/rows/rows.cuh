/* rows.cuh: rows of a matrix in the registers of a block, and sums over rows.
   A row of d numbers is split over the block's threads as launch.h's row_shape says: one read from memory serves the
   statistics and the result. A sum over rows is made in two steps without atomics: each block adds up a fixed part of
   the rows in registers and writes a partial sum to the workspace; add_parts adds the partial sums in order. */
#ifndef KERNELS_CUDA_ROWS_ROWS_CUH
#define KERNELS_CUDA_ROWS_ROWS_CUH

#include "kernels/cuda/kernel.cuh"

/* The part of a row that one thread holds. */
template <int V, int K> struct row { float x[K][V]; };

/* First column of piece k of the calling thread. Columns are 32 bits: a row in registers has at most ROW_WIDTH_MAX, as
   row_shape sees to. Rows lie at 64-bit distances. */
template <int V> __device__ inline unsigned column(int k) { return (k * blockDim.x + threadIdx.x) * V; }

/* Runs the body for each piece k, at column c, that lies in the row; V divides d, so that
   a piece lies in it whole or not at all. */
#define EACH_PIECE(V, K, d)                                                                                            \
    _Pragma("unroll") for (int k = 0; k < K; k++) if (unsigned c = column<V>(k); c < (unsigned)(d))

template <int V, int K, class T> __device__ inline void row_load(row<V, K> &r, const T *p, long d) {
#pragma unroll
    for (int k = 0; k < K; k++) {
        if (column<V>(k) < (unsigned)d) {
            load(r.x[k], p + column<V>(k));
        } else {
#pragma unroll
            for (int j = 0; j < V; j++) r.x[k][j] = 0;
        }
    }
}

template <int V, int K, class T> __device__ inline void row_store(T *p, const row<V, K> &r, long d) {
    EACH_PIECE(V, K, d) store(p + c, r.x[k]);
}

template <int V, int K> __device__ inline void row_fill(row<V, K> &r, float value) {
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int j = 0; j < V; j++) r.x[k][j] = value;
}

template <int V, int K> __device__ inline float row_squares(const row<V, K> &r) {
    float sum = 0;
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int j = 0; j < V; j++) sum += r.x[k][j] * r.x[k][j];
    return sum;
}

/* Launches kernel<V, K> for a shape. */
#define LAUNCH_ROWS(shape, kernel, grid, ...)                                                                          \
    do {                                                                                                               \
        if ((shape).vector > 1) {                                                                                      \
            switch ((shape).pieces) {                                                                                  \
            case 1:                                                                                                    \
                LAUNCH((kernel<VECTOR, 1>), grid, (shape).threads, 0, __VA_ARGS__);                                    \
                break;                                                                                                 \
            case 2:                                                                                                    \
                LAUNCH((kernel<VECTOR, 2>), grid, (shape).threads, 0, __VA_ARGS__);                                    \
                break;                                                                                                 \
            case 3:                                                                                                    \
                LAUNCH((kernel<VECTOR, 3>), grid, (shape).threads, 0, __VA_ARGS__);                                    \
                break;                                                                                                 \
            default:                                                                                                   \
                LAUNCH((kernel<VECTOR, 4>), grid, (shape).threads, 0, __VA_ARGS__);                                    \
            }                                                                                                          \
        } else {                                                                                                       \
            switch ((shape).pieces) {                                                                                  \
            case 1:                                                                                                    \
                LAUNCH((kernel<1, 1>), grid, (shape).threads, 0, __VA_ARGS__);                                         \
                break;                                                                                                 \
            case 4:                                                                                                    \
                LAUNCH((kernel<1, 4>), grid, (shape).threads, 0, __VA_ARGS__);                                         \
                break;                                                                                                 \
            default:                                                                                                   \
                LAUNCH((kernel<1, 16>), grid, (shape).threads, 0, __VA_ARGS__);                                        \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

/* The rows of a launch: `groups` groups of rows_per_group rows (the last may be shorter),
   each group cut into `parts` parts, one block each. */
struct row_parts {
    long n, rows_per_group, groups, parts;
};

struct row_span {
    long group, first, end; /* rows */
};
__device__ inline struct row_span span_of_block(const struct row_parts &p) {
    long block = blockIdx.x;
    struct row_span s = {block / p.parts, 0, 0};
    long start = s.group * p.rows_per_group, rows = p.n - start < p.rows_per_group ? p.n - start : p.rows_per_group;
    s.first = start + part_start(rows, p.parts, block % p.parts);
    s.end = start + part_start(rows, p.parts, block % p.parts + 1);
    return s;
}

/* Divides rows into parts. `sums` is the number of vectors of d floats that each block leaves in the workspace. With 0
   rows, or more than 32 bits hold (a failure, kept), groups is 0. */
static inline struct row_parts row_parts(long n, long rows_per_group, long d, int sums) {
    struct row_parts p = {n, rows_per_group, 0, 1};
    if (n <= 0) return p;
    if (!place_fits(n)) return device_fail("sums over %ld rows: too many", n), p;
    p.groups = divide_up(n, rows_per_group);
    long bytes = (long)sizeof(float) * d * (sums ? sums : 1), left = (long)cuda_workspace_left() - 64 * sums;
    p.parts = sum_parts(p.groups, rows_per_group, bytes, sums && left < 0 ? 0 : sums ? left : bytes * SUM_BLOCKS * 2);
    return p;
}

/* out[g stride + i] += sum over the group's parts of partial[(g parts + p) d + i], in the
   order of p; out NULL: nothing. In column_sums.cu. */
void add_parts(real *out, const float *partial, long groups, long parts, long d, long stride);
/* Takes room in the workspace for the blocks' partial sums of `sum`; NULL: the sum is not
   wanted, or there is no room, and a failure is kept. */
static inline float *sums_push(const real *sum, long blocks, long d) {
    return sum ? (float *)workspace_push(sizeof(float) * (size_t)(blocks * d)) : NULL;
}
/* out[i] += sum over the rows of x[r, i]; x [n, d], d of any width. Takes workspace. */
void column_sums(real *out, const elem *x, long n, long d);

#endif
