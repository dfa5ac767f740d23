/* decoder_codec.c: see decoder_codec.h. */
#include "model/codec/decoder_codec.h"

#include <stdlib.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/codec/byte_output.h"
#include "model/params/transfer.h"

/* Limits of the latent frames decoded at once: so many pixels in all, and at most MOST frames. */
enum { PIXELS = 1 << 18, MOST = 8 };

struct decoder_codec {
    struct decoder_net *net;
    struct params params;
    struct arena arena;
    struct decoder_acts acts;
    int at_once;              /* latent frames decoded at once */
    real *pixels, *picture;   /* their pixels; the first latent's true picture */
    struct byte_output bytes; /* converts their pixels to bytes */
    float *shown;             /* host: the true picture, in [0, 1] */
    size_t channels, values;  /* numbers of a latent frame, of a video frame */
    int shares;               /* 1: net and weights belong to another stream */
};

static int layout(struct decoder_codec *c, const struct codec *codec) {
    TRY(decoder_acts_layout(&c->acts, c->net, DECODER_STREAM, 1, c->at_once, codec->h, codec->w, &c->arena));
    c->pixels = ARENA_TAKE(&c->arena, "decoder: pixels", real, (size_t)c->at_once * FRAMES_PER_LATENT * c->values);
    c->picture = ARENA_TAKE(&c->arena, "decoder: pixels", real, c->values);
    byte_output_layout(&c->bytes, &c->arena, c->at_once * FRAMES_PER_LATENT, codec->height, codec->width);
    return OK;
}

/* Fills in the sizes of a stream. */
static void size(struct decoder_codec *c, const struct codec *codec, struct decoder_net *net) {
    c->net = net;
    c->channels = (size_t)codec->channels * (size_t)codec->h * (size_t)codec->w;
    c->values = 3 * (size_t)codec->height * (size_t)codec->width;
    long most = PIXELS / ((long)FRAMES_PER_LATENT * codec->height * codec->width);
    c->at_once = most < 1 ? 1 : most > MOST ? MOST : (int)most;
}

int decoder_codec_plan(const struct codec *codec, struct decoder_net *net, struct memory_plan *shared,
                       struct memory_plan *stream) {
    struct decoder_codec c = {0};
    size(&c, codec, net);
    memory_plan_bytes(shared, "decoder weights", net->table->total * sizeof(elem));
    arena_begin(&c.arena, "decoder");
    int code = layout(&c, codec);
    if (!code) memory_plan_arena(stream, &c.arena);
    decoder_acts_free(&c.acts);
    arena_free(&c.arena);
    return code;
}

static int allocate(struct decoder_codec *c, const struct codec *codec) {
    c->shown = malloc(c->values * sizeof *c->shown);
    if (!c->shown) return error_set(ERR_DEVICE, "out of memory for the decoder's picture");
    arena_begin(&c->arena, "decoder");
    TRY(layout(c, codec));
    TRY(arena_commit(&c->arena));
    return layout(c, codec);
}

static void free_stream(struct decoder_codec *c) {
    decoder_acts_free(&c->acts);
    arena_free(&c->arena);
    free(c->shown);
    free(c);
}

static void decoder_codec_close(void *state) {
    struct decoder_codec *c = state;
    if (!c->shares) {
        device_free(c->params.weights);
        decoder_net_destroy(c->net);
        free(c->net);
    }
    free_stream(c);
}

static void decoder_codec_begin(void *state, const float *picture) {
    struct decoder_codec *c = state;
    for (size_t i = 0; i < c->values && picture; i++) c->shown[i] = (picture[i] + 1) / 2;
    if (picture) transfer_to_real(c->picture, c->shown, (long)c->values);
    decoder_stream_begin(c->net, &c->acts, picture ? c->picture : NULL);
}

/* Maps pixels from [0, 1] to [-1, 1] and clamps them. */
static void widen(float *pixels, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = 2 * pixels[i] - 1;
        pixels[i] = v < -1 ? -1 : v > 1 ? 1 : v;
    }
}

/* Decodes latent frames from i on, as many as are decoded at once, into c->pixels. Returns the number of video
   frames. */
static int decode_some(struct decoder_codec *c, const real *latents, int i, int frames) {
    int now = frames - i < c->at_once ? frames - i : c->at_once;
    return decoder_stream_decode(c->net, &c->params, &c->acts, latents + (size_t)i * c->channels, now, c->pixels);
}

static int decoder_codec_decode_bytes(void *state, const real *latents, int frames, unsigned char *rgb) {
    struct decoder_codec *c = state;
    int written = 0;
    byte_output_begin(&c->bytes);
    for (int i = 0; i < frames; i += c->at_once) {
        int n = decode_some(c, latents, i, frames);
        byte_output_frames(&c->bytes, rgb + (size_t)written * c->values, c->pixels, 2, -1, n); /* [0, 1] to [-1, 1] */
        written += n;
    }
    int code = byte_output_end(&c->bytes);
    return code ? -code : written;
}

static int decoder_codec_decode(void *state, const real *latents, int frames, float *pixels) {
    struct decoder_codec *c = state;
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

static int decoder_codec_share(struct codec_decoder *stream, const struct codec *codec, const void *state);

/* Opens a stream of a network; net and weights stay the caller's when this fails. */
static int open_stream(struct codec_decoder *decoder, const struct codec *codec, struct decoder_net *net, elem *weights,
                       int shares) {
    struct decoder_codec *c = calloc(1, sizeof *c);
    if (!c) return error_set(ERR_DEVICE, "out of memory for the decoder");
    size(c, codec, net);
    c->shares = shares;
    int code = allocate(c, codec);
    if (code) {
        free_stream(c);
        return code;
    }
    c->params = (struct params){.table = net->table, .weights = weights};
    *decoder = (struct codec_decoder){c,
                                      decoder_codec_close,
                                      decoder_codec_begin,
                                      decoder_codec_decode,
                                      decoder_codec_share,
                                      decoder_codec_decode_bytes};
    decoder->begin(c, NULL);
    return OK;
}

static int decoder_codec_share(struct codec_decoder *stream, const struct codec *codec, const void *state) {
    const struct decoder_codec *base = state;
    return open_stream(stream, codec, base->net, base->params.weights, 1);
}

int decoder_codec_open(struct codec_decoder *decoder, const struct codec *codec, struct decoder_net *net,
                       elem *weights) {
    return open_stream(decoder, codec, net, weights, 0);
}
