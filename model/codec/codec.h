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

enum { CODEC_PIXELS_MAX = 8192 }; /* the largest height or width */

struct codec_tensor { /* one of the tensors that a codec saves; host float, owned by the codec */
    const char *name;
    int ndim;
    long shape[4];
    const float *data;
};
struct codec;
/* A decoder that works in place of a codec's own (model/codec/decoder_codec.h): the same latents in, the same number of
   frames out. */
struct codec_decoder {
    void *state;
    void (*close)(void *state);
    void (*begin)(void *state, const float *picture); /* does codec_decode_begin's work */
    int (*decode)(void *state, const real *latents, int frames, float *pixels);
    /* Does codec_share's work. */
    int (*share)(struct codec_decoder *stream, const struct codec *codec, const void *state);
    /* Does codec_decode_bytes' work; NULL: decode does, and the host converts its pixels. */
    int (*decode_bytes)(void *state, const real *latents, int frames, unsigned char *rgb);
};
struct codec {
    char name[32]; /* "pca", "wan21", "wan22" */
    char weights[FILE_PATH_MAX],
        checksum[24];   /* that file, for a codec whose weights stay in one of their own; else "" */
    int height, width;  /* pixels */
    int channels, h, w; /* sizes of a latent frame */
    void *state;        /* private */
    const struct codec_operations *operations; /* private */
    struct codec_decoder decoder;              /* decode NULL: the codec's own */
    float *pictures;                           /* private: frames of a latent on their way to bytes; NULL: not yet */
};
/* Opens a codec that travels with its data (pca) from the tensors in a data set or exported student. ERR_INPUT names
   what is missing or mis-shaped. checkpoints/codec_file.h opens codecs whose weights have a file of their own. */
int codec_open(struct codec *codec, const char *name, int height, int width, const struct codec_tensor *tensors,
               int count);
/* Opens a second stream of the same codec, with states of its own and the weights of `base`, which must outlive it. */
int codec_share(struct codec *stream, const struct codec *base);
void codec_close(struct codec *codec);
/* The codecs that exist (a row each in codec.c). codec_names: "pca, wan21, wan22", for messages. */
const char *codec_names(void);
int codec_is_known(const char *name);
/* 1: the codec's weights stay in a file of their own, so whoever stores latents also stores its path and checksum. */
int codec_is_external(const char *name);
/* Returns the name of the codec whose tensors these are, and the pixels along a latent position's side; NULL: no
   codec's. */
const char *codec_of_tensors(const struct codec_tensor *tensors, int count, int *stride);
int codec_tensors(const struct codec *codec, struct codec_tensor *out,
                  int capacity); /* returns their number; 0: external */

/* A codec as linear maps of a patch. Latent c = scale[c] analysis[c] . (v - mean), and back v = mean + the sum over c
   of latent c / scale[c] synthesis[c]; v and mean in [-1, 1] of `size` numbers (frame, colour, row, column). The memory
   is the codec's; all NULL: the codec is no such map. */
struct codec_linear {
    const float *analysis, *synthesis, *mean, *scale; /* [channels, size] twice, [size], [channels] */
    long size;
};
struct codec_linear codec_linear(const struct codec *codec);

/* Starts a clip in the encoder. Encoder and decoder keep separate causal states. */
void codec_encode_reset(struct codec *codec);
/* Encodes any number of pixel frames; those that do not fill a latent frame yet are kept. Returns the number of latent
   frames written: after n frames in all, 1 + (n-1)/4 have come out. */
int codec_encode(struct codec *codec, const float *pixels, int frames, float *latents);
/* Starts a clip in the decoder. picture: host [3, height, width], the true picture of the clip's first latent, copied;
   NULL: it is not known, and the linear decode of that latent takes its place. Codecs and decoders that have no use for
   it ignore it. */
void codec_decode_begin(struct codec *codec, const float *picture);
/* Decodes latent frames (device); returns the number of pixel frames written (1 for the first latent, 4 for each later
   one); negative: -(error code). */
int codec_decode(struct codec *codec, const real *latents, int frames, float *pixels);
/* The same as pictures of 8 bits, rgb [pixel frames, height, width, 3]: the bytes that base/pixels.h makes of
   codec_decode's pixels. Where those are on the device they become bytes there. -ERR_NUMERIC: a pixel is not finite. */
int codec_decode_bytes(struct codec *codec, const real *latents, int frames, unsigned char *rgb);
/* codec_decode for latents in host memory, as the encoder gives them: uploads them first. */
int codec_decode_host(struct codec *codec, const float *latents, int frames, float *pixels);
/* Lets `decoder` decode from here on; the codec closes it. */
void codec_use_decoder(struct codec *codec, const struct codec_decoder *decoder);

/* Fits the codec of this name to groups of frames, and opens it. next() hands out groups of 4 consecutive frames ([4,
   3, H, W]) until it returns 0 (negative: an error code); a clip's first frame, four times over, is a group like any
   other. ERR_USAGE: this codec cannot have these settings, or it is not fitted at all.
   pca: linear patch codec over 4 frames x p x p x 3, `channels` components, each divided by its deviation to the power
   `scale_power`, and one scale for all that makes the mean square 1. A first frame goes through the same basis,
   repeated four times. */
struct codec_fit {
    int height, width, patch, channels;
    double scale_power;
    double motion_weight; /* weight of what differs among a group's four frames; 1: no extra weight (pca.c) */
};
int codec_fit(struct codec *codec, const char *name, const struct codec_fit *fit, int (*next)(void *user, float *group),
              void *user);
/* Numbers of a patch, which is also the largest possible number of components. */
static inline long pca_values(long patch) { return 3 * FRAMES_PER_LATENT * patch * patch; }
#endif
