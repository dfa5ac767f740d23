/* column_sums.cu: sums over rows in a fixed order: adds partial sums that other kernels
   left, and sums a whole matrix. */
#include "kernels/cuda/rows/rows.cuh"

/* A block has 32 columns side by side, so that it reads whole lines of memory, and 8 rows of threads, each with a run
   of parts of its own, because one thread alone would wait for every load of a long column. */
enum { COLUMNS = 32, RUNS = 8 };

__global__ void __launch_bounds__(COLUMNS *RUNS)
    add_parts_kernel(real *out, const float *partial, long parts, long d, long stride, long tiles) {
    __shared__ float sum[RUNS][COLUMNS];
    long group = quotient(blockIdx.x, tiles), i = (blockIdx.x - group * tiles) * COLUMNS + threadIdx.x % COLUMNS;
    int run = threadIdx.x / COLUMNS;
    float s = 0;
    if (i < d)
        for (long p = part_start(parts, RUNS, run); p < part_start(parts, RUNS, run + 1); p++)
            s += partial[(group * parts + p) * d + i];
    sum[run][threadIdx.x % COLUMNS] = s;
    __syncthreads();
    if (run || i >= d) return;
    for (int r = 1; r < RUNS; r++) s += sum[r][threadIdx.x];
    out[group * stride + i] += s;
}

void add_parts(real *out, const float *partial, long groups, long parts, long d, long stride) {
    long tiles = divide_up(d, COLUMNS), blocks = launch_blocks(groups * tiles, 1);
    if (!out || blocks == 0) return;
    if (blocks < 0) return device_fail("sums of %ld groups of %ld columns: too many", groups, d);
    LAUNCH(add_parts_kernel, blocks, COLUMNS * RUNS, 0, out, partial, parts, d, stride, tiles);
}

/* Sums a part of the rows; a block has BLOCK_THREADS V columns. */
template <int V>
__global__ void __launch_bounds__(BLOCK_THREADS)
    column_sums_kernel(float *partial, const elem *x, long n, long d, long parts, long tiles) {
    long part = quotient(blockIdx.x, tiles), c = ((blockIdx.x - part * tiles) * BLOCK_THREADS + threadIdx.x) * V;
    float sum[V] = {0};
    if (c >= d) return;
    for (long r = part_start(n, parts, part); r < part_start(n, parts, part + 1); r++) {
        float v[V];
        load(v, x + r * d + c);
#pragma unroll
        for (int j = 0; j < V; j++) sum[j] += v[j];
    }
    store(partial + part * d + c, sum);
}

void column_sums(real *out, const elem *x, long n, long d) {
    int vectorised = aligned16(x) && d % VECTOR == 0;
    long tiles = divide_up(d, BLOCK_THREADS * (vectorised ? (long)VECTOR : 1)), bytes = (long)sizeof(float) * d;
    /* here tiles of columns are what groups are elsewhere */
    long parts = sum_parts(tiles, n, divide_up(bytes, tiles), (long)cuda_workspace_left());
    if (n <= 0) return;
    float *partial = (float *)workspace_push((size_t)(parts * bytes));
    if (!partial) return;
    if (vectorised)
        LAUNCH(column_sums_kernel<VECTOR>, parts * tiles, BLOCK_THREADS, 0, partial, x, n, d, parts, tiles);
    else
        LAUNCH(column_sums_kernel<1>, parts * tiles, BLOCK_THREADS, 0, partial, x, n, d, parts, tiles);
    add_parts(out, partial, 1, parts, d, 0);
    workspace_pop(partial);
}
