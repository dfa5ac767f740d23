/* internal.h: what a codec implements behind codec.h. Only the codecs include it. */
#ifndef MODEL_CODEC_INTERNAL_H
#define MODEL_CODEC_INTERNAL_H

#include "model/codec/codec.h"

struct codec_operations {
    void (*close)(struct codec *codec);
    int (*tensors)(const struct codec *codec, struct codec_tensor *out, int capacity);
    void (*encode_reset)(struct codec *codec);
    int (*encode)(struct codec *codec, const float *pixels, int frames, float *latents);
    void (*decode_begin)(struct codec *codec, const float *picture);
    int (*decode)(struct codec *codec, const real *latents, int frames, float *pixels);
    int (*share)(struct codec *stream, const struct codec *base); /* sets state; all else is a copy of base's */
    int (*decode_bytes)(struct codec *codec, const real *latents, int frames, unsigned char *rgb); /* NULL: by decode */
};
/* What codec_decode_bytes says of a picture that is not finite: ERR_NUMERIC. */
int codec_not_finite(void);

/* Opens the pca codec; codec->name, height and width are set already. */
int codec_pca_open(struct codec *codec, const struct codec_tensor *tensors, int count);
/* Does codec_fit's work for the pca codec (pca_fit.c). */
int codec_pca_fit(struct codec *codec, const struct codec_fit *fit, int (*next)(void *user, float *group), void *user);
/* Pixels along a latent position's side, read from a pca codec's tensors; 0: these are no pca codec's. */
int codec_pca_stride(const struct codec_tensor *tensors, int count);
struct codec_linear codec_pca_linear(const struct codec *codec);

#endif
