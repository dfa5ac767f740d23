/* tiles.c: tiles of planes, taken out and blended in (kernels.h). */
#include "kernels/device.h"
#include "kernels/kernels.h"

static long row_of(const struct tile_place *p, long plane, long y) {
    return (plane * p->H + p->top + y) * p->W + p->left;
}

void tile_take(real *tile, const real *whole, const struct tile_place *p) {
    KERNEL_SCOPE;
#pragma omp parallel for collapse(2)
    for (long k = 0; k < p->planes; k++)
        for (long y = 0; y < p->h; y++)
            for (long x = 0; x < p->w; x++) tile[(k * p->h + y) * p->w + x] = whole[row_of(p, k, y) + x];
}

void tile_blend(real *whole, const real *tile, const real *rows, const real *columns, const struct tile_place *p) {
    KERNEL_SCOPE;
#pragma omp parallel for collapse(2)
    for (long k = 0; k < p->planes; k++)
        for (long y = 0; y < p->h; y++)
            for (long x = 0; x < p->w; x++)
                whole[row_of(p, k, y) + x] += rows[y] * columns[x] * tile[(k * p->h + y) * p->w + x];
}
