/* light_decoder_step.h: one update of a decoder that learns from a codec's own decode or from true pictures. Opens no
   file: the batch comes as device arrays. A sample is F latent frames z, the first of them the reference's image
   latent, and its 4F-3 pictures t in [0, 1], the first of them the reference. With p the decoder's pixels, e = p - t:
     loss = pixel_weight (mean m |e| or mean e^2)
          + gradient_weight (mean m |dx e| + mean m |dy e|)        differences to the next pixel in a row, in a column
          + consistency_weight mean (encode(p) - z)^2              latent_consistency.h
   m weighs what moves: m = 1 + motion_pixels min(1, motion / MOTION_FULL), where motion, the largest in 3 x 3 pixels,
   is the largest deviation of a latent frame's four pictures from their mean and a quarter of |mean - reference|. A
   sample whose second latent frame does not follow the reference in its clip counts from the third on: the second is
   there as the past of that. The reference counts with m = 1.
   The decoder is given z with errors like those that a generator makes; the reference's latent stays clean:
     z_f + (noise_clip s + g) a + (noise_frame s + g) n_f,   g = u min(1, d) sqrt(1/2)
   a and n are normal, a the same in all frames of a sample; s is uniform in 0 .. 2 and u in 0 .. noise_motion for each
   sample; d, at each place, the largest in 3 x 3 of the latents' root mean square deviation in time. */
#ifndef TRAIN_METHOD_LIGHT_DECODER_STEP_H
#define TRAIN_METHOD_LIGHT_DECODER_STEP_H

#include "model/codec/decoder_net.h"
#include "train/method/latent_consistency.h"
#include "train/method/stage_config.h"
#include "train/optimiser/batch_split.h"

enum light_loss { LIGHT_L1, LIGHT_MSE };
enum light_target { LIGHT_CODEC, LIGHT_PICTURES };
/* Settings of a decoder and its training. Its latents have model.in_channels channels. */
struct light_config {
    struct stage_config stage;
    char from[RUN_PATH];       /* safetensors file with weights and sizes to start from; empty: random weights */
    int network;               /* enum decoder_kind */
    struct decoder_config net; /* sizes where `from` is empty; its kind is `network` */
    int target;                /* enum light_target */
    int frames;                /* latent frames, beside the reference, of a sample of true pictures; 0: the window's */
    double other_reference;    /* probability that the reference is another window's */
    int pixel;                 /* enum light_loss */
    double pixel_weight, gradient_weight, consistency_weight;
    double motion_pixels;                         /* weight of moving pixels over that of still ones, less 1 */
    double noise_clip, noise_frame, noise_motion; /* sizes of the errors put on the latents */
};
extern const struct config_section light_decoder_section;

/* Parts of the loss of a step, weighted; device. */
struct light_figures {
    real pixel, gradient, consistency;
};
/* This rank's samples of a batch, device. */
struct light_batch {
    const real *latents, *target; /* [split, F, C, h, w], [split, 4F-3, 3, height, width] */
    const real *joined;           /* [split]: 0 where the second latent frame does not follow the first in the clip */
};
struct light_step {
    const struct decoder_net *net;
    struct light_config config;
    struct optimiser optimiser;
    struct decoder_acts acts;
    struct batch_split split;
    struct latent_consistency consistency; /* laid out when its weight is not 0 */
    uint64_t seed, step;
    long frames, rows, places;  /* latent frames of a sample; rows and places of a latent frame */
    long planes, height, width; /* a sample's pixels are 3 (4F-3) planes of height x width */
    long latents;               /* number of values of a sample's latents */
    /* Device arrays; samples: those of a part. */
    real *pixels, *dpixels;   /* [samples, 4F-3, 3, height, width]: decoded pixels and the gradient by them */
    real *reference;          /* [samples, 3, height, width] */
    real *weight;             /* [1]: weight of the pixel loss */
    real *motion, *widened;   /* [samples, F-1, height, width]: motion; the largest of it in 3 x 3 pixels */
    real *map;                /* [samples, 4F-3, height, width]: the weights m; NULL: all are 1 */
    real *disturbed;          /* [samples, F, C, h, w]: latents with noise; NULL: no noise, and nothing below */
    real *still, *each;       /* [samples, C, h, w], [samples, F, C, h, w]: normal numbers a and n */
    real *deviation, *around; /* [samples, h, w]: deviation in time; the largest of it in 3 x 3 places, d */
    real *levels;             /* [samples, 3]: amounts, as latent_noise takes them */
    float *levels_host;       /* host copy of levels */
    struct light_figures *figures;
    struct mailbox mail; /* carries figures to the host */
};
/* frames: F, latent frames of a sample; h, w: latent rows and columns. */
int light_step_layout(struct light_step *s, const struct decoder_net *net, const struct light_config *config,
                      int frames, int h, int w, uint64_t seed, struct sharding *shards, struct arena *state,
                      struct arena *activations);
void light_step_free(struct light_step *s);
/* Writes the constants, once the memory is there. ERR_USAGE: the codec does not give what the loss asks for. */
int light_step_prepare(struct light_step *s, const struct codec *codec);
/* Starts afresh with random weights from the seed, made fit for that codec (decoder_net_begin). */
int light_step_fresh(struct light_step *s, const struct codec *codec);
/* Processes a part of the batch in update s->step: adds its share of the loss's parts to figures and the gradients to
   params->grads (NULL: none are wanted). batch: the part's. */
int light_step_gradient(struct light_step *s, const struct params *params, const struct part *part,
                        const struct light_batch *batch);
/* Makes update number `step` (0, 1, ...) from this rank's samples of the batch. */
int light_step_run(struct light_step *s, const struct light_batch *batch, long step);

#endif
