/* quantise.cuh: what the kernels that make 8-bit rows (kernels/quantised.h) share: the largest magnitude of a block's
   numbers, and codes side by side. Magnitudes are compared as whole numbers, in whose order a NaN is above all others.
   */
#ifndef KERNELS_CUDA_ROWS_QUANTISE_CUH
#define KERNELS_CUDA_ROWS_QUANTISE_CUH

#include "kernels/cuda/rows/rows.cuh"

__device__ inline unsigned larger_magnitude(unsigned most, float v) {
    unsigned bits = __float_as_uint(v) & 0x7fffffffu;
    return bits > most ? bits : most;
}

/* The largest of all threads' magnitudes, for every thread; the block is a whole number of warps. */
__device__ inline float block_largest(unsigned most) {
    __shared__ unsigned part[32];
    int warps = blockDim.x / 32, warp = threadIdx.x / 32;
    for (int lane = 16; lane > 0; lane /= 2) {
        unsigned other = __shfl_xor_sync(0xffffffffu, most, lane);
        if (other > most) most = other;
    }
    if (warps > 1) {
        __syncthreads(); /* the previous largest has been read */
        if (threadIdx.x % 32 == 0) part[warp] = most;
        __syncthreads();
        for (int i = 0; i < warps; i++)
            if (part[i] > most) most = part[i];
    }
    return __uint_as_float(most);
}

/* Stores the codes of V numbers; with VECTOR the codes are aligned to as many bytes. factor 0: zeros. */
template <int V>
__device__ inline void store_codes(uint8_t *codes, const float (&x)[V], float factor, enum quantised_type type) {
    union {
        uint2 words[(V + 7) / 8];
        uint8_t code[V];
    } made;
#pragma unroll
    for (int j = 0; j < V; j++) made.code[j] = factor > 0 ? quantised_code(x[j] * factor, type) : 0;
    if constexpr (V == 1)
        *codes = made.code[0];
    else
        *(uint2 *)codes = made.words[0];
}

/* Loads what V codes stand for; with VECTOR they are aligned to as many bytes. */
template <int V> __device__ inline void load_codes(float (&x)[V], const uint8_t *codes, enum quantised_type type) {
    union {
        uint2 words[(V + 7) / 8];
        uint8_t code[V];
    } raw;
    if constexpr (V == 1)
        raw.code[0] = *codes;
    else
        raw.words[0] = *(const uint2 *)codes;
#pragma unroll
    for (int j = 0; j < V; j++) x[j] = quantised_value(raw.code[j], type);
}

/* Stores a row as codes and a scale, from values rounded to elem. */
template <int V, int K>
__device__ inline void row_quantise(uint8_t *codes, real *scale, enum quantised_type type, row<V, K> &x, long d) {
    unsigned most = 0;
    EACH_PIECE(V, K, d) {
#pragma unroll
        for (int j = 0; j < V; j++) {
            x.x[k][j] = to_float(from_float<elem>(x.x[k][j]));
            most = larger_magnitude(most, x.x[k][j]);
        }
    }
    float size = block_largest(most), factor = quantised_factor(size, type);
    if (threadIdx.x == 0) *scale = quantised_scale(size, type);
    EACH_PIECE(V, K, d) store_codes(codes + c, x.x[k], factor, type);
}

#endif
