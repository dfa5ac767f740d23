/* codec.c: runs a video codec on tensors of safetensors files, so that it can be compared with other tools. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "checkpoints/codec_file.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/vae_file.h"
#include "kernels/device.h"

struct codec_options {
    const char *weights, *in, *out;
    int height, width, threads, raw;
    struct codec_tiles tiles;
    int decode;
};
#define FIELDS_OF struct codec_options
static const struct config_field keys[] = {
    FLAG("raw", raw, "no",
         "Leaves latents as the autoencoder makes them, not normalised, like Diffusers' AutoencoderKLWan without its "
         "pipeline."),
    INT("height", height, 1, CODEC_PIXELS_MAX, "704", "Height of the pictures that plan is made for, in pixels."),
    INT("width", width, 1, CODEC_PIXELS_MAX, "1280", "Width of the pictures that plan is made for, in pixels."),
    INT("tile", tiles.side, 0, CODEC_PIXELS_MAX, "0",
        "Side in pixels of the square tiles in which a Wan autoencoder works, one after the other, to take less device "
        "memory; 0 works on whole pictures. Tiles are rounded up to whole latent positions."),
    INT("overlap", tiles.overlap, -1, CODEC_PIXELS_MAX, "-1",
        "Least overlap of neighbouring tiles in pixels, over which they are blended; -1 takes a quarter of the tile. "
        "The seams show more the less the tiles overlap."),
    THREADS_FIELD,
};
static const struct command command = {
    .name = "codec",
    .does = "Runs a video codec on tensors of safetensors files, to compare it with other tools.",
    .words = "encode|decode|plan WEIGHTS [IN.safetensors OUT.safetensors]",
    .min_words = 2,
    .max_words = 4,
    .text = "encode  reads the tensor pixels [T, 3, H, W] in [-1, 1] with T = 1 + 4 k from IN and writes latents\n"
            "        [1 + k, C, h, w] to OUT\n"
            "decode  reads latents from IN and writes pixels to OUT\n"
            "plan    prints the memory and operations that both take; reads only the headers of WEIGHTS\n"
            "WEIGHTS is a Wan video autoencoder's file or folder, or a pca codec's file.\n",
    .keys = keys,
    .key_count = FIELDS(keys)};

/* A tensor of four axes; values are malloc'd. */
struct video {
    long shape[4];
    float *values;
};
static long frame_values(const struct video *v) { return v->shape[1] * v->shape[2] * v->shape[3]; }

static int take_tensor(struct video *v, const struct safetensors *file, const char *name) {
    const struct safetensors_entry *e = safetensors_find(file, name);
    if (!e || e->ndim != 4) return error_set(ERR_INPUT, "expected a tensor \"%s\" of four axes", name);
    for (int i = 0; i < 4; i++) {
        v->shape[i] = e->shape[i];
        if (e->shape[i] < 1 || e->shape[i] > INT_MAX / 8)
            return error_set(ERR_INPUT, "%s: axis %d is %ld long", name, i, e->shape[i]);
    }
    v->values = malloc(e->count * sizeof *v->values);
    if (!v->values) return error_set(ERR_DEVICE, "out of memory for %s", name);
    return safetensors_read_float(e, v->values);
}

static int read_video(struct video *v, const char *path, const char *name) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = take_tensor(v, &file, name);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

static int write_video(const struct video *v, const char *path, const char *name) {
    struct safetensors_entry e = {.name = (char *)name, .type = ST_F32, .ndim = 4, .data = v->values};
    memcpy(e.shape, v->shape, sizeof v->shape);
    e.count = (size_t)(v->shape[0] * frame_values(v));
    e.bytes = e.count * sizeof(float);
    return safetensors_write(path, &e, 1, NULL);
}

static int room_for(struct video *v, long frames, long channels, long height, long width) {
    memcpy(v->shape, (long[]){frames, channels, height, width}, sizeof v->shape);
    v->values = malloc((size_t)(frames * frame_values(v)) * sizeof *v->values);
    return v->values ? OK : error_set(ERR_DEVICE, "out of memory for %ld frames", frames);
}

/* ---- the codec ---- */

/* Opens the autoencoder with mean 0 and deviation 1, so that its latents are not normalised. */
static int open_raw(struct codec *codec, const char *path, const struct codec_tiles *tiles, int height, int width) {
    struct vae_weights weights;
    uint32_t checksum;
    TRY(vae_file_open(&weights, path, VAE_BOTH, &checksum));
    for (int i = 0; i < VAE_Z_MAX; i++) weights.net.config.mean[i] = 0, weights.net.config.std[i] = 1;
    return codec_vae_open(codec, &weights, tiles, height, width);
}

static int open_codec(struct codec *codec, const struct codec_options *o, long height, long width) {
    const struct codec_source source = {"", o->weights, "", o->tiles, VAE_BOTH};
    if (height > CODEC_PIXELS_MAX || width > CODEC_PIXELS_MAX)
        return error_set(ERR_INPUT, "%s: %ld x %ld pixels are more than %d", o->in, height, width, CODEC_PIXELS_MAX);
    return o->raw ? open_raw(codec, o->weights, &o->tiles, (int)height, (int)width)
                  : codec_file_open(codec, &source, (int)height, (int)width);
}

static int encode(const struct codec_options *o, struct codec *codec, const struct video *in, struct video *out) {
    long frames = in->shape[0];
    if (in->shape[1] != 3 || (frames - 1) % FRAMES_PER_LATENT)
        return error_set(ERR_INPUT, "%s: pixels are [%ld, %ld, ..], expected [1 + 4 k, 3, ..]", o->in, frames,
                         in->shape[1]);
    TRY(open_codec(codec, o, in->shape[2], in->shape[3]));
    TRY(room_for(out, latent_frames(frames), codec->channels, codec->h, codec->w));
    codec_encode_reset(codec);
    int made = codec_encode(codec, in->values, (int)frames, out->values);
    return made < 0 ? -made : OK;
}

static int decode(const struct codec_options *o, struct codec *codec, const struct video *in, struct video *out) {
    long frames = in->shape[0];
    int stride = 0;
    TRY(codec_file_stride(o->weights, &stride));
    TRY(open_codec(codec, o, in->shape[2] * stride, in->shape[3] * stride));
    if (in->shape[1] != codec->channels)
        return error_set(ERR_INPUT, "%s: latents of %ld channels, codec %s has %d", o->in, in->shape[1], codec->name,
                         codec->channels);
    TRY(room_for(out, video_frames(frames), 3, codec->height, codec->width));
    codec_decode_begin(codec, NULL);
    int made = codec_decode_host(codec, in->values, (int)frames, out->values);
    return made < 0 ? -made : OK;
}

static int check_finite(const struct video *v) {
    for (long i = 0; i < v->shape[0] * frame_values(v); i++)
        if (!isfinite(v->values[i])) return error_set(ERR_NUMERIC, "frame %ld is not finite", i / frame_values(v));
    return OK;
}

static int convert(const struct codec_options *o) {
    struct codec codec = {.operations = NULL};
    struct video in = {.values = NULL}, out = {.values = NULL};
    int code = read_video(&in, o->in, o->decode ? "latents" : "pixels");
    double start = clock_seconds();
    if (!code) code = (o->decode ? decode : encode)(o, &codec, &in, &out);
    if (!code) code = check_finite(&out);
    if (!code) code = write_video(&out, o->out, o->decode ? "pixels" : "latents");
    if (!code)
        log_line("%s: [%ld, %ld, %ld, %ld] to [%ld, %ld, %ld, %ld] in %.2f s, opening included", codec.name,
                 in.shape[0], in.shape[1], in.shape[2], in.shape[3], out.shape[0], out.shape[1], out.shape[2],
                 out.shape[3], clock_seconds() - start);
    codec_close(&codec);
    free(in.values);
    free(out.values);
    return code;
}

/* ---- the program ---- */

static int plan(const struct codec_options *o) {
    const struct codec_source source = {"", o->weights, "", o->tiles, VAE_BOTH};
    return codec_file_print(&source, o->height, o->width, stdout);
}

static int run(struct codec_options *o, const struct args *args) {
    const char *what = args->words[0];
    int planned = !strcmp(what, "plan");
    o->decode = !strcmp(what, "decode");
    if (!planned && !o->decode && strcmp(what, "encode"))
        return error_set(ERR_USAGE, "%s: expected encode, decode or plan", what);
    if (args->word_count != (planned ? 2 : 4))
        return error_set(ERR_USAGE, planned ? "plan takes WEIGHTS" : "%s takes WEIGHTS IN OUT", what);
    o->weights = args->words[1];
    if (planned) return plan(o);
    o->in = args->words[2];
    o->out = args->words[3];
    TRY(device_init(o->threads));
    return convert(o);
}

int main(int argc, char **argv) {
    struct codec_options o;
    struct args args;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (!code && !args.done) code = run(&o, &args);
    return args_exit("codec", code);
}
