/* vae_codec.c: see vae_codec.h. The networks work on one latent frame at a time, so that their memory is that of four
   video frames, however many are pushed, and any division of a clip gives the same bits. */
#include "model/codec/vae_codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/codec/byte_output.h"
#include "model/codec/internal.h"
#include "model/params/transfer.h"

struct vae_codec {
    struct vae_weights weights;
    struct params params;
    struct codec_tiles tiles;
    struct tile_axis rows, columns;     /* tiles of latent positions; one of each: no tiles */
    struct vae_stream *stream[2];       /* one a direction and, with tiles, behind it one a tile, row by row */
    struct arena arena[2];              /* pixels and latents on the device */
    real *pixels[2], *latents[2];       /* a tile's; latents: channels-last */
    real *whole[2];                     /* with tiles: all pixels; to decode, all of the latent frame too */
    real *weight_rows, *weight_columns; /* those of each tile's pixels, [count][side stride] */
    real *latent;                       /* with tiles: a tile of the latent frame that is decoded */
    float *blend_rows, *blend_columns;  /* host: weights of each tile's latents, [count][side] */
    struct byte_output bytes;           /* converts the decoder's pixels to bytes */
    real *mean, *std;                   /* [z] the config's statistics, for the decoder */
    int ready[2];
    float *pending; /* [4, 3, height, width]: encoder input that does not fill a latent frame yet */
    int pending_frames;
    float *encoded; /* [h w, z]: the encoder's latents of a tile, channels-last */
    int shares;     /* 1: the weights belong to another stream */
};

/* ---- weights ---- */

size_t vae_weights_size(const struct vae_weights *w) {
    return w->halves == VAE_BOTH ? w->net.table.total : w->net.table.slice_offset[VAE_ENCODE + 1];
}

static int plan_weights(struct vae_weights *w, const struct vae_config *config, enum vae_halves halves) {
    memset(w, 0, sizeof *w);
    TRY(vae_create(&w->net, config));
    w->halves = halves;
    arena_begin(&w->arena, halves == VAE_BOTH ? "video autoencoder weights" : "video encoder weights");
    ARENA_TAKE(&w->arena, "weights", elem, vae_weights_size(w));
    return OK;
}

int vae_weights_open(struct vae_weights *w, const struct vae_config *config, enum vae_halves halves) {
    int code = plan_weights(w, config, halves);
    if (!code) code = arena_commit(&w->arena);
    if (code) {
        vae_weights_close(w);
        return code;
    }
    w->weights = ARENA_TAKE(&w->arena, "weights", elem, vae_weights_size(w));
    mem_zero(w->weights, vae_weights_size(w) * sizeof(elem));
    return OK;
}

void vae_weights_close(struct vae_weights *w) {
    arena_free(&w->arena);
    vae_destroy(&w->net);
    memset(w, 0, sizeof *w);
}

/* ---- a direction's memory ---- */

static long frame_values(const struct codec *codec) { return 3L * codec->height * codec->width; }
static long latent_values(const struct codec *codec) { return (long)codec->channels * codec->h * codec->w; }
static int tile_count(const struct vae_codec *v) { return v->rows.count * v->columns.count; }
/* The stream of a tile; without tiles of the picture. */
static struct vae_stream *tile_stream(const struct vae_codec *v, enum vae_direction d, int tile) {
    return v->stream[d] + (tile_count(v) > 1 ? 1 + tile : 0);
}
static int stream_count(const struct vae_codec *v) { return tile_count(v) > 1 ? 1 + tile_count(v) : 1; }
static int tile_positions(const struct vae_codec *v) { return v->rows.side * v->columns.side; }

/* Tile number `tile` of planes that have `scale` places a latent position. */
static struct tile_place place_of(const struct vae_codec *v, int tile, int scale, long planes) {
    int row = tile / v->columns.count, column = tile % v->columns.count;
    return (struct tile_place){.planes = planes,
                               .H = (long)v->rows.length * scale,
                               .W = (long)v->columns.length * scale,
                               .top = (long)v->rows.first[row] * scale,
                               .left = (long)v->columns.first[column] * scale,
                               .h = (long)v->rows.side * scale,
                               .w = (long)v->columns.side * scale};
}

static void lay_out_tiles(const struct codec *codec, enum vae_direction d) {
    struct vae_codec *v = codec->state;
    int stride = vae_stride(&v->weights.net.config);
    v->whole[d] = ARENA_TAKE(&v->arena[d], "pixels of all tiles", real, FRAMES_PER_LATENT * frame_values(codec));
    if (d == VAE_ENCODE) return;
    v->latent = ARENA_TAKE(&v->arena[d], "latents of a tile", real, codec->channels * tile_positions(v));
    v->weight_rows = ARENA_TAKE(&v->arena[d], "weights of tiles", real, v->rows.count * v->rows.side * stride);
    v->weight_columns = ARENA_TAKE(&v->arena[d], "weights of tiles", real, v->columns.count * v->columns.side * stride);
}

static void lay_out(const struct codec *codec, enum vae_direction d) {
    struct vae_codec *v = codec->state;
    long plane = (long)tile_positions(v) * vae_stride(&v->weights.net.config) * vae_stride(&v->weights.net.config);
    v->pixels[d] = ARENA_TAKE(&v->arena[d], "pixels", real, FRAMES_PER_LATENT * 3 * plane);
    v->latents[d] = ARENA_TAKE(&v->arena[d], "latents", real, (long)codec->channels * tile_positions(v));
    if (tile_count(v) > 1) lay_out_tiles(codec, d);
    if (d == VAE_ENCODE) return;
    byte_output_layout(&v->bytes, &v->arena[d], FRAMES_PER_LATENT, codec->height, codec->width);
    v->mean = ARENA_TAKE(&v->arena[d], "statistics", real, codec->channels);
    v->std = ARENA_TAKE(&v->arena[d], "statistics", real, codec->channels);
}

/* Puts the weights of an axis's tiles on the device. */
static int upload_weights(real *to, const struct tile_axis *axis, int stride) {
    long n = (long)axis->side * stride;
    float *weight = malloc((size_t)n * sizeof *weight);
    if (!weight) return error_set(ERR_DEVICE, "out of memory for the weights of tiles");
    for (int i = 0; i < axis->count; i++) {
        tile_axis_weights(axis, i, stride, weight);
        transfer_to_real(to + i * n, weight, n);
    }
    free(weight);
    return OK;
}

static int has_half(const struct vae_codec *v, enum vae_direction d) {
    return d == VAE_ENCODE || v->weights.halves == VAE_BOTH;
}

static int make_ready(const struct codec *codec, enum vae_direction d) {
    struct vae_codec *v = codec->state;
    int stride = vae_stride(&v->weights.net.config);
    if (v->ready[d]) return OK;
    if (!has_half(v, d)) return error_set(ERR_USAGE, "codec %s: its own decoder was not loaded", codec->name);
    for (int i = 0; i < stream_count(v); i++) TRY(vae_stream_open(&v->stream[d][i]));
    TRY(arena_commit(&v->arena[d]));
    lay_out(codec, d);
    v->ready[d] = 1;
    if (d == VAE_ENCODE) return OK;
    transfer_to_real(v->mean, v->weights.net.config.mean, codec->channels);
    transfer_to_real(v->std, v->weights.net.config.std, codec->channels);
    if (tile_count(v) == 1) return OK;
    TRY(upload_weights(v->weight_rows, &v->rows, stride));
    return upload_weights(v->weight_columns, &v->columns, stride);
}

static void reset(struct vae_codec *v, enum vae_direction d) {
    for (int i = 0; v->ready[d] && i < stream_count(v); i++) vae_stream_reset(&v->stream[d][i]);
}

/* ---- encoding ---- */

/* Adds a tile's latents, normalised and weighted, to the latent frame [z, h, w]. The weights of one tile are 1. */
static void blend_latents(const struct codec *codec, int tile, float *latent) {
    const struct vae_codec *v = codec->state;
    const struct vae_config *config = &v->weights.net.config;
    const struct tile_place p = place_of(v, tile, 1, config->z);
    const float *rows = v->blend_rows + tile / v->columns.count * p.h,
                *columns = v->blend_columns + tile % v->columns.count * p.w;
    for (long z = 0; z < p.planes; z++)
        for (long y = 0; y < p.h; y++)
            for (long x = 0; x < p.w; x++) {
                float value = (v->encoded[(y * p.w + x) * p.planes + z] - config->mean[z]) / config->std[z];
                latent[(z * p.H + p.top + y) * p.W + p.left + x] += rows[y] * columns[x] * value;
            }
}

/* Encodes the pixels (1 or 4 frames) of one latent frame, tile by tile. */
static int encode_group(const struct codec *codec, const float *pixels, float *latent) {
    struct vae_codec *v = codec->state;
    int tiles = tile_count(v), frames = tile_stream(v, VAE_ENCODE, 0)->started ? FRAMES_PER_LATENT : 1;
    real *all = tiles > 1 ? v->whole[VAE_ENCODE] : v->pixels[VAE_ENCODE];
    transfer_to_real(all, pixels, frames * frame_values(codec));
    memset(latent, 0, (size_t)latent_values(codec) * sizeof *latent);
    for (int i = 0; i < tiles; i++) {
        const struct tile_place p = place_of(v, i, vae_stride(&v->weights.net.config), 3L * frames);
        if (tiles > 1) tile_take(v->pixels[VAE_ENCODE], all, &p);
        vae_encode(tile_stream(v, VAE_ENCODE, i), &v->params, v->pixels[VAE_ENCODE], 1, v->latents[VAE_ENCODE]);
        transfer_from_real(v->encoded, v->latents[VAE_ENCODE], (long)codec->channels * tile_positions(v));
        blend_latents(codec, i, latent);
    }
    return device_sync();
}

static void vae_codec_encode_reset(struct codec *codec) {
    struct vae_codec *v = codec->state;
    v->pending_frames = 0;
    reset(v, VAE_ENCODE);
}

static int vae_codec_encode(struct codec *codec, const float *pixels, int frames, float *latents) {
    struct vae_codec *v = codec->state;
    long frame = frame_values(codec);
    int out = 0, code = make_ready(codec, VAE_ENCODE);
    while (frames > 0 && !code) {
        int whole = tile_stream(v, VAE_ENCODE, 0)->started ? FRAMES_PER_LATENT : 1;
        if (!v->pending_frames && frames >= whole) {
            code = encode_group(codec, pixels, latents + out++ * latent_values(codec));
            pixels += whole * frame;
            frames -= whole;
            continue;
        }
        memcpy(v->pending + v->pending_frames++ * frame, pixels, (size_t)frame * sizeof(float));
        pixels += frame;
        frames--;
        if (v->pending_frames < FRAMES_PER_LATENT) continue;
        code = encode_group(codec, v->pending, latents + out++ * latent_values(codec));
        v->pending_frames = 0;
    }
    return code ? -code : out;
}

/* ---- decoding ---- */

static void vae_codec_decode_begin(struct codec *codec, const float *picture) {
    (void)picture;
    reset(codec->state, VAE_DECODE);
}

static void decode_tile(const struct codec *codec, int tile, const real *latent) {
    struct vae_codec *v = codec->state;
    channels_last_scaled(v->latents[VAE_DECODE], latent, v->std, v->mean, codec->channels, tile_positions(v));
    vae_decode(tile_stream(v, VAE_DECODE, tile), &v->params, v->latents[VAE_DECODE], 1, v->pixels[VAE_DECODE]);
}

/* Decodes tile by tile and blends the pixels into v->whole. */
static void decode_tiles(const struct codec *codec, const real *latent, int frames) {
    struct vae_codec *v = codec->state;
    int stride = vae_stride(&v->weights.net.config);
    real_fill(v->whole[VAE_DECODE], 0, frames * frame_values(codec));
    for (int i = 0; i < tile_count(v); i++) {
        const struct tile_place from = place_of(v, i, 1, codec->channels), to = place_of(v, i, stride, 3L * frames);
        tile_take(v->latent, latent, &from);
        decode_tile(codec, i, v->latent);
        tile_blend(v->whole[VAE_DECODE], v->pixels[VAE_DECODE], v->weight_rows + i / v->columns.count * to.h,
                   v->weight_columns + i % v->columns.count * to.w, &to);
    }
}

/* Where a latent frame's pixels are when it is decoded, on the device. */
static const real *decoded(const struct vae_codec *v) {
    return tile_count(v) > 1 ? v->whole[VAE_DECODE] : v->pixels[VAE_DECODE];
}

/* Decodes one latent frame, on the device. Returns the number of pixel frames. */
static int decode_latent(const struct codec *codec, const real *latent) {
    struct vae_codec *v = codec->state;
    int frames = tile_stream(v, VAE_DECODE, 0)->started ? FRAMES_PER_LATENT : 1;
    if (tile_count(v) > 1)
        decode_tiles(codec, latent, frames);
    else
        decode_tile(codec, 0, latent);
    return frames;
}

static int pixels_of(const struct codec *codec, int frames, float *pixels) {
    const struct vae_codec *v = codec->state;
    transfer_from_real(pixels, decoded(v), frames * frame_values(codec));
    for (long i = 0; i < frames * frame_values(codec); i++) pixels[i] = fminf(1, fmaxf(-1, pixels[i]));
    return device_sync();
}

static int vae_codec_decode(struct codec *codec, const real *latents, int frames, float *pixels) {
    int out = 0, code = make_ready(codec, VAE_DECODE);
    for (int i = 0; i < frames && !code; i++) {
        int made = decode_latent(codec, latents + i * latent_values(codec));
        code = pixels_of(codec, made, pixels + out * frame_values(codec));
        out += made;
    }
    return code ? -code : out;
}

static int vae_codec_decode_bytes(struct codec *codec, const real *latents, int frames, unsigned char *rgb) {
    struct vae_codec *v = codec->state;
    int out = 0, code = make_ready(codec, VAE_DECODE);
    if (code) return -code;
    byte_output_begin(&v->bytes);
    for (int i = 0; i < frames && !code; i++) {
        int made = decode_latent(codec, latents + i * latent_values(codec));
        byte_output_frames(&v->bytes, rgb + out * frame_values(codec), decoded(v), 1, 0, made);
        out += made;
        code = device_sync();
    }
    if (!code) code = byte_output_end(&v->bytes);
    return code ? -code : out;
}

/* ---- open and close ---- */

static int vae_codec_tensors(const struct codec *codec, struct codec_tensor *out, int capacity) {
    (void)codec, (void)out, (void)capacity;
    return 0;
}

static void vae_codec_close(struct codec *codec) {
    struct vae_codec *v = codec->state;
    for (int d = 0; d < 2; d++) {
        for (int i = v->stream[d] ? stream_count(v) : 0; i-- > 0;) vae_stream_close(&v->stream[d][i]);
        free(v->stream[d]);
        arena_free(&v->arena[d]);
    }
    if (!v->shares) vae_weights_close(&v->weights);
    free(v->pending);
    free(v->encoded);
    free(v->blend_rows);
    free(v->blend_columns);
    free(v);
}

const char *codec_vae_name(const struct vae_config *config) { return config->residual ? "wan22" : "wan21"; }

int codec_vae_describe(struct codec *codec, const struct vae_config *config, int height, int width) {
    int stride = vae_stride(config);
    memset(codec, 0, sizeof *codec);
    snprintf(codec->name, sizeof codec->name, "%s", codec_vae_name(config));
    if (height < 1 || width < 1 || height > CODEC_PIXELS_MAX || width > CODEC_PIXELS_MAX || height % stride ||
        width % stride)
        return error_set(ERR_INPUT, "codec %s: cannot work at %d x %d pixels: both must be multiples of %d",
                         codec->name, height, width, stride);
    codec->height = height;
    codec->width = width;
    codec->channels = config->z;
    codec->h = height / stride;
    codec->w = width / stride;
    return OK;
}

static int plan_streams(struct vae_codec *v, enum vae_direction d) {
    int stride = vae_stride(&v->weights.net.config);
    v->stream[d] = calloc((size_t)stream_count(v), sizeof *v->stream[d]);
    if (!v->stream[d]) return error_set(ERR_DEVICE, "codec: out of memory");
    TRY(vae_stream_plan(v->stream[d], &v->weights.net, d, v->rows.side * stride, v->columns.side * stride, 1));
    for (int i = 1; i < stream_count(v); i++) vae_stream_plan_beside(&v->stream[d][i], v->stream[d]);
    return OK;
}

static float *blend_weights(const struct tile_axis *axis) {
    float *weights = malloc((size_t)(axis->count * axis->side) * sizeof *weights);
    for (int i = 0; weights && i < axis->count; i++) tile_axis_weights(axis, i, 1, weights + i * axis->side);
    return weights;
}

/* Plans both directions; `v` has the weights already. */
static int plan(struct codec *codec, struct vae_codec *v) {
    int stride = vae_stride(&v->weights.net.config);
    static const char *const purpose[] = {"video encoder's input and output", "video decoder's input and output"};
    v->params = (struct params){.table = &v->weights.net.table, .weights = v->weights.weights};
    TRY(codec_vae_describe(codec, &v->weights.net.config, codec->height, codec->width));
    codec->state = v;
    TRY(tile_axis_cut(&v->rows, &v->tiles, codec->h, stride));
    TRY(tile_axis_cut(&v->columns, &v->tiles, codec->w, stride));
    for (int d = 0; d < 2 && has_half(v, d); d++) {
        arena_begin(&v->arena[d], purpose[d]);
        lay_out(codec, d);
        TRY(plan_streams(v, d));
    }
    v->pending = malloc((size_t)(FRAMES_PER_LATENT * frame_values(codec)) * sizeof(float));
    v->encoded = malloc((size_t)(codec->channels * tile_positions(v)) * sizeof(float));
    v->blend_rows = blend_weights(&v->rows);
    v->blend_columns = blend_weights(&v->columns);
    return v->pending && v->encoded && v->blend_rows && v->blend_columns
               ? OK
               : error_set(ERR_DEVICE, "codec %s: out of memory", codec->name);
}

static void plan_direction(const struct vae_codec *v, enum vae_direction d, struct memory_plan *memory) {
    memory_plan_arena(memory, &v->stream[d]->arena);
    if (tile_count(v) > 1)
        memory_plan_host(memory, "past frames of tiles (host)", (size_t)tile_count(v) * v->stream[d][1].parked.used);
    memory_plan_arena(memory, &v->arena[d]);
}

int codec_vae_plan(const struct vae_config *config, enum vae_halves halves, const struct codec_tiles *tiles, int height,
                   int width, struct memory_plan *shared, struct memory_plan *stream) {
    struct vae_codec *v = calloc(1, sizeof *v);
    struct codec codec = {.height = height, .width = width};
    if (!v) return error_set(ERR_DEVICE, "codec: out of memory");
    v->tiles = *tiles;
    int code = plan_weights(&v->weights, config, halves);
    if (!code) code = plan(&codec, v);
    if (!code) {
        memory_plan_arena(shared, &v->weights.arena);
        plan_direction(v, VAE_ENCODE, shared);
        if (has_half(v, VAE_DECODE)) plan_direction(v, VAE_DECODE, stream);
    }
    codec.state = v;
    vae_codec_close(&codec);
    return code;
}

static int vae_codec_share(struct codec *stream, const struct codec *base) {
    struct vae_codec *v = calloc(1, sizeof *v);
    if (!v) return error_set(ERR_DEVICE, "codec: out of memory");
    v->weights = ((const struct vae_codec *)base->state)->weights;
    v->tiles = ((const struct vae_codec *)base->state)->tiles;
    v->shares = 1;
    char weights[sizeof stream->weights], checksum[sizeof stream->checksum];
    memcpy(weights, stream->weights, sizeof weights);
    memcpy(checksum, stream->checksum, sizeof checksum);
    int code = plan(stream, v);
    stream->state = v;
    stream->operations = base->operations;
    memcpy(stream->weights, weights, sizeof weights);
    memcpy(stream->checksum, checksum, sizeof checksum);
    if (code) vae_codec_close(stream);
    return code;
}

static const struct codec_operations vae_operations = {vae_codec_close,  vae_codec_tensors,      vae_codec_encode_reset,
                                                       vae_codec_encode, vae_codec_decode_begin, vae_codec_decode,
                                                       vae_codec_share,  vae_codec_decode_bytes};

int codec_vae_open(struct codec *codec, struct vae_weights *weights, const struct codec_tiles *tiles, int height,
                   int width) {
    struct vae_codec *v = calloc(1, sizeof *v);
    memset(codec, 0, sizeof *codec);
    codec->height = height;
    codec->width = width;
    if (!v) {
        vae_weights_close(weights);
        return error_set(ERR_DEVICE, "codec: out of memory");
    }
    v->weights = *weights;
    v->tiles = *tiles;
    memset(weights, 0, sizeof *weights);
    int code = plan(codec, v);
    codec->state = v;
    codec->operations = &vae_operations;
    if (code) codec_close(codec);
    return code;
}
