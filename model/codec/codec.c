/* codec.c: picks a codec by its name and passes the calls on. See codec.h. */
#include "model/codec/codec.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "model/codec/internal.h"

static const struct {
    const char *name;
    int (*open)(struct codec *codec, const struct codec_tensor *tensors, int count);
} codecs[] = {{"pca", codec_pca_open}};

int codec_open(struct codec *codec, const char *name, int height, int width, const struct codec_tensor *tensors,
               int count) {
    memset(codec, 0, sizeof *codec);
    if (height < 1 || width < 1 || height > CODEC_PIXELS_MAX || width > CODEC_PIXELS_MAX)
        return error_set(ERR_INPUT, "codec %s: cannot work at %d x %d pixels", name, height, width);
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (strcmp(codecs[i].name, name)) continue;
        snprintf(codec->name, sizeof codec->name, "%s", name);
        codec->height = height;
        codec->width = width;
        int code = codecs[i].open(codec, tensors, count);
        if (code) memset(codec, 0, sizeof *codec);
        return code;
    }
    if (codec_is_external(name))
        return error_set(ERR_INPUT, "codec %s: its weights are in a file of their own, and none was named", name);
    return error_set(ERR_INPUT, "codec %s: not known here (pca, wan21, wan22 are)", name);
}

int codec_is_external(const char *name) { return !strcmp(name, "wan21") || !strcmp(name, "wan22"); }

void codec_close(struct codec *codec) {
    if (codec->decoder.close) codec->decoder.close(codec->decoder.state);
    if (codec->operations) codec->operations->close(codec);
    memset(codec, 0, sizeof *codec);
}

int codec_tensors(const struct codec *codec, struct codec_tensor *out, int capacity) {
    return codec->operations->tensors(codec, out, capacity);
}

void codec_encode_reset(struct codec *codec) { codec->operations->encode_reset(codec); }

int codec_encode(struct codec *codec, const float *pixels, int frames, float *latents) {
    return codec->operations->encode(codec, pixels, frames, latents);
}

void codec_decode_reset(struct codec *codec) {
    if (codec->decoder.decode)
        codec->decoder.reset(codec->decoder.state);
    else
        codec->operations->decode_reset(codec);
}

int codec_decode(struct codec *codec, const float *latents, int frames, float *pixels) {
    if (codec->decoder.decode) return codec->decoder.decode(codec->decoder.state, latents, frames, pixels);
    return codec->operations->decode(codec, latents, frames, pixels);
}

void codec_use_decoder(struct codec *codec, const struct codec_decoder *decoder) {
    if (codec->decoder.close) codec->decoder.close(codec->decoder.state);
    codec->decoder = *decoder;
}
