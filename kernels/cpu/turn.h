/* turn.h: rotary positions of a vector of neighbours in pairs (rope.c says how pairs are numbered):
   rotate(x) = x c + swap(x) s, with every number of c and s doubled and s negative in even lanes. A
   token's c and s serve all its heads. */
#ifndef KERNELS_CPU_TURN_H
#define KERNELS_CPU_TURN_H

#include "kernels/cpu/simd.h"

struct turn {
    vec c, s;
};

#define PAIR_OF(lane) (lane) / 2
#define SIGN_OF(lane) ((lane) % 2 ? 1.0f : -1.0f)
#define PARTNER(lane) ((lane) ^ 1)
typedef float half_vec __attribute__((vector_size(2 * LANES)));
typedef float half_memory __attribute__((vector_size(2 * LANES), aligned(4), may_alias));
/* Loads half as many numbers as there are lanes, each into two neighbouring lanes; `left`
   numbers are left in the row, the others read as zero. */
SIMD vec twice_load(const real *p, long left) {
    half_vec half;
    if (left >= LANES / 2) {
        half = *(const half_memory *)p;
    } else {
        float v[LANES / 2] = {0};
        for (long j = 0; j < left; j++) v[j] = p[j];
        half = *(const half_memory *)v;
    }
    return __builtin_shufflevector(half, half, EACH_LANE(PAIR_OF));
}
/* Loads cosines and signed sines for as many pairs as a vector holds, of which `left` are
   left in the row. sign 1: forward; -1: back. */
SIMD struct turn turn_load(const real *cos, const real *sin, long left, float sign) {
    const vec signs = {EACH_LANE(SIGN_OF)};
    return (struct turn){twice_load(cos, left), twice_load(sin, left) * (signs * sign)};
}
SIMD vec turn_apply(struct turn t, vec x) {
    const ivec swap = {EACH_LANE(PARTNER)};
    return x * t.c + __builtin_shuffle(x, swap) * t.s;
}

#endif
