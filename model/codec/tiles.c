/* tiles.c: see tiles.h. */
#include "model/codec/tiles.h"

#include <math.h>
#include "base/error.h"

int tile_axis_cut(struct tile_axis *axis, const struct codec_tiles *tiles, int length, int stride) {
    int side = (tiles->side + stride - 1) / stride,
        overlap = tiles->overlap < 0 ? (side + 3) / 4 : (tiles->overlap + stride - 1) / stride;
    *axis = (struct tile_axis){.length = length, .side = length, .count = 1};
    if (!tiles->side || side >= length) return OK;
    if (overlap >= side)
        return error_set(ERR_USAGE, "tiles of %d pixels: they overlap by %d, which must be less", side * stride,
                         overlap * stride);
    int count = (length - overlap + side - overlap - 1) / (side - overlap);
    if (count > TILES_MAX)
        return error_set(ERR_USAGE, "tiles of %d pixels: %d pixels would be %d tiles, at most %d", side * stride,
                         length * stride, count, TILES_MAX);
    axis->side = side;
    axis->count = count;
    for (int i = 0; i < count; i++) axis->first[i] = i * (length - side) / (count - 1);
    return OK;
}

/* Height of tile i's own ramp at a place of the whole, above 0 inside the tile: how far the place is from the nearer of
   the tile's edges at which another tile goes on, at most the overlap there. */
static double ramp(const struct tile_axis *a, int i, int scale, int place) {
    double begin = a->first[i] * scale, end = begin + a->side * scale, from = place + 0.5, height = 1;
    if (from < begin || from > end) return 0;
    if (i > 0) height = fmin(height, (from - begin) / fmax(1, (a->first[i - 1] + a->side) * scale - begin));
    if (i + 1 < a->count) height = fmin(height, (end - from) / fmax(1, end - a->first[i + 1] * scale));
    return height;
}

void tile_axis_weights(const struct tile_axis *axis, int i, int scale, float *weight) {
    for (int k = 0; k < axis->side * scale; k++) {
        int place = axis->first[i] * scale + k;
        double sum = 0;
        for (int j = 0; j < axis->count; j++) sum += ramp(axis, j, scale, place);
        weight[k] = (float)(ramp(axis, i, scale, place) / sum);
    }
}
