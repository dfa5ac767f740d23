/* turn.h: rotary positions of a vector of neighbours in pairs (rope.c says how pairs are numbered): rotate(x) = x c +
   swap(x) s, with every number of c and s doubled and s negative in even lanes. A token's c and s serve all its heads. */
#ifndef KERNELS_CPU_TURN_H
#define KERNELS_CPU_TURN_H

#include "kernels/cpu/simd.h"

struct turn {
    vec c, s;
};

#define PAIR_OF(lane) (lane) / 2
#define SIGN_OF(lane) ((lane) % 2 ? 1.0f : -1.0f)
#define PARTNER(lane) ((lane) ^ 1)
/* The first lanes hold half as many numbers as there are lanes, `left` of which are there; the others read as zero. */
SIMD vec half_load(const real *p, long left) {
    float v[LANES] = {0};
    if (left >= LANES / 2) {
        memcpy(v, p, sizeof v / 2);
    } else {
        for (long j = 0; j < left; j++) v[j] = p[j];
    }
    return vec_load(v);
}
/* Cosines and signed sines of half as many pairs as there are lanes, `left` pairs being left of the row. sign 1: forward,
   -1: back. */
SIMD struct turn turn_load(const real *cos, const real *sin, long left, float sign) {
    const ivec twice = {EACH_LANE(PAIR_OF)};
    const vec signs = {EACH_LANE(SIGN_OF)};
    return (struct turn){__builtin_shuffle(half_load(cos, left), twice),
                         __builtin_shuffle(half_load(sin, left), twice) * (signs * sign)};
}
SIMD vec turn_apply(struct turn t, vec x) {
    const ivec swap = {EACH_LANE(PARTNER)};
    return x * t.c + __builtin_shuffle(x, swap) * t.s;
}

#endif
