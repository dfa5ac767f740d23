/* light_codec.c: see light_codec.h. */
#include "model/codec/light_codec.h"

#include <stdlib.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/codec/byte_output.h"
#include "model/params/transfer.h"

/* Latent frames at once: as many as have this number of pixels, at most MOST. */
enum { PIXELS = 1 << 18, MOST = 8 };

struct light_codec {
    struct light_decoder net;
    struct params params;
    struct arena arena;
    struct light_acts *acts;
    int at_once;              /* latent frames */
    real *pixels;             /* what they make */
    struct byte_output bytes; /* the same, to be shown */
    size_t channels, values;  /* numbers of a latent frame, of a video frame */
    int shares;               /* net and weights are another stream's */
};

static int layout(struct light_codec *c, const struct codec *codec) {
    TRY(light_acts_layout(&c->acts, &c->net, LIGHT_STREAM, 1, c->at_once, codec->h, codec->w, &c->arena));
    c->pixels = ARENA_TAKE(&c->arena, "decoder: pixels", real, (size_t)c->at_once * FRAMES_PER_LATENT * c->values);
    byte_output_layout(&c->bytes, &c->arena, c->at_once * FRAMES_PER_LATENT, codec->height, codec->width);
    return OK;
}

static int allocate(struct light_codec *c, const struct codec *codec) {
    arena_begin(&c->arena, "light decoder");
    TRY(layout(c, codec));
    light_acts_free(c->acts);
    c->acts = NULL;
    TRY(arena_commit(&c->arena));
    return layout(c, codec);
}

static void light_close(void *state) {
    struct light_codec *c = state;
    light_acts_free(c->acts);
    arena_free(&c->arena);
    if (!c->shares) {
        device_free(c->params.weights);
        light_decoder_destroy(&c->net);
    }
    free(c);
}

static void light_reset(void *state) { light_stream_reset(((struct light_codec *)state)->acts); }

/* From [0, 1] to [-1, 1], held within. */
static void widen(float *pixels, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = 2 * pixels[i] - 1;
        pixels[i] = v < -1 ? -1 : v > 1 ? 1 : v;
    }
}

/* Latent frames i and on of `frames`, as many as are taken at once, into c->pixels; the number of video frames. */
static int decode_some(struct light_codec *c, const real *latents, int i, int frames) {
    int now = frames - i < c->at_once ? frames - i : c->at_once;
    return light_stream_decode(&c->net, &c->params, c->acts, latents + (size_t)i * c->channels, now, c->pixels);
}

static int light_decode(void *state, const real *latents, int frames, float *pixels) {
    struct light_codec *c = state;
    int written = 0;
    for (int i = 0; i < frames; i += c->at_once) {
        int n = decode_some(c, latents, i, frames);
        float *to = pixels + (size_t)written * c->values;
        transfer_from_real(to, c->pixels, (long)((size_t)n * c->values));
        widen(to, (size_t)n * c->values);
        written += n;
    }
    return written;
}

static int light_decode_bytes(void *state, const real *latents, int frames, unsigned char *rgb) {
    struct light_codec *c = state;
    int written = 0;
    byte_output_begin(&c->bytes);
    for (int i = 0; i < frames; i += c->at_once) {
        int n = decode_some(c, latents, i, frames);
        byte_output_frames(&c->bytes, rgb + (size_t)written * c->values, c->pixels, 2, -1, n); /* from [0, 1] */
        written += n;
    }
    int code = byte_output_end(&c->bytes);
    return code ? -code : written;
}

static int light_share(struct codec_decoder *stream, const struct codec *codec, const void *state);

/* A stream of that net; net and weights stay the caller's when it fails. */
static int open_stream(struct codec_decoder *decoder, const struct codec *codec, const struct light_decoder *net,
                       elem *weights, int shares) {
    struct light_codec *c = calloc(1, sizeof *c);
    if (!c) return error_set(ERR_DEVICE, "out of memory for the light decoder");
    c->net = *net;
    c->shares = shares;
    c->channels = (size_t)codec->channels * (size_t)codec->h * (size_t)codec->w;
    c->values = 3 * (size_t)codec->height * (size_t)codec->width;
    long most = PIXELS / ((long)FRAMES_PER_LATENT * codec->height * codec->width);
    c->at_once = most < 1 ? 1 : most > MOST ? MOST : (int)most;
    int code = allocate(c, codec);
    if (code) {
        light_acts_free(c->acts);
        arena_free(&c->arena);
        free(c);
        return code;
    }
    c->params = (struct params){.table = &c->net.table, .weights = weights};
    light_stream_reset(c->acts);
    *decoder = (struct codec_decoder){c, light_close, light_reset, light_decode, light_share, light_decode_bytes};
    return OK;
}

static int light_share(struct codec_decoder *stream, const struct codec *codec, const void *state) {
    const struct light_codec *base = state;
    return open_stream(stream, codec, &base->net, base->params.weights, 1);
}

int light_codec_open(struct codec_decoder *decoder, const struct codec *codec, const struct light_decoder *net,
                     elem *weights) {
    return open_stream(decoder, codec, net, weights, 0);
}
