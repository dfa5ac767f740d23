/* pixels.cu: turns colours into bytes (kernels.h). A thread has one place of a frame, or VECTOR of them: it reads from
   three planes and writes one run of bytes. */
#include "kernels/cuda/kernel.cuh"

/* The rule of base/pixels.h, by operations that no compiler may fuse. */
__device__ static inline unsigned byte_of(float v) {
    float at = __fadd_rn(__fmul_rn(__fadd_rn(v, 1), 127.5f), 0.5f);
    return !(at > 0) ? 0 : at > 255 ? 255 : (unsigned)at;
}

/* Stores the bytes of V places, which come one in a word each; the first byte lies lowest. */
template <int V> __device__ static inline void store_bytes(uint8_t *to, const unsigned (&byte)[3 * V]) {
    if constexpr (V == 1) {
#pragma unroll
        for (int k = 0; k < 3; k++) to[k] = (uint8_t)byte[k];
    } else {
#pragma unroll
        for (int k = 0; k < 3 * V; k += 8) {
            uint2 word;
            word.x = byte[k] | byte[k + 1] << 8 | byte[k + 2] << 16 | byte[k + 3] << 24;
            word.y = byte[k + 4] | byte[k + 5] << 8 | byte[k + 6] << 16 | byte[k + 7] << 24;
            ((uint2 *)to)[k / 8] = word;
        }
    }
}

struct places_to_bytes {
    uint8_t *rgb, *fault;
    const real *x;
    float scale, shift;
    long size;
    template <int V, class I> __device__ void at(I i) const {
        I frame = quotient(i, size);
        const real *from = x + (long)frame * 2 * size + (long)i; /* = 3 frame size + (i - frame size) */
        unsigned byte[3 * V];
        int bad = 0;
#pragma unroll
        for (int c = 0; c < 3; c++) {
            float v[V];
            load(v, from + c * size);
#pragma unroll
            for (int j = 0; j < V; j++) {
                bad |= !isfinite(v[j]);
                byte[3 * j + c] = byte_of(__fadd_rn(__fmul_rn(v[j], scale), shift));
            }
        }
        store_bytes<V>(rgb + 3 * (long)i, byte);
        if (bad) *fault = 1; /* several threads may write it, all the same */
    }
};

void pixels_to_bytes(uint8_t *rgb, uint8_t *fault, const real *x, real scale, real shift, long frames, long size) {
    for_each_place(places_to_bytes{rgb, fault, x, scale, shift, size}, frames * size,
                   aligned16(rgb) && aligned16(x) && size % VECTOR == 0);
}
