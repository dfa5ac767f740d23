/* set_codec.c: see set_codec.h. */
#include "train/stage/set_codec.h"

#include "base/error.h"
#include "checkpoints/codec_file.h"

static int get(struct codec *codec, struct dataset *set, const char *weights,
               int (*get_external)(struct codec *, const struct codec_source *, int, int)) {
    const struct dataset_shape *s = dataset_shape(set);
    if (!codec_is_external(s->codec)) return dataset_codec(set, codec);
    const struct codec_source source = {
        s->codec, *weights ? weights : s->codec_weights, s->codec_checksum, {0}, VAE_BOTH};
    int code = get_external(codec, &source, s->pixel_height, s->pixel_width);
    if (code) return error_context(code, "codec of the data set (codec_weights=FILE names another place)");
    if (codec->channels == s->C && codec->h == s->H && codec->w == s->W) return OK;
    error_set(ERR_INPUT, "%s: codec %s gives latents of %d x %d x %d, the data set has %d x %d x %d", source.path,
              codec->name, codec->channels, codec->h, codec->w, s->C, s->H, s->W);
    codec_close(codec);
    return ERR_INPUT;
}

int set_codec_open(struct codec *codec, struct dataset *set, const char *weights) {
    return get(codec, set, weights, codec_file_open);
}

int set_codec_describe(struct codec *codec, struct dataset *set, const char *weights) {
    return get(codec, set, weights, codec_file_describe);
}
