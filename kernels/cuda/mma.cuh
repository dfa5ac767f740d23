/* mma.cuh: tensor-core products of one warp in bf16 with float sums: d [16, 8] += a [16, 16] b [16, 8]. The one place
   with inline PTX; on the host the same numbers are exchanged between the warp's fibers, so that what surrounds a
   product is tested. With g = lane / 4, t = lane % 4 a lane holds
     a[0..3]: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), each with its right neighbour in the upper half;
     b[0..1]: (2t, g), (2t + 8, g), each with the one below in the upper half;
     d[0..3]: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1). */
#ifndef KERNELS_CUDA_MMA_CUH
#define KERNELS_CUDA_MMA_CUH

#include "kernels/cuda/kernel.cuh"

#ifdef TYPE_BF16

__device__ inline void mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef __CUDA_ARCH__
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif !defined(__CUDACC__)
    struct {
        elem a[4][2], b[2][2];
    } mine;
    memcpy(mine.a, a, sizeof mine.a);
    memcpy(mine.b, b, sizeof mine.b);
    shim_publish(0xffffffffu, &mine, sizeof mine);
    for (int i = 0; i < 4; i++) {
        int row = (int)threadIdx.x % 32 / 4 + i / 2 * 8, column = (int)threadIdx.x % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            auto *of_a = (const decltype(mine) *)shim_published(row % 8 * 4 + k % 8 / 2);
            auto *of_b = (const decltype(mine) *)shim_published(column * 4 + k % 8 / 2);
            d[i] += to_float(of_a->a[row / 8 + k / 8 * 2][k % 2]) * to_float(of_b->b[k / 8][k % 2]);
        }
    }
    __syncwarp();
#endif
}

/* Loads a from a row-major tile in shared memory, whose corner (0, 0) is at `tile`; rows
   are `pitch` apart, pitch even. */
__device__ inline void mma_load_a(unsigned (&a)[4], const elem *tile, int pitch) {
    const elem *at = tile + threadIdx.x % 32 / 4 * pitch + threadIdx.x % 4 * 2;
    a[0] = *(const unsigned *)at;
    a[1] = *(const unsigned *)(at + 8 * pitch);
    a[2] = *(const unsigned *)(at + 8);
    a[3] = *(const unsigned *)(at + 8 * pitch + 8);
}

/* Loads b from a tile that holds it transposed: element (k, n) is tile[n pitch + k]. */
__device__ inline void mma_load_b_transposed(unsigned (&b)[2], const elem *tile, int pitch) {
    const elem *at = tile + threadIdx.x % 32 / 4 * pitch + threadIdx.x % 4 * 2;
    b[0] = *(const unsigned *)at;
    b[1] = *(const unsigned *)(at + 8);
}

/* Loads b from a tile that holds it as it is: element (k, n) is tile[k pitch + n]; rows
   of eight are aligned to 16 bytes. */
__device__ inline void mma_load_b(unsigned (&b)[2], const elem *tile, int pitch) {
#ifdef __CUDA_ARCH__
    unsigned from = (unsigned)__cvta_generic_to_shared(tile + threadIdx.x % 16 * pitch);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];" : "=r"(b[0]), "=r"(b[1]) : "r"(from));
#else
    const elem *at = tile + threadIdx.x % 4 * 2 * pitch + threadIdx.x % 32 / 4;
    b[0] = at[0] | (unsigned)at[pitch] << 16;
    b[1] = at[8 * pitch] | (unsigned)at[9 * pitch] << 16;
#endif
}

/* Rounds two results side by side, columns 0..7 and 8..15, to the a of a further product. */
__device__ inline unsigned mma_pair(float low, float high) {
    return from_float<elem>(low) | (unsigned)from_float<elem>(high) << 16;
}
__device__ inline void mma_chain(unsigned (&a)[4], const float (&left)[4], const float (&right)[4]) {
    a[0] = mma_pair(left[0], left[1]);
    a[1] = mma_pair(left[2], left[3]);
    a[2] = mma_pair(right[0], right[1]);
    a[3] = mma_pair(right[2], right[3]);
}

#endif

#endif
