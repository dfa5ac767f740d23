/* vae.h: the Wan video autoencoders, 2.1 and 2.2, encode and decode, a stream at a time.
   Pixels in [-1, 1], latents: the mean of the encoder's distribution, not normalised. Latent frame 0 is pixel frame 0;
   every later one is 4 pixel frames. Spatial stride: patch 2^(levels - 1), 8 in 2.1 and 16 in 2.2.

   Activations are elem, channels-last [frames, h, w, C]. Layers (names are the original Wan's):
     causal conv   zeros around h and w; in time the last kernel - 1 frames of its own input, kept between passes, zeros
                   before the clip
     residual      shortcut(x) + conv(silu(rms(conv(silu(rms(x)))))), rms(x) = x sqrt(C)/|x| gamma over the channels
     attention     per frame, one head as wide as the channels, in the middle of both halves
     down, up      in space a 3 x 3 conv of stride 2 behind one row and column of zeros; nearest x 2, then 3 x 3.
                   In time a conv of 3 frames, stride 2; a conv to 2 C channels, the first C the earlier frame
   Frame 0 goes through no change of resolution in time: the encoder only keeps it for the next pass, and for the
   decoder's time convs it is zeros. Wan 2.2 adds to every level its input, resampled without parameters: means over
   blocks and channels, or repetition. So a clip gives the same in any division into passes.
   Formulas: the public model's definition (Wan 2.1, 2.2; Diffusers' AutoencoderKLWan), held to it by
   tests/golden/vae.py. */
#ifndef MODEL_CODEC_VAE_H
#define MODEL_CODEC_VAE_H

#include <stdio.h>
#include "kernels/arena.h"
#include "model/params/params.h"

enum { VAE_LEVELS_MAX = 6, VAE_RES_MAX = 4, VAE_Z_MAX = 128, VAE_SLOTS_MAX = 128 };

struct vae_config {
    int residual; /* 1: the 2.2 kind, levels with shortcuts and numbered inside; 0: the 2.1 kind */
    int z;
    int encoder_base, decoder_base; /* channels of the first level; the last one of the decoder */
    int levels, mult[VAE_LEVELS_MAX];
    int res_blocks;                        /* a level; the decoder has one more */
    int halve_time[VAE_LEVELS_MAX];        /* encoder levels 0 .. levels - 2: does the next one have half the frames? */
    int patch;                             /* pixels of a side that are channels from the start: 1, 2 */
    float mean[VAE_Z_MAX], std[VAE_Z_MAX]; /* of latents: normalised = (latent - mean)/std */
};
/* The released models: z 16 and base 96; z 48, bases 160 and 256. */
void vae_config_wan21(struct vae_config *config);
void vae_config_wan22(struct vae_config *config);
/* The published statistics for z 16 and 48, else 0 and 1. */
void vae_config_statistics(struct vae_config *config);
int vae_config_check(const struct vae_config *config); /* ERR_INPUT says what cannot be */
int vae_stride(const struct vae_config *config);       /* pixels of a latent's side */

/* ---- layers: offsets inside the half's slice ---- */
struct vae_conv {
    size_t weight, bias;
    int ci, co, kernel[3];
};
struct vae_res {
    size_t norm1, norm2;
    struct vae_conv conv1, conv2, shortcut; /* shortcut.ci = 0: none */
};
struct vae_level {
    int in, out, res_count; /* channels at its start and at its end */
    struct vae_res res[VAE_RES_MAX + 1];
    int space, time; /* 2: resolution changes by that; 1: not */
    struct vae_conv space_conv, time_conv;
};
struct vae_half {
    struct vae_conv latent_conv, in, qkv, proj, out;
    struct vae_res middle[2];
    size_t attention_norm, head_norm;
    struct vae_level level[VAE_LEVELS_MAX];
};
enum vae_direction { VAE_ENCODE, VAE_DECODE };

/* The network. Slice 0 of the table is the encoder, slice 1 the decoder. Weights of convolutions lie in the arena in
   the order that kernels.h wants: vae_arrange. */
struct vae {
    struct vae_config config;
    struct param_table table;
    struct vae_half half[2]; /* by direction */
};
int vae_create(struct vae *vae, const struct vae_config *config);
void vae_destroy(struct vae *vae);
/* A parameter's values from a checkpoint's order [co, ci, kernel] to the arena's [co, kernel, ci]; others are
   copied. */
void vae_arrange(float *to, const float *from, const struct param *param);

/* One direction of one clip: buffers and what the layers keep between passes. */
struct vae_stream {
    const struct vae *vae;
    enum vae_direction direction;
    int height, width; /* pixels */
    int group;         /* latent frames of a pass at most */
    int started;       /* frame 0 has gone through */
    struct arena arena;
    size_t need[4]; /* elements of the buffers */
    elem *buffer[4], *cache, *probability;
    real *score;
    size_t slot[VAE_SLOTS_MAX + 1]; /* where what a layer keeps starts in the cache, elements; in order of execution */
    int slots;
    double flops[2]; /* multiply-adds count two: of frame 0, of a later pass of `group` latent frames */
};
/* Finds out sizes; allocates nothing. ERR_INPUT: height or width is no multiple of the stride. */
int vae_stream_plan(struct vae_stream *stream, const struct vae *vae, enum vae_direction direction, int height,
                    int width, int group);
int vae_stream_open(struct vae_stream *stream); /* allocates what was planned, and resets */
void vae_stream_close(struct vae_stream *stream);
void vae_stream_reset(struct vae_stream *stream); /* a new clip */
void vae_stream_print(const struct vae_stream *stream, FILE *out);

/* A pass. Pixels: device [frames, 3, height, width]; latents: device, channels-last [latent frames, h, w, z]. The first
   pass after a reset takes frame 0 alone, a later one 1 .. group latent frames. */
void vae_encode(struct vae_stream *stream, const struct params *params, const real *pixels, int latent_frames,
                real *latents);
void vae_decode(struct vae_stream *stream, const struct params *params, const real *latents, int latent_frames,
                real *pixels);

#endif
