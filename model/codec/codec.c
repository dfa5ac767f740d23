/* codec.c: finds a codec by its name and passes the calls on to it. See codec.h. */
#include "model/codec/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/finite.h"
#include "base/pixels.h"
#include "kernels/device.h"
#include "model/codec/internal.h"
#include "model/params/transfer.h"

/* The codecs, a row each. */
static const struct kind {
    const char *name;
    int external; /* 1: weights have a file of their own (checkpoints/codec_file.h); the rest is not used */
    int (*open)(struct codec *codec, const struct codec_tensor *tensors, int count);
    int (*fit)(struct codec *codec, const struct codec_fit *fit, int (*next)(void *user, float *group), void *user);
    int (*stride)(const struct codec_tensor *tensors, int count);
    struct codec_linear (*linear)(const struct codec *codec); /* NULL: the codec is no linear map */
} kinds[] = {
    {"pca", 0, codec_pca_open, codec_pca_fit, codec_pca_stride, codec_pca_linear},
    {"wan21", 1, NULL, NULL, NULL, NULL},
    {"wan22", 1, NULL, NULL, NULL, NULL},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *find(const char *name) {
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
    return NULL;
}

const char *codec_names(void) {
    static _Thread_local char names[KINDS * 32];
    *names = 0;
    for (int i = 0; i < KINDS; i++) strcat(strcat(names, i ? ", " : ""), kinds[i].name);
    return names;
}

int codec_is_known(const char *name) { return find(name) != NULL; }

int codec_is_external(const char *name) { return find(name) && find(name)->external; }

const char *codec_of_tensors(const struct codec_tensor *tensors, int count, int *stride) {
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].stride && (*stride = kinds[i].stride(tensors, count))) return kinds[i].name;
    return NULL;
}

int codec_open(struct codec *codec, const char *name, int height, int width, const struct codec_tensor *tensors,
               int count) {
    const struct kind *kind = find(name);
    memset(codec, 0, sizeof *codec);
    if (height < 1 || width < 1 || height > CODEC_PIXELS_MAX || width > CODEC_PIXELS_MAX)
        return error_set(ERR_INPUT, "codec %s: cannot work at %d x %d pixels", name, height, width);
    if (!kind) return error_set(ERR_INPUT, "codec %s: not known here (%s are)", name, codec_names());
    if (kind->external)
        return error_set(ERR_INPUT, "codec %s: its weights have a file of their own; name it with codec_weights=PATH",
                         name);
    snprintf(codec->name, sizeof codec->name, "%s", name);
    codec->height = height;
    codec->width = width;
    int code = kind->open(codec, tensors, count);
    if (code) memset(codec, 0, sizeof *codec);
    return code;
}

int codec_fit(struct codec *codec, const char *name, const struct codec_fit *fit, int (*next)(void *user, float *group),
              void *user) {
    const struct kind *kind = find(name);
    memset(codec, 0, sizeof *codec);
    if (!kind || !kind->fit) return error_set(ERR_USAGE, "codec %s: it cannot be fitted to data", name);
    return kind->fit(codec, fit, next, user);
}

struct codec_linear codec_linear(const struct codec *codec) {
    const struct kind *kind = find(codec->name);
    return kind && kind->linear ? kind->linear(codec) : (struct codec_linear){0};
}

int codec_share(struct codec *stream, const struct codec *base) {
    *stream = *base;
    stream->state = NULL;
    stream->pictures = NULL;
    stream->decoder = (struct codec_decoder){0};
    int code = base->operations->share(stream, base);
    if (code) {
        memset(stream, 0, sizeof *stream);
        return code;
    }
    if (base->decoder.decode) code = base->decoder.share(&stream->decoder, base, base->decoder.state);
    if (code) codec_close(stream);
    return code;
}

void codec_close(struct codec *codec) {
    if (codec->decoder.close) codec->decoder.close(codec->decoder.state);
    if (codec->operations) codec->operations->close(codec);
    free(codec->pictures);
    memset(codec, 0, sizeof *codec);
}

int codec_tensors(const struct codec *codec, struct codec_tensor *out, int capacity) {
    return codec->operations->tensors(codec, out, capacity);
}

void codec_encode_reset(struct codec *codec) { codec->operations->encode_reset(codec); }

int codec_encode(struct codec *codec, const float *pixels, int frames, float *latents) {
    return codec->operations->encode(codec, pixels, frames, latents);
}

void codec_decode_begin(struct codec *codec, const float *picture) {
    if (codec->decoder.decode)
        codec->decoder.begin(codec->decoder.state, picture);
    else
        codec->operations->decode_begin(codec, picture);
}

int codec_decode(struct codec *codec, const real *latents, int frames, float *pixels) {
    if (codec->decoder.decode) return codec->decoder.decode(codec->decoder.state, latents, frames, pixels);
    return codec->operations->decode(codec, latents, frames, pixels);
}

int codec_not_finite(void) {
    return error_set(ERR_NUMERIC, "a picture is not finite: the weights or the input make numbers that are too large");
}

/* Decodes to bytes through float pixels in host memory, a latent frame at a time. Returns codec_decode's number of
   frames. */
static int decode_on_host(struct codec *codec, const real *latents, int frames, unsigned char *rgb) {
    size_t places = (size_t)codec->height * (size_t)codec->width,
           latent = (size_t)codec->channels * codec->h * codec->w;
    int written = 0;
    if (!codec->pictures) codec->pictures = malloc(FRAMES_PER_LATENT * 3 * places * sizeof *codec->pictures);
    if (!codec->pictures) return -error_set(ERR_DEVICE, "codec %s: out of memory for pictures", codec->name);
    for (int i = 0; i < frames; i++) {
        int made = codec_decode(codec, latents + i * latent, 1, codec->pictures);
        if (made < 0) return made;
        if (finite_fault(codec->pictures, 3 * places * (size_t)made) >= 0) return -codec_not_finite();
        for (int k = 0; k < made; k++, written++)
            rgb_from_planar(rgb + 3 * places * (size_t)written, codec->pictures + 3 * places * (size_t)k, places);
    }
    return written;
}

int codec_decode_bytes(struct codec *codec, const real *latents, int frames, unsigned char *rgb) {
    const struct codec_decoder *d = &codec->decoder;
    if (d->decode_bytes) return d->decode_bytes(d->state, latents, frames, rgb);
    if (!d->decode && codec->operations->decode_bytes)
        return codec->operations->decode_bytes(codec, latents, frames, rgb);
    return decode_on_host(codec, latents, frames, rgb);
}

int codec_decode_host(struct codec *codec, const float *latents, int frames, float *pixels) {
    long n = (long)frames * codec->channels * codec->h * codec->w;
    real *device = device_alloc((size_t)n * sizeof *device);
    if (!device) return -error_set(ERR_DEVICE, "codec %s: out of device memory for latents", codec->name);
    transfer_to_real(device, latents, n);
    int made = codec_decode(codec, device, frames, pixels);
    device_free(device);
    return made;
}

void codec_use_decoder(struct codec *codec, const struct codec_decoder *decoder) {
    if (codec->decoder.close) codec->decoder.close(codec->decoder.state);
    codec->decoder = *decoder;
}
