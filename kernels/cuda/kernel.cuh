/* kernel.cuh: the base of every .cu file of this backend: launches, loads and stores of the number types, sums
   over warps and blocks. The same files also build with g++ against tests/shim, which runs them on the host.
   Rules of the house for kernels: indices are long, but for columns of a row and for what is divided (places), which
   are 32 bits where the launch has checked that they fit; outputs are written by one thread each; sums over threads
   have a fixed order; no inline PTX outside mma.cuh. */
#ifndef KERNELS_CUDA_KERNEL_CUH
#define KERNELS_CUDA_KERNEL_CUH

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <cuda_runtime.h>
extern "C" {
#include "kernels/kernels.h"
#include "kernels/device.h"
}
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/launch.h"

#ifdef __CUDACC__
#define LAUNCH(kernel, grid, block, shared, ...)                                                                       \
    (kernel<<<(unsigned)(grid), block, shared, cuda_stream()>>>(__VA_ARGS__), cuda_launched(#kernel))
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(16) unsigned char dynamic_shared[];                                                    \
    type *name = (type *)dynamic_shared
#else
#define LAUNCH(kernel, grid, block, shared, ...)                                                                       \
    (shim_launch_with(                                                                                                 \
         dim3((unsigned)(grid)), dim3(block), shared, cuda_stream(), [](auto... arguments) { kernel(arguments...); },  \
         __VA_ARGS__),                                                                                                 \
     cuda_launched(#kernel))
#define DYNAMIC_SHARED(type, name) type *name = (type *)shim_dynamic
#endif

/* ---- numbers: arithmetic is float; elem is float or bf16 ---- */

__device__ inline float to_float(float v) { return v; }
#ifdef TYPE_BF16
__device__ inline float to_float(elem e) { return __uint_as_float((unsigned)e << 16); }
#endif

template <class T> __device__ inline T from_float(float v);
template <> __device__ inline float from_float<float>(float v) { return v; }
#ifdef TYPE_BF16
template <> __device__ inline elem from_float<elem>(float v) {
#ifdef __CUDA_ARCH__ /* one instruction; the same rounding as elem_store */
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
#else
    return elem_store(v);
#endif
}
#endif

/* Loads V numbers at p. V is 1 or VECTOR; with VECTOR p is aligned to 16 bytes. */
template <int V, class T> __device__ inline void load(float (&x)[V], const T *p) {
    if constexpr (V == 1) {
        x[0] = to_float(*p);
    } else {
        union {
            uint4 word[V * sizeof(T) / 16];
            T value[V];
        } raw;
#pragma unroll
        for (int i = 0; i < (int)(V * sizeof(T) / 16); i++) raw.word[i] = ((const uint4 *)p)[i];
#pragma unroll
        for (int i = 0; i < V; i++) x[i] = to_float(raw.value[i]);
    }
}

template <int V, class T> __device__ inline void store(T *p, const float (&x)[V]) {
    if constexpr (V == 1) {
        *p = from_float<T>(x[0]);
    } else {
        union {
            uint4 word[V * sizeof(T) / 16];
            T value[V];
        } raw;
#pragma unroll
        for (int i = 0; i < V; i++) raw.value[i] = from_float<T>(x[i]);
#pragma unroll
        for (int i = 0; i < (int)(V * sizeof(T) / 16); i++) ((uint4 *)p)[i] = raw.word[i];
    }
}

/* ---- sums: every thread gets the total; the order of the terms is fixed ---- */

template <class T> __device__ inline T warp_sum(T v) {
    for (int lane = 16; lane > 0; lane /= 2) v += __shfl_xor_sync(0xffffffffu, v, lane);
    return v;
}

/* Makes two sums at once over the block, which is a whole number of warps. */
template <class T> __device__ inline void block_sum_two(T *a, T *b) {
    __shared__ T part[2][32];
    int warps = blockDim.x / 32, warp = threadIdx.x / 32;
    T x = warp_sum(*a), y = warp_sum(*b);
    if (warps > 1) {
        __syncthreads(); /* the previous sum has been read */
        if (threadIdx.x % 32 == 0) part[0][warp] = x, part[1][warp] = y;
        __syncthreads();
        x = y = 0;
        for (int i = 0; i < warps; i++) x += part[0][i], y += part[1][i];
    }
    *a = x, *b = y;
}

template <class T> __device__ inline T block_sum(T v) {
    T unused = 0;
    block_sum_two(&v, &unused);
    return v;
}

/* ---- one operation on each of n elements ---- */

/* Runs f.at(i) for each element i; F is a struct with the operands and a function `at(long i)`. */
template <class F> __global__ void __launch_bounds__(BLOCK_THREADS) each_one_kernel(F f, long n) {
    long i = (long)blockIdx.x * BLOCK_THREADS + threadIdx.x;
    if (i < n) f.at(i);
}

/* Runs f.at<V>(i) for every V elements from i on; F has `template <int V> void at(long i)`. */
template <int V, class F> __global__ void __launch_bounds__(BLOCK_THREADS) each_kernel(F f, long n) {
    long i = ((long)blockIdx.x * BLOCK_THREADS + threadIdx.x) * V;
    if (i + V <= n)
        f.template at<V>(i);
    else
        for (; i < n; i++) f.template at<1>(i);
}

/* i / d and i % d of a place i, in the width of i: unsigned below GRID_MAX, long
   otherwise. d is at least 1, of any size. */
__device__ inline unsigned quotient(unsigned i, long d) { return i / place_divisor(d); }
__device__ inline long quotient(long i, long d) { return i / d; }
__device__ inline unsigned modulo(unsigned i, long d) { return i % place_divisor(d); }
__device__ inline long modulo(long i, long d) { return i % d; }

/* Index of number i of [B, F, size] in an array whose sample b begins at b stride. */
template <class I> __device__ inline long at_stride(I i, long F, long size, long stride) {
    I sample = quotient(i, F * size);
    return sample * stride + (i - sample * (I)(F * size));
}

/* Gives an operation that divides its index that index as type I (unsigned where
   place_fits): F has `template <int V, class I> void at(I i)`. */
template <class I, class F> struct in_places {
    F f;
    template <int V> __device__ void at(long i) const { f.template at<V>((I)i); }
};

/* The same for one element at a time: F has `template <class I> void at(I i)`. */
template <class I, class F> struct one_in_places {
    F f;
    __device__ void at(long i) const { f.at((I)i); }
};

/* Number of blocks of `each` elements for n; 0: nothing to launch. */
static inline long each_blocks(long n, long each) {
    long blocks = launch_blocks(n, each);
    if (blocks < 0) device_fail("a kernel over %ld elements: too many", n);
    return blocks > 0 ? blocks : 0;
}

template <class F> static inline void for_each_one(F f, long n) {
    long blocks = each_blocks(n, BLOCK_THREADS);
    if (blocks) LAUNCH((each_one_kernel<F>), blocks, BLOCK_THREADS, 0, f, n);
}

/* Launches f over n elements; vectorised 1: all operands of f are aligned to 16 bytes. */
template <class F> static inline void for_each(F f, long n, int vectorised) {
    long blocks = each_blocks(n, vectorised ? VECTOR * BLOCK_THREADS : BLOCK_THREADS);
    if (!blocks) return;
    if (vectorised)
        LAUNCH((each_kernel<VECTOR, F>), blocks, BLOCK_THREADS, 0, f, n);
    else
        LAUNCH((each_kernel<1, F>), blocks, BLOCK_THREADS, 0, f, n);
}

/* for_each_one and for_each for an operation that divides its index: in 32 bits where n allows it. */
template <class F> static inline void for_each_place_one(F f, long n) {
    if (place_fits(n))
        for_each_one(one_in_places<unsigned, F>{f}, n);
    else
        for_each_one(one_in_places<long, F>{f}, n);
}

template <class F> static inline void for_each_place(F f, long n, int vectorised) {
    if (place_fits(n))
        for_each(in_places<unsigned, F>{f}, n, vectorised);
    else
        for_each(in_places<long, F>{f}, n, vectorised);
}

#endif
