/* simd.h: vectors for the cpu backend, in gcc's vector extensions: as many floats as a register of the
   processor holds (LANES: 16 with AVX-512, 8 with AVX, otherwise 4). The same source serves all three;
   vectors wider than a register would be legal too, but gcc moves those through memory piece by piece,
   several times slower. elem is read and written as float whatever it is in memory. exp2 follows 2^x =
   2^n 2^f, n the nearest integer, f in [-1/2, 1/2] by a degree-6 polynomial through the Chebyshev
   nodes (relative error 2.6e-9 before rounding). No operation here depends on the thread count. */
#ifndef KERNELS_CPU_SIMD_H
#define KERNELS_CPU_SIMD_H

#include <stdint.h>
#include <string.h>
#if defined(__AVX__)
#include <immintrin.h>
#elif defined(__SSE__)
#include <xmmintrin.h>
#endif
#include "kernels/types.h"

enum { PARALLEL_MIN = 16384 }; /* elements below which one thread is faster than waking the others */

/* The vector types never cross a function call (all is inlined), so that their calling convention does not matter, and
   the Makefile silences gcc's warnings of it. */

/* EACH_LANE(X): X(0), X(1), ... for every lane, with commas between. */
#if defined(__AVX512F__)
#define LANES 16
#define EACH_LANE(X)                                                                                                   \
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15)
#elif defined(__AVX__)
#define LANES        8
#define EACH_LANE(X) X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7)
#else
#define LANES        4
#define EACH_LANE(X) X(0), X(1), X(2), X(3)
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t ivec __attribute__((vector_size(4 * LANES)));
typedef uint32_t uvec __attribute__((vector_size(4 * LANES)));
typedef uint16_t hvec __attribute__((vector_size(2 * LANES)));
typedef float vec_memory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint16_t hvec_memory __attribute__((vector_size(2 * LANES), aligned(2), may_alias));

#define SIMD static inline __attribute__((always_inline))

#define LANE_IS_V(lane) v
SIMD vec vec_set(float v) { return (vec){EACH_LANE(LANE_IS_V)}; }
SIMD vec vec_load(const float *p) { return *(const vec_memory *)p; }
SIMD void vec_store(float *p, vec v) { *(vec_memory *)p = v; }
/* The larger or smaller of a and b, lane by lane; a NaN in a gives b. C's ?: does not take vectors, and gcc 12 does not
   find the instruction by itself. */
#if defined(__AVX512F__)
SIMD vec vec_max(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
SIMD vec vec_min(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX__)
SIMD vec vec_max(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
SIMD vec vec_min(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
#elif defined(__SSE__)
SIMD vec vec_max(vec a, vec b) { return (vec)_mm_max_ps((__m128)a, (__m128)b); }
SIMD vec vec_min(vec a, vec b) { return (vec)_mm_min_ps((__m128)a, (__m128)b); }
#else
SIMD vec vec_select(ivec mask, vec yes, vec no) { return (vec)((mask & (ivec)yes) | (~mask & (ivec)no)); }
SIMD vec vec_max(vec a, vec b) { return vec_select(a > b, a, b); }
SIMD vec vec_min(vec a, vec b) { return vec_select(a < b, a, b); }
#endif

/* Reads and writes the first n lanes of what is left of a row, all of them when n >= LANES; the others read as zero and
   are not written. A loop over i += LANES with n - i handles any width. */
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

/* x rounded as it is when it is stored and read again. */
SIMD vec elem_rounded(vec x) {
    elem v[LANES];
    elem_store_vec(v, x);
    return elem_load_vec(v);
}

/* Sum of the lanes, by halves: always in the same order. */
SIMD float vec_sum(vec v) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v);
#elif defined(__AVX__)
    __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    float s[LANES];
    vec_store(s, v);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) s[i] += s[i + half];
    return s[0];
#endif
}

/* Transposes a block of LANES x LANES: rounds of swapping the off-diagonal halves of
   pairs of rows that are `step` apart. */
#define TAKES_LOW(lane)  ((lane)&step_ ? (lane)-step_ + LANES : (lane))
#define TAKES_HIGH(lane) (TAKES_LOW(lane) + step_)
#define TRANSPOSE_ROUND(r, step)                                                                                       \
    {                                                                                                                  \
        enum { step_ = step };                                                                                         \
        for (int i_ = 0; i_ < LANES; i_++)                                                                             \
            if (!(i_ & step_)) {                                                                                       \
                vec a_ = r[i_], b_ = r[i_ + step_];                                                                    \
                r[i_] = __builtin_shuffle(a_, b_, (ivec){EACH_LANE(TAKES_LOW)});                                       \
                r[i_ + step_] = __builtin_shuffle(a_, b_, (ivec){EACH_LANE(TAKES_HIGH)});                              \
            }                                                                                                          \
    }
SIMD void vec_transpose(vec r[LANES]) {
    TRANSPOSE_ROUND(r, 1)
    TRANSPOSE_ROUND(r, 2)
#if LANES > 4
    TRANSPOSE_ROUND(r, 4)
#endif
#if LANES > 8
    TRANSPOSE_ROUND(r, 8)
#endif
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
