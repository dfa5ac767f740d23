/* light_decoder_step.c: see light_decoder_step.h. */
#include "train/method/light_decoder_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

/* ---- settings ---- */

static const char *const light_names[] = {"l1", "mse", NULL};
#define FIELDS_OF struct light_config
static const struct config_field fields[] = {
    STAGE_KEYS("light_decoder", stage, "400", "4"),
    OPTIMISER_KEYS("light_decoder.optimiser", stage.optimiser, "2e-3", "0.9", "0.99", "0", "1", "20", "100", "0.99"),
    TEXT("light_decoder.from", from, "", "safetensors file to start from, with its sizes; empty: the sizes below"),
    INT("light_decoder.width0", net.first, 1, 8192, "64", "channels of the first stage"),
    INT("light_decoder.width1", net.stage[0], 1, 8192, "48", "of the second"),
    INT("light_decoder.width2", net.stage[1], 1, 8192, "32", "of the third"),
    INT("light_decoder.width3", net.stage[2], 1, 8192, "32", "after it"),
    INT("light_decoder.blocks", net.blocks, 0, LIGHT_BLOCKS_MAX, "3", "memory blocks a stage"),
    INT("light_decoder.grow0", net.grow[0], 1, 2, "1", "frames that a frame becomes in the first stage"),
    INT("light_decoder.grow1", net.grow[1], 1, 2, "2", "in the second"),
    INT("light_decoder.grow2", net.grow[2], 1, 2, "2", "in the third; 4 in all"),
    INT("light_decoder.scale0", net.scale[0], 1, 2, "2", "growth of the sides in the first stage"),
    INT("light_decoder.scale1", net.scale[1], 1, 2, "2", "in the second"),
    INT("light_decoder.scale2", net.scale[2], 1, 2, "2", "in the third"),
    REAL("light_decoder.clamp", net.clamp, 0, LIGHT_CLAMP_MAX, "3", "the latents are held within this; 0: as they are"),
    INT("light_decoder.patch", net.patch, 1, 16, "1", "pixels of a side that the last layer gives at once"),
    CHOICE("light_decoder.pixel", pixel, light_names, "l1", "pixel loss against the codec's own decode"),
    REAL("light_decoder.pixel_weight", pixel_weight, 0, 1e6, "1", "of the pixel loss"),
    REAL("light_decoder.gradient_weight", gradient_weight, 0, 1e6, "1", "of the gradient-difference loss"),
    REAL("light_decoder.consistency_weight", consistency_weight, 0, 1e6, "0",
         "of the re-encoded output's distance from the latents (codec pca)"),
};
SECTION(light_decoder, "Distils a small, fast decoder from the codec of a data set.", "", NULL,
        TRAINS(NULL, stage.optimiser));

/* ---- memory ---- */

static long clip_values(const struct light_step *s) { return s->planes * s->height * s->width; }

int light_step_layout(struct light_step *s, const struct decoder_net *net, const struct light_config *config,
                      int frames, int h, int w, uint64_t seed, struct sharding *shards, struct arena *state,
                      struct arena *activations) {
    int stride = decoder_net_stride(net);
    s->net = net;
    s->config = *config;
    s->seed = seed;
    s->height = (long)h * stride;
    s->width = (long)w * stride;
    s->planes = 3L * video_frames(frames);
    s->latents = (long)frames * decoder_net_channels(net) * h * w;
    TRY(sharding_share(shards, &s->share, config->stage.batch, config->stage.accumulate));
    TRY(optimiser_layout(&s->optimiser, "decoder", net->table, &config->stage.optimiser, config->stage.steps, shards,
                         state));
    TRY(decoder_acts_layout(&s->acts, net, DECODER_TRAIN, s->share.largest, frames, h, w, activations));
    s->pixels = ARENA_TAKE(activations, "decoded pixels", real, s->share.largest * clip_values(s));
    s->dpixels = ARENA_TAKE(activations, "decoded pixels", real, s->share.largest * clip_values(s));
    s->weight = ARENA_TAKE(activations, "losses", real, 1);
    s->figures = ARENA_TAKE(activations, "losses", struct light_figures, 1);
    mailbox_layout(&s->mail, sizeof *s->figures, activations);
    if (config->consistency_weight > 0)
        latent_consistency_layout(&s->consistency, s->share.largest, frames, decoder_net_channels(net), h, w, stride,
                                  activations);
    return OK;
}

void light_step_free(struct light_step *s) {
    decoder_acts_free(&s->acts);
    mailbox_free(&s->mail);
    optimiser_free(&s->optimiser);
    memset(s, 0, sizeof *s);
}

int light_step_prepare(struct light_step *s, const struct codec *codec) {
    return s->config.consistency_weight > 0 ? latent_consistency_prepare(&s->consistency, codec) : OK;
}

static int begin_layer(struct light_step *s, const struct codec *codec, int layer, float *slice) {
    TRY(optimiser_read(&s->optimiser, OPTIMISER_MASTER, layer, slice));
    decoder_net_begin(s->net, codec, layer, slice);
    optimiser_write(&s->optimiser, OPTIMISER_MASTER, layer, slice);
    return OK;
}

int light_step_fresh(struct light_step *s, const struct codec *codec) {
    optimiser_initialise(&s->optimiser, s->seed);
    float *slice = malloc(s->net->table->total * sizeof *slice);
    int code = slice ? OK : error_set(ERR_DEVICE, "out of memory for a layer");
    for (int i = 0; i < s->net->table->slices && !code; i++) code = begin_layer(s, codec, i, slice);
    free(slice);
    optimiser_start(&s->optimiser);
    return code;
}

/* What the pixels cost, and their gradient d (NULL: not wanted). Means over a part count by its share of the batch. */
static void pixel_losses(struct light_step *s, const struct part *part, real *d, const real *latents,
                         const real *target) {
    const struct light_config *c = &s->config;
    double share = (double)part->count / part->batch;
    long planes = part->count * s->planes, n = part->count * clip_values(s);
    struct light_figures *f = s->figures;
    if (d) mem_zero(d, (size_t)n * sizeof(real));
    if (c->pixel == LIGHT_MSE) { /* assigns the gradient, so it comes first */
        real_fill(s->weight, (real)(share * c->pixel_weight), 1);
        mse_loss(&f->pixel, d, s->pixels, target, s->weight, 1, n);
    } else {
        abs_loss(&f->pixel, d, s->pixels, target, (real)(share * c->pixel_weight), n);
    }
    if (c->gradient_weight > 0)
        gradient_difference_loss(&f->gradient, d, s->pixels, target, (real)(share * c->gradient_weight), planes,
                                 s->height, s->width);
    if (c->consistency_weight > 0)
        latent_consistency_gradient(&s->consistency, part->count, share * c->consistency_weight, &f->consistency, d,
                                    s->pixels, latents);
}

int light_step_gradient(struct light_step *s, const struct params *params, const struct part *part, const real *latents,
                        const real *target) {
    real *d = params->grads ? s->dpixels : NULL;
    decoder_net_forward(s->net, params, &s->acts, part->count, latents, NULL, s->pixels);
    pixel_losses(s, part, d, latents, target);
    if (d) decoder_net_backward(s->net, params, &s->acts, d);
    return params_status(params);
}

int light_step_run(struct light_step *s, const real *latents, const real *target, long step) {
    struct params params = optimiser_params(&s->optimiser);
    struct sharding *shards = s->optimiser.shard.all;
    optimiser_begin(&s->optimiser);
    mem_zero(s->figures, sizeof *s->figures);
    for (int i = 0; i < s->share.parts; i++) {
        struct part part = share_part(&s->share, i);
        params.last = part.last;
        TRY(light_step_gradient(s, &params, &part, latents + part.first * s->latents,
                                target + part.first * clip_values(s)));
    }
    real *parts = &s->figures->pixel;
    for (int i = 0; i < 3; i++) real_axpby(s->optimiser.loss, 1, parts + i, 1, 1);
    TRY(optimiser_step(&s->optimiser, step, 0));
    if (shards) TRY(sharding_add(shards, parts, 3));
    mailbox_post(&s->mail, step, s->figures);
    return OK;
}
