/* cuda_runtime.h (of the shim): runs CUDA C kernels on the host with plain g++, to test them without a GPU.
   A thread is a fiber; the fibers of a block run in turn on one host thread and switch only at barriers and warp
   exchanges, blocks run one after the other. The thread count of device_init picks the order in which a block's threads
   run: forwards, backwards, odd ones first, shuffled. A kernel whose result depends on it lacks a barrier.
   Dynamic shared memory starts as NaN bytes. Vector loads check their alignment. A barrier that not all live threads of
   a block reach ends the program.
   Streams run as late as they may (shim.cpp), and can be recorded.
   Not seen here: weak memory order, real concurrency, registers, speed. */
#ifndef TESTS_SHIM_CUDA_RUNTIME_H
#define TESTS_SHIM_CUDA_RUNTIME_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <functional>
#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static /* one block runs at a time */
#define __restrict__

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

/* Vector accesses must be aligned; the copy asks, because the processor would not. */
template <class T> struct shim_vector : T {
    shim_vector() = default;
    shim_vector(const shim_vector &from) : T(from) { check(&from); }
    shim_vector &operator=(const shim_vector &from) {
        check(this), check(&from);
        T::operator=(from);
        return *this;
    }
    static void check(const void *p) {
        if ((uintptr_t)p % sizeof(T) == 0) return;
        fprintf(stderr, "shim: unaligned vector access\n");
        abort();
    }
};
struct shim_uint2 {
    unsigned x, y;
};
typedef shim_vector<shim_uint2> uint2;
struct shim_uint4 {
    unsigned x, y, z, w;
};
typedef shim_vector<shim_uint4> uint4;
struct shim_float4 {
    float x, y, z, w;
};
typedef shim_vector<shim_float4> float4;
extern char *shim_dynamic; /* dynamic shared memory of the running block */
void shim_launch(dim3 grid, dim3 block, size_t shared, cudaStream_t stream, const std::function<void()> &body);
/* The arguments are copied now, the kernel runs later. */
template <class K, class... A>
void shim_launch_with(dim3 grid, dim3 block, size_t shared, cudaStream_t stream, K kernel, A... arguments) {
    shim_launch(grid, block, shared, stream, [=] { kernel(arguments...); });
}
void shim_block_barrier();
void shim_warp_barrier(unsigned mask);
/* Publishes the calling lane's bytes (at most 64), waits for the mask's lanes; shim_published then gives a lane's. A
   second warp barrier must follow before the next. */
void shim_publish(unsigned mask, const void *bytes, size_t size);
const void *shim_published(int lane);

inline void __syncthreads() { shim_block_barrier(); }
inline void __syncwarp(unsigned mask = ~0u) { shim_warp_barrier(mask); }
inline void __threadfence() {}
template <class T> T shim_from_lane(unsigned mask, T v, int lane) {
    T r;
    shim_publish(mask, &v, sizeof v);
    memcpy(&r, shim_published(lane), sizeof r);
    shim_warp_barrier(mask);
    return r;
}
template <class T> T __shfl_sync(unsigned mask, T v, int lane) { return shim_from_lane(mask, v, lane & 31); }
template <class T> T __shfl_xor_sync(unsigned mask, T v, int with) {
    return shim_from_lane(mask, v, (int)(threadIdx.x & 31) ^ with);
}
template <class T> T __shfl_down_sync(unsigned mask, T v, int by) {
    int lane = (int)(threadIdx.x & 31);
    return shim_from_lane(mask, v, lane + by < 32 ? lane + by : lane);
}

inline float __uint_as_float(unsigned bits) {
    float v;
    memcpy(&v, &bits, 4);
    return v;
}
inline unsigned __float_as_uint(float v) {
    unsigned bits;
    memcpy(&bits, &v, 4);
    return bits;
}
template <class T> T __ldg(const T *p) { return *p; }
/* Rounded each, never fused. */
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline int atomicAdd(int *p, int v) { return (*p += v) - v; }
inline unsigned atomicAdd(unsigned *p, unsigned v) { return (*p += v) - v; }
inline int atomicOr(int *p, int v) {
    int old = *p;
    *p |= v;
    return old;
}
template <class F> cudaError_t cudaFuncSetAttribute(F, int, int) { return cudaSuccess; }
enum { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

#endif
