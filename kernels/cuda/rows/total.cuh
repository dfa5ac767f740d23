/* total.cuh: the sum of f(i) over many i into one number, in double and in a fixed order, without a
   round trip to the host: a fixed number of blocks leave partial sums in the workspace, one block adds
   them up in order. f may write gradients as it goes. */
#ifndef KERNELS_CUDA_ROWS_TOTAL_CUH
#define KERNELS_CUDA_ROWS_TOTAL_CUH

#include "kernels/cuda/kernel.cuh"

/* Number of blocks, which depends on the size alone. 1024 fill any device; eight terms to
   a thread make the second step worth while. */
static inline long total_parts(long n) {
    long parts = divide_up(n, 8 * BLOCK_THREADS);
    return parts < 1 ? 1 : parts > SUM_BLOCKS ? SUM_BLOCKS : parts;
}

template <class F>
__global__ void __launch_bounds__(BLOCK_THREADS) partial_kernel(F f, long n, long parts, double *partial) {
    long sample = quotient(blockIdx.x, parts), part = blockIdx.x - sample * parts;
    double sum = 0;
    for (long i = part * BLOCK_THREADS + threadIdx.x; i < n; i += parts * BLOCK_THREADS) sum += f.at(sample * n + i);
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

/* Adds up the partial sums and calls g.at(sample, total). */
template <class G>
__global__ void __launch_bounds__(BLOCK_THREADS) total_kernel(G g, long parts, const double *partial) {
    double sum = 0;
    for (long i = threadIdx.x; i < parts; i += BLOCK_THREADS) sum += partial[blockIdx.x * parts + i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) g.at(blockIdx.x, sum);
}

/* Calls g.at(sample, sum over i < n of f.at(sample n + i)) for each sample. */
template <class F, class G> static void total(F f, G g, long samples, long n) {
    long parts = total_parts(n), blocks = launch_blocks(samples * parts, 1);
    if (blocks < 0) return device_fail("sums of %ld samples: too many", samples);
    if (blocks == 0) return;
    double *partial = (double *)workspace_push(sizeof(double) * (size_t)blocks);
    if (!partial) return;
    LAUNCH(partial_kernel<F>, blocks, BLOCK_THREADS, 0, f, n, parts, partial);
    LAUNCH(total_kernel<G>, samples, BLOCK_THREADS, 0, g, parts, partial);
    workspace_pop(partial);
}

#endif
