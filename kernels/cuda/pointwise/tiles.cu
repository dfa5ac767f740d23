/* tiles.cu: tiles of planes, taken out and blended in (kernels.h). A thread has one number of the tile. */
#include "kernels/cuda/kernel.cuh"

/* Row, column and index in the whole planes of number i of the tile. */
template <class I> struct in_tile {
    I y, x;
    long at;
    __device__ in_tile(I i, const struct tile_place &p) {
        I row = quotient(i, p.w), plane = quotient(row, p.h);
        x = i - row * (I)p.w;
        y = row - plane * (I)p.h;
        at = ((long)plane * p.H + p.top + (long)y) * p.W + p.left + (long)x;
    }
};

struct taken {
    real *tile;
    const real *whole;
    struct tile_place place;
    template <class I> __device__ void at(I i) const { tile[i] = whole[in_tile<I>(i, place).at]; }
};
struct blended {
    real *whole;
    const real *tile, *rows, *columns;
    struct tile_place place;
    template <class I> __device__ void at(I i) const {
        in_tile<I> to(i, place);
        whole[to.at] += rows[to.y] * columns[to.x] * tile[i];
    }
};

void tile_take(real *tile, const real *whole, const struct tile_place *p) {
    for_each_place_one(taken{tile, whole, *p}, p->planes * p->h * p->w);
}

void tile_blend(real *whole, const real *tile, const real *rows, const real *columns, const struct tile_place *p) {
    for_each_place_one(blended{whole, tile, rows, columns, *p}, p->planes * p->h * p->w);
}
