/* simd.h: sixteen floats at a time for the cpu backend, in gcc's vector extensions: AVX-512 where the machine has it,
   the same source split by the compiler where not. elem is read and written as float whatever it is in memory.
   exp2 follows 2^x = 2^n 2^f, n the nearest integer, f in [-1/2, 1/2] by a degree-6 polynomial through the Chebyshev
   nodes (relative error 2.6e-9 before rounding). No operation here depends on the thread count. */
#ifndef KERNELS_CPU_SIMD_H
#define KERNELS_CPU_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
#include "kernels/types.h"

/* The vector types never cross a function call (all is inlined), so that their calling convention does not matter, and
   the Makefile silences gcc's warnings of it. */

enum { LANES = 16 };
typedef float vec __attribute__((vector_size(64)));
typedef int32_t ivec __attribute__((vector_size(64)));
typedef uint32_t uvec __attribute__((vector_size(64)));
typedef uint16_t hvec __attribute__((vector_size(32)));
typedef float vec_memory __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t hvec_memory __attribute__((vector_size(32), aligned(2), may_alias));

#define SIMD static inline __attribute__((always_inline))

SIMD vec vec_set(float v) { return (vec){v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v}; }
SIMD vec vec_load(const float *p) { return *(const vec_memory *)p; }
SIMD void vec_store(float *p, vec v) { *(vec_memory *)p = v; }
/* C's ?: does not take vectors, and gcc 12 does not find the instruction behind the masks. A NaN in a gives b. */
#if defined(__AVX512F__)
SIMD vec vec_max(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
SIMD vec vec_min(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#else
SIMD vec vec_select(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
SIMD vec vec_max(vec a, vec b) { return vec_select(a > b, a, b); }
SIMD vec vec_min(vec a, vec b) { return vec_select(a < b, a, b); }
#endif

/* Reads and writes the first n lanes of what is left of a row, all sixteen when n >= 16; the others read as zero and are
   not written. A loop over i += LANES with n - i handles any width. */
SIMD vec vec_load_some(const float *p, long n) {
    if (n >= LANES) return vec_load(p);
    float v[LANES] = {0};
    for (long i = 0; i < n; i++) v[i] = p[i];
    return vec_load(v);
}
SIMD void vec_store_some(float *p, vec x, long n) {
    if (n >= LANES) {
        vec_store(p, x);
        return;
    }
    float v[LANES];
    vec_store(v, x);
    for (long i = 0; i < n; i++) p[i] = v[i];
}
/* x with the lanes from n on set to zero. */
SIMD vec vec_first(vec x, long n) {
    if (n >= LANES) return x;
    float v[LANES] = {0};
    vec_store(v, x);
    for (long i = n; i < LANES; i++) v[i] = 0;
    return vec_load(v);
}

#if defined(TYPE_BF16)
SIMD vec elem_load_vec(const elem *p) {
    return (vec)(__builtin_convertvector((hvec) * (const hvec_memory *)p, uvec) << 16);
}
#if defined(__AVX512BF16__)
/* one instruction that rounds like elem_store, but takes denormals for zero, as all threads do anyway */
SIMD void elem_store_vec(elem *p, vec v) { *(hvec_memory *)p = (hvec)_mm512_cvtneps_pbh((__m512)v); }
#else
SIMD void elem_store_vec(elem *p, vec v) {
    uvec bits = (uvec)v, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    uvec nan = (uvec)(v != v);
    *(hvec_memory *)p = __builtin_convertvector((nan & ((bits >> 16) | 0x40)) | (~nan & rounded), hvec);
}
#endif
SIMD vec elem_load_some(const elem *p, long n) {
    if (n >= LANES) return elem_load_vec(p);
    float v[LANES] = {0};
    for (long i = 0; i < n; i++) v[i] = elem_load(p[i]);
    return vec_load(v);
}
SIMD void elem_store_some(elem *p, vec x, long n) {
    if (n >= LANES) {
        elem_store_vec(p, x);
        return;
    }
    float v[LANES];
    vec_store(v, x);
    for (long i = 0; i < n; i++) p[i] = elem_store(v[i]);
}
#else
SIMD vec elem_load_vec(const elem *p) { return vec_load(p); }
SIMD void elem_store_vec(elem *p, vec v) { vec_store(p, v); }
SIMD vec elem_load_some(const elem *p, long n) { return vec_load_some(p, n); }
SIMD void elem_store_some(elem *p, vec x, long n) { vec_store_some(p, x, n); }
#endif

/* Sum of the lanes, by halves: always in the same order. */
SIMD float vec_sum(vec v) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v);
#else
    float s[LANES];
    vec_store(s, v);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
#endif
}

/* Transposes a 16 x 16 block: four rounds of swapping the off-diagonal halves of pairs of rows. */
#define TRANSPOSE_ROUND(r, step, low, high)                                                                            \
    for (int i_ = 0; i_ < LANES; i_++)                                                                                 \
        if (!(i_ & (step))) {                                                                                          \
            vec a_ = r[i_], b_ = r[i_ + (step)];                                                                       \
            r[i_] = __builtin_shuffle(a_, b_, low);                                                                    \
            r[i_ + (step)] = __builtin_shuffle(a_, b_, high);                                                          \
        }
SIMD void vec_transpose(vec r[LANES]) {
    const ivec low1 = {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}, high1 = low1 + 1;
    const ivec low2 = {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29}, high2 = low2 + 2;
    const ivec low4 = {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27}, high4 = low4 + 4;
    const ivec low8 = {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}, high8 = low8 + 8;
    TRANSPOSE_ROUND(r, 1, low1, high1)
    TRANSPOSE_ROUND(r, 2, low2, high2)
    TRANSPOSE_ROUND(r, 4, low4, high4)
    TRANSPOSE_ROUND(r, 8, low8, high8)
}

/* 2^x; x is held within -126 .. 127, a NaN stays a NaN. */
SIMD vec vec_exp2(vec x) {
    const vec shift = vec_set(12582912.0f); /* 1.5 2^23: adding it rounds to an integer, kept in the low bits */
    x = vec_min(vec_set(127.0f), vec_max(vec_set(-126.0f), x));
    vec whole = x + shift;
    uvec power = (uvec)whole << 23;
    vec f = x - (whole - shift);
    vec p = vec_set(1.54614447e-4f);
    p = p * f + 1.34004282e-3f;
    p = p * f + 9.61805668e-3f;
    p = p * f + 5.55032723e-2f;
    p = p * f + 2.40226509e-1f;
    p = p * f + 6.93147207e-1f;
    p = p * f + 1.0f;
    return (vec)((uvec)p + power);
}
#define LOG2_E 1.44269504088896340736f
#define LN_2   0.69314718055994530942f
SIMD vec vec_sigmoid(vec x) { return 1.0f / (1.0f + vec_exp2(x * -LOG2_E)); }

/* gelu(x) = x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3), and its derivative
   s + x s (1 - s) 2u', u' = sqrt(2/pi) (1 + 3 0.044715 x^2). */
#define GELU_2U   1.59576912160573071176f
#define GELU_CUBE 0.044715f
SIMD vec vec_gelu(vec x) { return x * vec_sigmoid(GELU_2U * x * (1.0f + GELU_CUBE * x * x)); }
SIMD vec vec_gelu_slope(vec x) {
    vec xx = x * x;
    vec s = vec_sigmoid(GELU_2U * x * (1.0f + GELU_CUBE * xx));
    return s + x * s * (1.0f - s) * GELU_2U * (1.0f + 3 * GELU_CUBE * xx);
}

/* x/2 (1 + erf(x / sqrt 2)) = max(x, 0) - |x| q/2, q = erfc(|x| / sqrt 2) by Abramowitz and Stegun 7.1.26 (1964), good
   to 1.5e-7; a NaN stays a NaN. */
SIMD vec vec_gelu_erf(vec x) {
    vec size = vec_max(x, -x), z = size * 0.70710678118654752440f, t = 1.0f / (1.0f + 0.3275911f * z);
    vec p = vec_set(1.061405429f);
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    return vec_max(x, vec_set(0)) - 0.5f * size * (p * t * vec_exp2(z * z * -LOG2_E)) + (x - x);
}

#endif
