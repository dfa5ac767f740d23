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
    struct vae_stream stream[2];  /* one for each direction */
    struct arena arena[2];        /* pixels and latents on the device */
    real *pixels[2], *latents[2]; /* latents: channels-last */
    struct byte_output bytes;     /* converts the decoder's pixels to bytes */
    real *mean, *std;             /* [z] the config's statistics, for the decoder */
    int ready[2];
    float *pending; /* [4, 3, height, width]: encoder input that does not fill a latent frame yet */
    int pending_frames;
    float *rows; /* [h w, z]: the encoder's latent frame, channels-last */
    int shares;  /* 1: the weights belong to another stream */
};

/* ---- weights ---- */

static int plan_weights(struct vae_weights *w, const struct vae_config *config) {
    memset(w, 0, sizeof *w);
    TRY(vae_create(&w->net, config));
    arena_begin(&w->arena, "video autoencoder weights");
    ARENA_TAKE(&w->arena, "weights", elem, w->net.table.total);
    return OK;
}

int vae_weights_open(struct vae_weights *w, const struct vae_config *config) {
    int code = plan_weights(w, config);
    if (!code) code = arena_commit(&w->arena);
    if (code) {
        vae_weights_close(w);
        return code;
    }
    w->weights = ARENA_TAKE(&w->arena, "weights", elem, w->net.table.total);
    mem_zero(w->weights, w->net.table.total * sizeof(elem));
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

static void lay_out(const struct codec *codec, enum vae_direction d) {
    struct vae_codec *v = codec->state;
    v->pixels[d] = ARENA_TAKE(&v->arena[d], "pixels", real, FRAMES_PER_LATENT * frame_values(codec));
    v->latents[d] = ARENA_TAKE(&v->arena[d], "latents", real, latent_values(codec));
    if (d == VAE_ENCODE) return;
    byte_output_layout(&v->bytes, &v->arena[d], FRAMES_PER_LATENT, codec->height, codec->width);
    v->mean = ARENA_TAKE(&v->arena[d], "statistics", real, codec->channels);
    v->std = ARENA_TAKE(&v->arena[d], "statistics", real, codec->channels);
}

static int make_ready(const struct codec *codec, enum vae_direction d) {
    struct vae_codec *v = codec->state;
    if (v->ready[d]) return OK;
    TRY(vae_stream_open(&v->stream[d]));
    TRY(arena_commit(&v->arena[d]));
    lay_out(codec, d);
    v->ready[d] = 1;
    if (d == VAE_ENCODE) return OK;
    transfer_to_real(v->mean, v->weights.net.config.mean, codec->channels);
    transfer_to_real(v->std, v->weights.net.config.std, codec->channels);
    return OK;
}

/* ---- encoding ---- */

/* Encodes the pixels (1 or 4 frames) of one latent frame. */
static int encode_group(const struct codec *codec, const float *pixels, float *latent) {
    struct vae_codec *v = codec->state;
    const struct vae_config *config = &v->weights.net.config;
    int frames = v->stream[VAE_ENCODE].started ? FRAMES_PER_LATENT : 1, n = codec->h * codec->w;
    transfer_to_real(v->pixels[VAE_ENCODE], pixels, frames * frame_values(codec));
    vae_encode(&v->stream[VAE_ENCODE], &v->params, v->pixels[VAE_ENCODE], 1, v->latents[VAE_ENCODE]);
    transfer_from_real(v->rows, v->latents[VAE_ENCODE], latent_values(codec));
    for (int z = 0; z < config->z; z++)
        for (int i = 0; i < n; i++) latent[z * n + i] = (v->rows[i * config->z + z] - config->mean[z]) / config->std[z];
    return device_sync();
}

static void vae_codec_encode_reset(struct codec *codec) {
    struct vae_codec *v = codec->state;
    v->pending_frames = 0;
    if (v->ready[VAE_ENCODE]) vae_stream_reset(&v->stream[VAE_ENCODE]);
}

static int vae_codec_encode(struct codec *codec, const float *pixels, int frames, float *latents) {
    struct vae_codec *v = codec->state;
    long frame = frame_values(codec);
    int out = 0, code = make_ready(codec, VAE_ENCODE);
    while (frames > 0 && !code) {
        int whole = v->stream[VAE_ENCODE].started ? FRAMES_PER_LATENT : 1;
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
    struct vae_codec *v = codec->state;
    if (v->ready[VAE_DECODE]) vae_stream_reset(&v->stream[VAE_DECODE]);
}

/* Decodes one latent frame into v->pixels, on the device. Returns the number of pixel frames. */
static int decode_latent(const struct codec *codec, const real *latent) {
    struct vae_codec *v = codec->state;
    int frames = v->stream[VAE_DECODE].started ? FRAMES_PER_LATENT : 1;
    channels_last_scaled(v->latents[VAE_DECODE], latent, v->std, v->mean, codec->channels, (long)codec->h * codec->w);
    vae_decode(&v->stream[VAE_DECODE], &v->params, v->latents[VAE_DECODE], 1, v->pixels[VAE_DECODE]);
    return frames;
}

static int pixels_of(const struct codec *codec, int frames, float *pixels) {
    const struct vae_codec *v = codec->state;
    transfer_from_real(pixels, v->pixels[VAE_DECODE], frames * frame_values(codec));
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
        byte_output_frames(&v->bytes, rgb + out * frame_values(codec), v->pixels[VAE_DECODE], 1, 0, made);
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
        vae_stream_close(&v->stream[d]);
        arena_free(&v->arena[d]);
    }
    if (!v->shares) vae_weights_close(&v->weights);
    free(v->pending);
    free(v->rows);
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

/* Plans both directions; `v` has the weights already. */
static int plan(struct codec *codec, struct vae_codec *v) {
    static const char *const purpose[] = {"video encoder's input and output", "video decoder's input and output"};
    v->params = (struct params){.table = &v->weights.net.table, .weights = v->weights.weights};
    TRY(codec_vae_describe(codec, &v->weights.net.config, codec->height, codec->width));
    codec->state = v;
    for (int d = 0; d < 2; d++) {
        arena_begin(&v->arena[d], purpose[d]);
        lay_out(codec, d);
        TRY(vae_stream_plan(&v->stream[d], &v->weights.net, d, codec->height, codec->width, 1));
    }
    v->pending = malloc((size_t)(FRAMES_PER_LATENT * frame_values(codec)) * sizeof(float));
    v->rows = malloc((size_t)latent_values(codec) * sizeof(float));
    return v->pending && v->rows ? OK : error_set(ERR_DEVICE, "codec %s: out of memory", codec->name);
}

static void plan_direction(const struct vae_codec *v, enum vae_direction d, struct memory_plan *memory) {
    memory_plan_arena(memory, &v->stream[d].arena);
    memory_plan_arena(memory, &v->arena[d]);
}

int codec_vae_plan(const struct vae_config *config, int height, int width, struct memory_plan *shared,
                   struct memory_plan *stream) {
    struct vae_codec *v = calloc(1, sizeof *v);
    struct codec codec = {.height = height, .width = width};
    if (!v) return error_set(ERR_DEVICE, "codec: out of memory");
    int code = plan_weights(&v->weights, config);
    if (!code) code = plan(&codec, v);
    if (!code) {
        memory_plan_arena(shared, &v->weights.arena);
        plan_direction(v, VAE_ENCODE, shared);
        plan_direction(v, VAE_DECODE, stream);
    }
    codec.state = v;
    vae_codec_close(&codec);
    return code;
}

static int vae_codec_share(struct codec *stream, const struct codec *base) {
    struct vae_codec *v = calloc(1, sizeof *v);
    if (!v) return error_set(ERR_DEVICE, "codec: out of memory");
    v->weights = ((const struct vae_codec *)base->state)->weights;
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

int codec_vae_open(struct codec *codec, struct vae_weights *weights, int height, int width) {
    struct vae_codec *v = calloc(1, sizeof *v);
    memset(codec, 0, sizeof *codec);
    codec->height = height;
    codec->width = width;
    if (!v) {
        vae_weights_close(weights);
        return error_set(ERR_DEVICE, "codec: out of memory");
    }
    v->weights = *weights;
    memset(weights, 0, sizeof *weights);
    int code = plan(codec, v);
    codec->state = v;
    codec->operations = &vae_operations;
    if (code) codec_close(codec);
    return code;
}
