/* light_decoder_step.h: one update of a light decoder that learns to do what a codec's own decoder does. Opens no file: the
   batch comes as device arrays. With p the decoder's pixels and t the codec's, both in [0, 1], z the latents:
     loss = pixel_weight (mean |p - t| or mean (p - t)^2)
          + gradient_weight (mean |dx (p - t)| + mean |dy (p - t)|)        differences to the next pixel in a row, in a column
          + consistency_weight mean (encode(p) - z)^2                      latent_consistency.h
   The first frame of a clip counts like any other. */
#ifndef TRAIN_METHOD_LIGHT_DECODER_STEP_H
#define TRAIN_METHOD_LIGHT_DECODER_STEP_H

#include "model/codec/decoder_net.h"
#include "train/method/latent_consistency.h"
#include "train/method/stage_config.h"
#include "train/optimiser/share.h"

enum light_loss { LIGHT_L1, LIGHT_MSE };
/* A light decoder from a codec. Its latents' channels are model.in_channels. */
struct light_config {
    struct stage_config stage;
    char from[RUN_PATH];             /* safetensors file that it starts from, with its sizes; empty: from the seed */
    struct light_decoder_config net; /* when it starts from the seed */
    int pixel;                       /* enum light_loss */
    double pixel_weight, gradient_weight, consistency_weight;
};
extern const struct config_section light_decoder_section;

struct light_figures { /* parts of the loss, weighted */
    real pixel, gradient, consistency;
};
struct light_step {
    const struct decoder_net *net;
    struct light_config config;
    struct optimiser optimiser;
    struct decoder_acts acts;
    struct share share;
    struct latent_consistency consistency; /* laid out when its weight is not 0 */
    uint64_t seed;
    long planes, height, width;    /* of a clip's pixels: 3 (4F-3) planes of height x width */
    long latents;                  /* numbers of a clip's latents */
    real *pixels, *dpixels;        /* [clips of a part, 4F-3, 3, height, width] */
    real *weight;                  /* [1]: of the pixel loss */
    struct light_figures *figures; /* device */
    struct mailbox mail;
};
/* h, w: latent rows and columns. */
int light_step_layout(struct light_step *s, const struct decoder_net *net, const struct light_config *config,
                      int frames, int h, int w, uint64_t seed, struct sharding *shards, struct arena *state,
                      struct arena *activations);
void light_step_free(struct light_step *s);
/* After the memory is there: constants. ERR_USAGE: the codec does not give what the loss asks for. */
int light_step_prepare(struct light_step *s, const struct codec *codec);
/* New weights from the seed, for that codec. */
int light_step_fresh(struct light_step *s, const struct codec *codec);
/* A part of the batch: its share of the loss into the optimiser's, of the loss's parts into figures, gradients to
   params->grads (NULL: none). latents [part, F, C, h, w], target [part, 4F-3, 3, height, width]. */
int light_step_gradient(struct light_step *s, const struct params *params, const struct part *part, const real *latents,
                        const real *target);
/* Update number `step` (0, 1, ...) from this rank's clips. */
int light_step_run(struct light_step *s, const real *latents, const real *target, long step);

#endif
