/* signal.cu: rows over time: windows, statistics and norms of channels, interpolation.
   Audio is short (tens of thousands of numbers a second), so the kernels are plain. */
#include "kernels/cuda/kernel.cuh"

struct unfold {
    elem *y;
    const elem *x;
    long width, stride;
    __device__ void at(long i) const { y[i] = x[i / width * stride + i % width]; }
};

void unfold_rows(elem *y, const elem *x, long n, long width, long stride) {
    for_each_one(unfold{y, x, width, stride}, n * width);
}

/* A block has 32 columns side by side (whole lines of memory) and eight runs of rows, each summed in double; the runs
   are added in order. The variance of two parts with weights 1 - w and w is that within the parts plus
   w (1 - w) (difference of means)^2. */
enum { COLUMNS = 32, RUNS = BLOCK_THREADS / COLUMNS };

__device__ static inline double sum_of_runs(double v) {
    __shared__ double part[RUNS][COLUMNS];
    __syncthreads();
    part[threadIdx.x / COLUMNS][threadIdx.x % COLUMNS] = v;
    __syncthreads();
    v = 0;
    for (int r = 0; r < RUNS; r++) v += part[r][threadIdx.x % COLUMNS];
    return v;
}

__global__ void __launch_bounds__(BLOCK_THREADS)
    channel_moments_kernel(real *mean, real *variance, const real *x, long n, long d, real weight) {
    long c = blockIdx.x * (long)COLUMNS + threadIdx.x % COLUMNS, run = threadIdx.x / COLUMNS;
    double sum = 0, squares = 0;
    for (long r = run; r < n && c < d; r += RUNS) sum += x[r * d + c];
    double m = sum_of_runs(sum) / (double)n;
    for (long r = run; r < n && c < d; r += RUNS) squares += (x[r * d + c] - m) * (x[r * d + c] - m);
    double v = sum_of_runs(squares) / (double)n;
    if (run || c >= d) return;
    if (weight != 1) {
        double off = m - mean[c];
        m = mean[c] + weight * off;
        v = (1 - (double)weight) * variance[c] + weight * v + weight * (1 - (double)weight) * off * off;
    }
    mean[c] = (real)m;
    variance[c] = (real)v;
}

void channel_moments(real *mean, real *variance, const real *x, long n, long d, real weight) {
    long blocks = launch_blocks(d, COLUMNS);
    if (blocks > 0) LAUNCH(channel_moments_kernel, blocks, BLOCK_THREADS, 0, mean, variance, x, n, d, weight);
}

struct normalise_channels {
    elem *y;
    const real *x, *mean, *variance;
    const elem *w, *b;
    long d;
    real eps;
    __device__ void at(long i) const {
        long c = i % d;
        double rstd = 1 / sqrt((double)variance[c] + (double)eps);
        float factor = (float)rstd * (w ? to_float(w[c]) : 1);
        y[i] = from_float<elem>((x[i] - mean[c]) * factor + (b ? to_float(b[c]) : 0));
    }
};

void channel_norm(elem *y, const real *x, const real *mean, const real *variance, const elem *w, const elem *b, long n,
                  long d, real eps) {
    for_each_one(normalise_channels{y, x, mean, variance, w, b, d, eps}, n * d);
}

/* Places are in double, because a row number in the thousands must not cost the fraction
   between two rows its digits. */
struct interpolate {
    real *y;
    const real *x;
    long n, d;
    double first, step;
    __device__ void at(long i) const {
        double place = first + (double)(i / d) * step, last = (double)(n - 1);
        place = place < 0 ? 0 : place > last ? last : place;
        long low = (long)place, high = low + 1 < n ? low + 1 : low;
        real share = (real)(place - (double)low);
        y[i] = (1 - share) * x[low * d + i % d] + share * x[high * d + i % d];
    }
};

void interpolate_rows(real *y, const real *x, long n, long m, long d, double first, double step) {
    for_each_one(interpolate{y, x, n, d, first, step}, m * d);
}
