/* widen.h: vectors of what 8-bit codes (kernels/quantised.h) stand for. */
#ifndef KERNELS_CPU_WIDEN_H
#define KERNELS_CPU_WIDEN_H

#include "kernels/quantised.h"
#include "kernels/cpu/simd.h"

typedef uint8_t bvec __attribute__((vector_size(LANES)));
typedef uint8_t bvec_memory __attribute__((vector_size(LANES), aligned(1), may_alias));
typedef int8_t sbvec __attribute__((vector_size(LANES)));

/* fp8_value, lane by lane. */
SIMD vec fp8_values(ivec code) {
    const ivec magnitude = code & 0x7f, small = magnitude < 8;
    const ivec low = (ivec)(__builtin_convertvector(magnitude, vec) * 0x1p-9f),
               normal = (magnitude << 20) + (120 << 23);
    return (vec)((low & small) | (normal & ~small) | (code & 0x80) << 24);
}

/* Loads the values of codes, of which `left` are left in the row; the others read as zero. */
SIMD vec codes_load_some(const uint8_t *codes, enum quantised_type type, long left) {
    bvec bytes = {0};
    if (left >= LANES)
        bytes = *(const bvec_memory *)codes;
    else
        for (long i = 0; i < left; i++) bytes[i] = codes[i];
    return type == QUANTISED_INT8 ? __builtin_convertvector(__builtin_convertvector((sbvec)bytes, ivec), vec)
                                  : fp8_values(__builtin_convertvector(bytes, ivec));
}

#endif
