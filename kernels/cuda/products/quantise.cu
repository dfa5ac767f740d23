/* quantise.cu: rows of 8-bit numbers with a scale each (kernels/quantised.h). A block has a row of any width, which it
   reads twice: for the largest magnitude, and, from the cache, for the codes. */
#include "kernels/cuda/rows/quantise.cuh"
/* behind that, which defines what it needs */
#include "kernels/cuda/products/gelu.cuh"

struct widen_rows {
    elem *y;
    const uint8_t *codes;
    const real *scale;
    enum quantised_type type;
    long d;
    template <int V, class I> __device__ void at(I i) const {
        float x[V], size = scale[quotient(i, d)];
        load_codes(x, codes + i, type);
#pragma unroll
        for (int j = 0; j < V; j++) x[j] *= size;
        store(y + i, x);
    }
};

void rows_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, long n, long d) {
    for_each_place(widen_rows{y, codes, scale, type, d}, n * d, aligned16(y) && aligned16(codes) && d % VECTOR == 0);
}

struct as_it_is {
    __device__ static float of(float x) { return x; }
};
struct through_gelu {
    __device__ static float of(float x) { return gelu_value(x); }
};

template <int V, class F>
__global__ void __launch_bounds__(BLOCK_THREADS)
    rows_quantise_kernel(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long d) {
    const long at = blockIdx.x * d;
    unsigned most = 0;
    for (long i = threadIdx.x * V; i < d; i += blockDim.x * V) {
        float v[V];
        load(v, x + at + i);
#pragma unroll
        for (int j = 0; j < V; j++) most = larger_magnitude(most, F::of(v[j]));
    }
    float size = block_largest(most), factor = quantised_factor(size, type);
    if (threadIdx.x == 0) scale[blockIdx.x] = quantised_scale(size, type);
    for (long i = threadIdx.x * V; i < d; i += blockDim.x * V) {
        float v[V];
        load(v, x + at + i);
#pragma unroll
        for (int j = 0; j < V; j++) v[j] = F::of(v[j]);
        store_codes(codes + at + i, v, factor, type);
    }
}

template <class F>
static void quantise_launch(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    long blocks = launch_blocks(n, 1);
    if (blocks < 0) return device_fail("quantised rows: %ld: too many", n);
    if (blocks == 0) return;
    int vectorised = aligned16(codes) && aligned16(x) && d % VECTOR == 0;
    long threads = divide_up(divide_up(d, vectorised ? VECTOR : 1), 32) * 32; /* a head is served by one warp */
    if (threads > BLOCK_THREADS) threads = BLOCK_THREADS;
    if (vectorised)
        LAUNCH((rows_quantise_kernel<VECTOR, F>), blocks, (unsigned)threads, 0, codes, scale, type, x, d);
    else
        LAUNCH((rows_quantise_kernel<1, F>), blocks, (unsigned)threads, 0, codes, scale, type, x, d);
}

void rows_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    quantise_launch<as_it_is>(codes, scale, type, x, n, d);
}

void gelu_quantise(uint8_t *codes, real *scale, enum quantised_type type, const elem *x, long n, long d) {
    quantise_launch<through_gelu>(codes, scale, type, x, n, d);
}
