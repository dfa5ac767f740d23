/* normal.h: normal random numbers from Philox words, the same bits on CPU and GPU (Box & Muller 1958).
   Only operations that IEEE 754 rounds correctly are used: fmaf, sqrtf, and products, differences and conversions that
   stand alone. No expression has the form a * b + c, so no compiler may fuse what another does not. The polynomials are
   Chebyshev fits: logarithm, sine and cosine are good to about two units in the last place of float. */
#ifndef BASE_NORMAL_H
#define BASE_NORMAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include "base/philox.h"

struct normal_block {
    float v[4];
};

/* The root that is rounded correctly, whatever the compiler's options. */
PHILOX_HD float normal_root(float x) {
#ifdef __CUDA_ARCH__
    return __fsqrt_rn(x);
#else
    return sqrtf(x);
#endif
}

/* ln u, 0 < u <= 1 and u normal: u = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and
   ln(1 + f) = f - f^2/2 + f^3 Q(f). */
PHILOX_HD float normal_log(float u) {
    const uint32_t root_half = 0x3f3504f3u; /* the bits of sqrt(1/2) */
    uint32_t bits;
    memcpy(&bits, &u, 4);
    bits -= root_half;
    float e = (float)((int32_t)bits >> 23);
    bits = (bits & 0x7fffffu) + root_half;
    memcpy(&u, &bits, 4);
    float f = u - 1.0f;
    float q = -0.0790274377f;
    q = fmaf(q, f, 0.126223198f);
    q = fmaf(q, f, -0.129981838f);
    q = fmaf(q, f, 0.142144959f);
    q = fmaf(q, f, -0.166412815f);
    q = fmaf(q, f, 0.200010451f);
    q = fmaf(q, f, -0.250003064f);
    q = fmaf(q, f, 0.333333307f);
    q = fmaf(q, f, -0.5f);
    float square = f * f;
    float log_mantissa = fmaf(square, q, f);
    return fmaf(e, 0.693147180559945309f, log_mantissa);
}

/* Sine and cosine of word / 2^32 turns: the nearest quarter, then the rest t in [-1/2, 1/2] quarters. */
PHILOX_HD void normal_sine_cosine(uint32_t word, float *sine, float *cosine) {
    uint32_t quarter = (word + 0x20000000u) >> 30;
    float t = (float)(int32_t)(word - (quarter << 30)) * 9.31322574615478515625e-10f; /* 2^-30 */
    float z = t * t;
    float s = -0.00460214921f;
    s = fmaf(s, z, 0.0796802176f);
    s = fmaf(s, z, -0.645963478f);
    s = fmaf(s, z, 1.57079632f);
    s = s * t;
    float c = 0.000906739898f;
    c = fmaf(c, z, -0.0208615283f);
    c = fmaf(c, z, 0.25366941f);
    c = fmaf(c, z, -1.23370055f);
    c = fmaf(c, z, 1.0f);
    /* odd quarters exchange the two, then the signs; on the bits, so that loops over this have no branch */
    uint32_t s_bits, c_bits;
    memcpy(&s_bits, &s, 4);
    memcpy(&c_bits, &c, 4);
    uint32_t exchange = (s_bits ^ c_bits) & (0u - (quarter & 1));
    s_bits ^= exchange ^ (quarter & 2) << 30;
    c_bits ^= exchange ^ ((quarter + 1) & 2) << 30;
    memcpy(sine, &s_bits, 4);
    memcpy(cosine, &c_bits, 4);
}

/* Two normals from two words: radius from the first, angle from the second. u = (word + 1/2) / 2^32, at most 1. */
PHILOX_HD void normal_pair(uint32_t word0, uint32_t word1, float *first, float *second) {
    float sine, cosine;
    float u = fmaf((float)word0, 2.3283064365386962890625e-10f, 1.16415321826934814453125e-10f);
    float radius = normal_root(-2.0f * normal_log(u));
    normal_sine_cosine(word1, &sine, &cosine);
    *first = radius * cosine;
    *second = radius * sine;
}

/* Normals for elements 4 group .. 4 group + 3 of an address. */
PHILOX_HD struct normal_block random_normals(const struct random_address *address, uint32_t group) {
    struct philox_block words = random_block(address, group);
    struct normal_block z;
    normal_pair(words.v[0], words.v[1], &z.v[0], &z.v[1]);
    normal_pair(words.v[2], words.v[3], &z.v[2], &z.v[3]);
    return z;
}

#endif
