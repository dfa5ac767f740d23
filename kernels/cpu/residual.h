/* residual.h: the backward of a gated residual, out = x + y gate, a vector at a time. g is the gradient at out. */
#ifndef KERNELS_CPU_RESIDUAL_H
#define KERNELS_CPU_RESIDUAL_H

#include "kernels/cpu/simd.h"

/* One row. dgate += g y and db += g gate, NULL: not wanted; dy = g gate; gate NULL: 1. */
struct residual_row {
    elem *dy;
    float *dgate, *db;
    const elem *y;
    const float *gate;
};
SIMD void residual_back(const struct residual_row *r, vec g, long i, long left) {
    if (r->dgate) {
        vec sum = vec_load_some(r->dgate + i, left) + g * elem_load_some(r->y + i, left);
        vec_store_some(r->dgate + i, sum, left);
    }
    if (r->gate) g *= vec_load_some(r->gate + i, left);
    if (r->db) vec_store_some(r->db + i, vec_load_some(r->db + i, left) + g, left);
    if (r->dy) elem_store_some(r->dy + i, g, left);
}

#endif
