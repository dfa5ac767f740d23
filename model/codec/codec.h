/* codec.h: video codecs behind one streaming interface. Pixels are host float in [-1, 1], planar [3, height, width] a
   frame, or, where they are to be shown, host bytes [height, width, 3]; latents [C, h, w] a latent frame, normalised
   as the DiT expects them. The encoder gives them as host float, for data sets; the decoder takes them on the device
   (real), where the DiT makes them.
   Latent 0 comes from one pixel frame, every later one from four. State is causal and kept between pushes. */
#ifndef MODEL_CODEC_CODEC_H
#define MODEL_CODEC_CODEC_H

#include <stddef.h>
#include "base/fileio.h"
#include "base/media_rates.h"
#include "kernels/types.h"

enum { CODEC_PIXELS_MAX = 8192 }; /* of a side */

struct codec_tensor { /* what a codec saves: named, host float, owned by the codec */
    const char *name;
    int ndim;
    long shape[4];
    const float *data;
};
struct codec;
/* A decoder in place of a codec's own (model/codec/decoder_codec.h): the same latents in, the same number of frames
   out. */
struct codec_decoder {
    void *state;
    void (*close)(void *state);
    void (*begin)(void *state, const float *picture); /* as codec_decode_begin */
    int (*decode)(void *state, const real *latents, int frames, float *pixels);
    int (*share)(struct codec_decoder *stream, const struct codec *codec, const void *state); /* as codec_share */
    int (*decode_bytes)(void *state, const real *latents, int frames,
                        unsigned char *rgb); /* NULL: decode's, on the host */
};
struct codec {
    char name[32];                             /* "pca", "wan21", "wan22" */
    char weights[FILE_PATH_MAX], checksum[24]; /* of a codec whose weights stay in a file of their own; else "" */
    int height, width;                         /* pixels */
    int channels, h, w;                        /* latent frame */
    void *state;                               /* private */
    const struct codec_operations *operations; /* private */
    struct codec_decoder decoder;              /* decode NULL: the codec's own */
    float *pictures;                           /* private: frames of a latent on their way to bytes; NULL: not yet */
};
/* A codec that travels with its data (pca), from its tensors (data set, exported student). ERR_INPUT names what is
   missing or mis-shaped. Codecs with weights in a file of their own: checkpoints/codec_file.h. */
int codec_open(struct codec *codec, const char *name, int height, int width, const struct codec_tensor *tensors,
               int count);
/* A second stream of the same codec: its states are its own, its weights are those of `base`, which outlives it. */
int codec_share(struct codec *stream, const struct codec *base);
void codec_close(struct codec *codec);
/* What there is: a row a codec in codec.c. `names`: "pca, wan21, wan22", for messages. */
const char *codec_names(void);
int codec_is_known(const char *name);
/* 1: weights stay in a file of their own; whoever stores latents stores where, and the checksum. */
int codec_is_external(const char *name);
/* Which codec travels as these tensors, and how many pixels a latent's side has; NULL: none. */
const char *codec_of_tensors(const struct codec_tensor *tensors, int count, int *stride);
int codec_tensors(const struct codec *codec, struct codec_tensor *out, int capacity); /* count; 0: external */

/* A codec as linear maps of a patch: latent c = scale[c] analysis[c] . (v - mean), and back v = mean + the sum over c
   of latent c / scale[c] synthesis[c]; v and mean in [-1, 1] of `size` numbers (frame, colour, row, column). The
   codec's own memory; all NULL: the codec is no such map. */
struct codec_linear {
    const float *analysis, *synthesis, *mean, *scale; /* [channels, size] both, [size], [channels] */
    long size;
};
struct codec_linear codec_linear(const struct codec *codec);

/* Encoder and decoder keep separate causal states. reset starts a clip. */
void codec_encode_reset(struct codec *codec);
/* Pushes any number of pixel frames; those that do not fill a latent frame yet are kept. Returns the number of latent
   frames written: after n frames in all, 1 + (n-1)/4 have come out. */
int codec_encode(struct codec *codec, const float *pixels, int frames, float *latents);
/* Starts a clip. picture: host [3, height, width], the true picture of the clip's first latent, copied; NULL: nobody
   has it, and the linear decode of that latent stands for it. Codecs and decoders without use for it leave it alone. */
void codec_decode_begin(struct codec *codec, const float *picture);
/* Pushes latent frames (device); returns the number of pixel frames written (1 for the first latent, 4 for each later
   one); negative: -(error code). */
int codec_decode(struct codec *codec, const real *latents, int frames, float *pixels);
/* The same as pictures of 8 bits, rgb [pixel frames, height, width, 3]: the bytes that base/pixels.h makes of
   codec_decode's pixels. Where those are on the device they become bytes there. -ERR_NUMERIC: a pixel is not finite. */
int codec_decode_bytes(struct codec *codec, const real *latents, int frames, unsigned char *rgb);
/* codec_decode for latents in host memory, as the encoder gives them: uploads them first. */
int codec_decode_host(struct codec *codec, const float *latents, int frames, float *pixels);
/* From here on `decoder` decodes; the codec closes it. */
void codec_use_decoder(struct codec *codec, const struct codec_decoder *decoder);

/* Fits the codec of this name to groups of frames, and opens it. next() hands out groups of 4 consecutive frames ([4,
   3, H, W]) until it returns 0 (negative: an error code); a clip's first frame four times over is a group like any
   other. ERR_USAGE: settings that this codec cannot have, or it is none that is fitted.
   pca: linear patch codec over 4 frames x p x p x 3, `channels` components, each divided by its deviation to the power
   `scale_power`, one global scale to mean square 1. First frame: repeated four times through the same basis. */
struct codec_fit {
    int height, width, patch, channels;
    double scale_power;
    double motion_weight; /* of what differs among the four frames; 1: none (pca.c) */
};
int codec_fit(struct codec *codec, const char *name, const struct codec_fit *fit, int (*next)(void *user, float *group),
              void *user);
/* Numbers of a patch: the most components that there can be. */
static inline long pca_values(long patch) { return 3 * FRAMES_PER_LATENT * patch * patch; }
#endif
