/* quantised.h: numbers of 8 bits that share a scale: value = scale times what the code stands for.
     int8   whole numbers from -127 to 127
     fp8    E4M3 (Micikevicius et al. 2022): a sign, four bits of exponent (bias 7), three of mantissa; the largest is
            448, steps below 2^-6 are 2^-9; there are no infinities, and the codes of its two NaNs are never written
   A row is quantised so that its largest magnitude takes the largest code: scale = max |x| / 127 or 448. A
   weight [dout, din] has a scale for each output channel (a row of it), an operand x [n, din] one for each token. A row
   of magnitudes below QUANTISED_ZERO becomes zeros with scale 0. A row with a value that is not finite has a NaN for a
   scale, so that the fault shows in every number that is computed from it. */
#ifndef KERNELS_QUANTISED_H
#define KERNELS_QUANTISED_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum quantised_type { QUANTISED_NONE, QUANTISED_INT8, QUANTISED_FP8, QUANTISED_TYPES };

#define QUANTISED_ZERO 1e-30f
#define INT8_LARGEST   127
#define FP8_LARGEST    448
#define FP8_NAN        0x7f /* with either sign */

#ifdef __CUDACC__
#define QUANTISED_FUNCTION static inline __host__ __device__
#else
#define QUANTISED_FUNCTION static inline
#endif

QUANTISED_FUNCTION float quantised_largest(enum quantised_type type) {
    return type == QUANTISED_INT8 ? (float)INT8_LARGEST : (float)FP8_LARGEST;
}

/* What a code of fp8 stands for. */
QUANTISED_FUNCTION float fp8_value(uint8_t code) {
    const uint32_t magnitude = code & 0x7fu, bits = (magnitude << 20) + (120u << 23); /* exponents: 127 - 7 more */
    float normal, small = (float)(int)magnitude * 0x1p-9f;
    memcpy(&normal, &bits, sizeof normal);
    const float size = magnitude < 8 ? small : normal;
    return code & 0x80 ? -size : size;
}

/* The code of fp8 nearest to v, to even where two are; 448 beyond that. v is finite. */
QUANTISED_FUNCTION uint8_t fp8_code(float v) {
    const float shift = 12582912.0f; /* 1.5 2^23: adding it rounds to a whole number, kept in the low bits */
    uint32_t bits, whole;
    memcpy(&bits, &v, sizeof bits);
    const float steps = fabsf(v) * 512 + shift;
    memcpy(&whole, &steps, sizeof whole);
    const uint32_t size = bits & 0x7fffffffu, rounded = (size + 0x7ffff + (size >> 20 & 1)) >> 20;
    const uint32_t normal = rounded - (120u << 3), small = whole - 0x4b400000u;
    const uint32_t code = size < 0x3c800000u ? small : normal > 0x7e ? 0x7e : normal; /* below 2^-6 */
    return (uint8_t)(code | (bits >> 24 & 0x80));
}

QUANTISED_FUNCTION float int8_value(uint8_t code) { return (float)(int8_t)code; }

/* The whole number nearest to v, whose magnitude is at most INT8_LARGEST before rounding. */
QUANTISED_FUNCTION uint8_t int8_code(float v) { return (uint8_t)(int8_t)(int)rintf(v); }

QUANTISED_FUNCTION float quantised_value(uint8_t code, enum quantised_type type) {
    return type == QUANTISED_INT8 ? int8_value(code) : fp8_value(code);
}
QUANTISED_FUNCTION uint8_t quantised_code(float v, enum quantised_type type) {
    return type == QUANTISED_INT8 ? int8_code(v) : fp8_code(v);
}

/* The scale of a row whose largest magnitude is `most` (a NaN or infinity where one of its values is that), and the
   factor that takes its values to those of codes. */
QUANTISED_FUNCTION float quantised_scale(float most, enum quantised_type type) {
    if (!(most <= 3.402823466e38f)) return NAN;
    return most < QUANTISED_ZERO ? 0 : most / quantised_largest(type);
}
QUANTISED_FUNCTION float quantised_factor(float most, enum quantised_type type) {
    return most >= QUANTISED_ZERO && most <= 3.402823466e38f ? quantised_largest(type) / most : 0;
}

/* Bytes from the codes of a weight [dout, din] to its scales, one for each output channel, which lie behind them. */
static inline size_t quantised_scales_at(long dout, long din) { return ((size_t)(dout * din) + 63) / 64 * 64; }

#endif
