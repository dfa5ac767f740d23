/* tiles.h: how a picture is cut into overlapping tiles and blended together again, along one axis. All tiles of an axis
   are of one length, spread evenly, so that neighbours overlap by at least what was asked for.

     tile 0  |----------======|            weight: 1 ---- falling over the overlap
     tile 1            |======----------|  the weights of all tiles at a place add up to 1

   Positions are those of latents; a codec's pixels are `scale` times as many. */
#ifndef MODEL_CODEC_TILES_H
#define MODEL_CODEC_TILES_H

enum { TILES_MAX = 64 }; /* along an axis */

/* What a user asks for. side 0: no tiles. */
struct codec_tiles {
    int side, overlap; /* pixels: of a tile, least of two neighbours; overlap -1: a quarter of the side */
};
struct tile_axis {
    int length, side, count; /* positions of the whole, of a tile; number of tiles */
    int first[TILES_MAX];
};
/* Cuts `length` positions, each `stride` pixels. ERR_USAGE: the overlap is not less than the side, or the tiles are too
   many. */
int tile_axis_cut(struct tile_axis *axis, const struct codec_tiles *tiles, int length, int stride);
/* Weights of tile i at `scale` places a position: weight [side * scale]. */
void tile_axis_weights(const struct tile_axis *axis, int i, int scale, float *weight);

#endif
