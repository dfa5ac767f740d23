/* vae.h: the Wan video autoencoders, 2.1 and 2.2: encoding and decoding, pass by pass.
   Pixels in [-1, 1], latents: the mean of the encoder's distribution, not normalised. Latent frame 0 is pixel frame 0;
   every later one is 4 pixel frames. Spatial stride: patch 2^(levels - 1), 8 in 2.1 and 16 in 2.2.

   Activations are elem, channels-last [frames, h, w, C]. Layers (names are the original Wan's):
     causal conv   zeros around h and w; in time the last kernel - 1 frames of its own input, kept between passes, zeros
                   before the clip
     residual      shortcut(x) + conv(silu(rms(conv(silu(rms(x)))))), rms(x) = x sqrt(C)/|x| gamma over the channels
     attention     per frame, one head as wide as the channels, in the middle of both halves
     down, up      in space a 3 x 3 conv of stride 2 behind one row and column of zeros; nearest x 2, then 3 x 3.
                   In time a conv of 3 frames, stride 2; a conv to 2 C channels, the first C the earlier frame
   Frame 0 is not resampled in time: the encoder's time convs only keep it for the next pass, and the decoder's see
   zeros in its place. Wan 2.2 adds to every level its input, resampled without parameters: means over blocks and
   channels, or repetition. A clip gives the same result in any division into passes.
   Formulas: the public model's definition (Wan 2.1, 2.2; Diffusers' AutoencoderKLWan); tests/golden/vae.py compares
   with it. */
#ifndef MODEL_CODEC_VAE_H
#define MODEL_CODEC_VAE_H

#include <stdio.h>
#include "kernels/arena.h"
#include "model/params/params.h"

enum { VAE_LEVELS_MAX = 6, VAE_RES_MAX = 4, VAE_Z_MAX = 128, VAE_SLOTS_MAX = 128 };

struct vae_config {
    int residual; /* 1: the 2.2 kind, whose levels have shortcuts and numbered parts; 0: the 2.1 kind */
    int z;        /* latent channels */
    int encoder_base, decoder_base; /* channels of the encoder's first level; of the decoder's last */
    int levels, mult[VAE_LEVELS_MAX];
    int res_blocks;                        /* residual blocks of a level; the decoder has one more */
    int halve_time[VAE_LEVELS_MAX];        /* encoder levels 0 .. levels - 2: 1: the next one has half the frames */
    int patch;                             /* side of the pixel patches that become channels at the start: 1 or 2 */
    float mean[VAE_Z_MAX], std[VAE_Z_MAX]; /* statistics of latents: normalised = (latent - mean)/std */
};
/* The released models: 2.1 with z 16 and bases 96, 2.2 with z 48 and bases 160 and 256. */
void vae_config_wan21(struct vae_config *config);
void vae_config_wan22(struct vae_config *config);
/* Fills in mean and std: the published ones for z 16 and 48, else 0 and 1. */
void vae_config_statistics(struct vae_config *config);
int vae_config_check(const struct vae_config *config); /* ERR_INPUT names the value that is out of range */
int vae_stride(const struct vae_config *config);       /* pixels along a latent position's side */

/* ---- layers: parameters are offsets inside the half's slice ---- */
struct vae_conv {
    size_t weight, bias;
    int ci, co, kernel[3];
};
struct vae_res {
    size_t norm1, norm2;
    struct vae_conv conv1, conv2, shortcut; /* shortcut.ci 0: it has none */
};
struct vae_level {
    int in, out, res_count; /* channels at its start and end; number of residual blocks */
    struct vae_res res[VAE_RES_MAX + 1];
    int space, time; /* factor by which resolution changes: 2, or 1 for no change */
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
    struct vae_half half[2]; /* by enum vae_direction */
};
int vae_create(struct vae *vae, const struct vae_config *config);
void vae_destroy(struct vae *vae);
/* Copies a parameter's values, those of convolutions from a checkpoint's order [co, ci, kernel] to the arena's [co,
   kernel, ci]. */
void vae_arrange(float *to, const float *from, const struct param *param);

/* One direction of one clip: buffers, and what the layers keep between passes. */
struct vae_stream {
    const struct vae *vae;
    enum vae_direction direction;
    int height, width; /* pixels */
    int group;         /* most latent frames of a pass */
    int started;       /* 1: frame 0 is done */
    struct arena arena;
    const struct vae_stream *beside; /* stream of the same sizes whose memory this one borrows; NULL: none */
    struct arena parked;             /* host memory of a stream that borrows */
    elem *kept;                      /* there: what its layers keep, while others use the device's */
    size_t need[4];                  /* elements of each buffer */
    elem *buffer[4], *cache, *probability;
    real *score;
    size_t slot[VAE_SLOTS_MAX + 1]; /* offset in the cache of what each layer keeps, in order of execution */
    int slots;
    double
        flops[2]; /* operations (two for each multiply-add) of frame 0, and of a later pass of `group` latent frames */
};
/* Computes sizes; allocates nothing. ERR_INPUT: height or width is no multiple of the stride. */
int vae_stream_plan(struct vae_stream *stream, const struct vae *vae, enum vae_direction direction, int height,
                    int width, int group);
/* Plans another stream of the same sizes, which borrows the device memory of `first` for each of its passes: of its own
   it has host memory only, pinned where the device can do that, to which what layers keep goes between passes. `first`
   makes no pass itself, stays where it is, is opened first and closed last. */
void vae_stream_plan_beside(struct vae_stream *stream, const struct vae_stream *first);
int vae_stream_open(struct vae_stream *stream); /* allocates what was planned; then resets */
void vae_stream_close(struct vae_stream *stream);
void vae_stream_reset(struct vae_stream *stream); /* starts a clip */
void vae_stream_print(const struct vae_stream *stream, FILE *out);

/* One pass. Pixels: device [frames, 3, height, width]; latents: device, channels-last [latent frames, h, w, z]. The
   first pass after a reset takes only frame 0, a later one 1 .. group latent frames. */
void vae_encode(struct vae_stream *stream, const struct params *params, const real *pixels, int latent_frames,
                real *latents);
void vae_decode(struct vae_stream *stream, const struct params *params, const real *latents, int latent_frames,
                real *pixels);

#endif
