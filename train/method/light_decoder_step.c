/* light_decoder_step.c: see light_decoder_step.h. */
#include "train/method/light_decoder_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

/* Motion, as a share of the pixels' range, from which on a pixel has the full weight of motion_pixels. */
#define MOTION_FULL 0.075

/* ---- settings ---- */

static const char *const light_names[] = {"l1", "mse", NULL}, *const networks[] = {"light", "residual", NULL},
                         *const targets[] = {"codec", "pictures", NULL};
#define FIELDS_OF struct light_config
static const struct config_field fields[] = {
    STAGE_KEYS("light_decoder", stage, "400", "4"),
    OPTIMISER_KEYS("light_decoder.optimiser", stage.optimiser, "2e-3", "0.9", "0.99", "0", "1", "20", "100", "0.99"),
    TEXT("light_decoder.from", from, "",
         "Safetensors file to start from, which gives the sizes too; empty: random weights of the sizes below."),
    CHOICE("light_decoder.network", network, networks, "light",
           "Kind of decoder. light: stands alone; residual: corrects the codec's linear decode, and sees the "
           "reference's picture."),
    INT("light_decoder.width0", net.light.first, 1, 8192, "64",
        "Light decoder: channels of the first level, at the latents' resolution."),
    INT("light_decoder.width1", net.light.level[0], 1, 8192, "48", "Light decoder: channels of the second level."),
    INT("light_decoder.width2", net.light.level[1], 1, 8192, "32", "Light decoder: channels of the third level."),
    INT("light_decoder.width3", net.light.level[2], 1, 8192, "32",
        "Light decoder: channels behind the third level, of which the last layer makes the pixels."),
    INT("light_decoder.blocks", net.light.blocks, 0, LIGHT_BLOCKS_MAX, "3",
        "Light decoder: number of memory blocks in each level; one sees a frame and the frame before it."),
    INT("light_decoder.grow0", net.light.grow[0], 1, 2, "1",
        "Light decoder: frames that the first level makes of a frame; the three levels' product must be 4."),
    INT("light_decoder.grow1", net.light.grow[1], 1, 2, "2",
        "Light decoder: frames that the second level makes of a frame."),
    INT("light_decoder.grow2", net.light.grow[2], 1, 2, "2",
        "Light decoder: frames that the third level makes of a frame."),
    INT("light_decoder.scale0", net.light.scale[0], 1, 2, "2",
        "Light decoder: factor by which the first level enlarges height and width."),
    INT("light_decoder.scale1", net.light.scale[1], 1, 2, "2",
        "Light decoder: factor by which the second level enlarges height and width."),
    INT("light_decoder.scale2", net.light.scale[2], 1, 2, "2",
        "Light decoder: factor by which the third level enlarges height and width."),
    REAL(
        "light_decoder.clamp", net.light.clamp, 0, LIGHT_CLAMP_MAX, "3",
        "Light decoder: bound c that latents are softly held within, as c tanh(latent / c); 0: they stay as they are."),
    INT("light_decoder.patch", net.light.patch, 1, 16, "1",
        "Light decoder: side, in pixels, of the square that the last layer makes for each of its places."),
    INT("light_decoder.residual.width0", net.residual.width[0], 1, 8192, "64",
        "Residual decoder: channels at the latents' resolution."),
    INT("light_decoder.residual.width1", net.residual.width[1], 1, 8192, "48",
        "Residual decoder: channels at twice the latents' resolution."),
    INT("light_decoder.residual.width2", net.residual.width[2], 1, 8192, "32",
        "Residual decoder: channels at four times the latents' resolution."),
    INT("light_decoder.residual.blocks0", net.residual.blocks[0], 0, RESIDUAL_BLOCKS_MAX, "2",
        "Residual decoder: number of residual blocks at the latents' resolution."),
    INT("light_decoder.residual.blocks1", net.residual.blocks[1], 0, RESIDUAL_BLOCKS_MAX, "1",
        "Residual decoder: number of residual blocks at twice the latents' resolution."),
    INT("light_decoder.residual.blocks2", net.residual.blocks[2], 0, RESIDUAL_BLOCKS_MAX, "1",
        "Residual decoder: number of residual blocks at four times the latents' resolution."),
    INT("light_decoder.residual.patch", net.residual.patch, 1, RESIDUAL_PATCH_MAX, "2",
        "Residual decoder: side, in pixels, of the square that the last layer makes for each of its places; a quarter "
        "of the "
        "codec's stride."),
    CHOICE("light_decoder.target", target, targets, "codec",
           "Pictures that the decoder learns to give. codec: the codec's own decode; pictures: the data set's true "
           "pictures."),
    INT("light_decoder.frames", frames, 0, 1000, "0",
        "Latent frames of a window, beside the reference, that a sample of true pictures has; 0: the whole window."),
    REAL("light_decoder.other_reference", other_reference, 0, 1, "0.6",
         "Probability that a sample of true pictures has its reference from another window of the same shot."),
    CHOICE("light_decoder.pixel", pixel, light_names, "l1",
           "Pixel loss: the mean absolute (l1) or mean square (mse) difference from the target."),
    REAL("light_decoder.pixel_weight", pixel_weight, 0, 1e6, "1", "Weight of the pixel loss."),
    REAL("light_decoder.gradient_weight", gradient_weight, 0, 1e6, "1",
         "Weight of the loss on differences between neighbouring pixels, which keeps edges sharp."),
    REAL("light_decoder.consistency_weight", consistency_weight, 0, 1e6, "0",
         "Weight of the distance between the latents and the encoded output; codec pca only."),
    REAL(
        "light_decoder.motion_pixels", motion_pixels, 0, 1e3, "0",
        "Weight added to the 1 of pixels that move, in the pixel and the gradient loss; 0: all pixels weigh the same."),
    REAL("light_decoder.noise_clip", noise_clip, 0, 10, "0",
         "Typical size of an error put on the latents that is the same in all frames of a sample; 0: none."),
    REAL("light_decoder.noise_frame", noise_frame, 0, 10, "0",
         "Typical size of an error put on the latents that is another in each frame; 0: none."),
    REAL("light_decoder.noise_motion", noise_motion, 0, 10, "0",
         "Largest error put on the latents as a share of their own motion; 0: none."),
};
static int check(const void *settings) {
    const struct light_config *c = settings;
    if (c->pixel != LIGHT_MSE || (c->target == LIGHT_CODEC && c->motion_pixels == 0)) return OK;
    return error_set(ERR_USAGE, "light_decoder.pixel: mse weighs all pixels the same: with target=pictures or "
                                "motion_pixels above 0 it must be l1");
}
SECTION(light_decoder, "Trains a small, fast decoder on a codec's own decode or on true pictures.", "", check,
        TRAINS(NULL, stage.optimiser));

/* ---- memory ---- */

static long clip_values(const struct light_step *s) { return s->planes * s->height * s->width; }
static long picture_values(const struct light_step *s) { return 3 * s->height * s->width; }

/* Lays out the weights of pixels, which depend on motion and on gaps between reference and clip. */
static void layout_motion(struct light_step *s, struct arena *arena) {
    long size = s->split.largest * s->height * s->width;
    if (s->config.target == LIGHT_CODEC && s->config.motion_pixels == 0) return;
    s->motion = ARENA_TAKE(arena, "weights of pixels", real, size * (s->frames - 1));
    s->widened = ARENA_TAKE(arena, "weights of pixels", real, size * (s->frames - 1));
    s->map = ARENA_TAKE(arena, "weights of pixels", real, size * video_frames(s->frames));
}

static int layout_noise(struct light_step *s, struct arena *arena) {
    const struct light_config *c = &s->config;
    long n = s->split.largest;
    if (c->noise_clip == 0 && c->noise_frame == 0 && c->noise_motion == 0) return OK;
    s->disturbed = ARENA_TAKE(arena, "noise on latents", real, n * s->latents);
    s->each = ARENA_TAKE(arena, "noise on latents", real, n * s->latents);
    s->still = ARENA_TAKE(arena, "noise on latents", real, n * s->latents / s->frames);
    s->deviation = ARENA_TAKE(arena, "noise on latents", real, n * s->places);
    s->around = ARENA_TAKE(arena, "noise on latents", real, n * s->places);
    s->levels = ARENA_TAKE(arena, "noise on latents", real, 3 * n);
    if (!s->levels_host) s->levels_host = malloc(3 * (size_t)n * sizeof *s->levels_host);
    return s->levels_host ? OK : error_set(ERR_DEVICE, "out of memory for levels");
}

int light_step_layout(struct light_step *s, const struct decoder_net *net, const struct light_config *config,
                      int frames, int h, int w, uint64_t seed, struct sharding *shards, struct arena *state,
                      struct arena *activations) {
    int stride = decoder_net_stride(net), channels = decoder_net_channels(net);
    s->net = net;
    s->config = *config;
    s->seed = seed;
    s->frames = frames;
    s->rows = h;
    s->places = (long)h * w;
    s->height = (long)h * stride;
    s->width = (long)w * stride;
    s->planes = 3 * video_frames(frames);
    s->latents = frames * channels * s->places;
    TRY(sharding_batch_split(shards, &s->split, config->stage.batch, config->stage.accumulate));
    TRY(optimiser_layout(&s->optimiser, "decoder", net->table, &config->stage.optimiser, config->stage.steps, shards,
                         state));
    long n = s->split.largest;
    TRY(decoder_acts_layout(&s->acts, net, DECODER_TRAIN, (int)n, frames, h, w, activations));
    s->pixels = ARENA_TAKE(activations, "decoded pixels", real, n * clip_values(s));
    s->dpixels = ARENA_TAKE(activations, "decoded pixels", real, n * clip_values(s));
    s->reference = ARENA_TAKE(activations, "decoded pixels", real, n * picture_values(s));
    s->weight = ARENA_TAKE(activations, "losses", real, 1);
    s->figures = ARENA_TAKE(activations, "losses", struct light_figures, 1);
    mailbox_layout(&s->mail, sizeof *s->figures, activations);
    layout_motion(s, activations);
    TRY(layout_noise(s, activations));
    if (config->consistency_weight > 0)
        latent_consistency_layout(&s->consistency, (int)n, frames, channels, h, w, stride, activations);
    return OK;
}

void light_step_free(struct light_step *s) {
    decoder_acts_free(&s->acts);
    mailbox_free(&s->mail);
    optimiser_free(&s->optimiser);
    free(s->levels_host);
    memset(s, 0, sizeof *s);
}

int light_step_prepare(struct light_step *s, const struct codec *codec) {
    return s->config.consistency_weight > 0 ? latent_consistency_prepare(&s->consistency, codec) : OK;
}

static int begin_slice(struct light_step *s, const struct codec *codec, int i, float *slice) {
    TRY(optimiser_read(&s->optimiser, OPTIMISER_MASTER, i, slice));
    decoder_net_begin(s->net, codec, i, slice);
    optimiser_write(&s->optimiser, OPTIMISER_MASTER, i, slice);
    return OK;
}

int light_step_fresh(struct light_step *s, const struct codec *codec) {
    optimiser_initialise(&s->optimiser, s->seed);
    float *slice = malloc(s->net->table->total * sizeof *slice);
    int code = slice ? OK : error_set(ERR_DEVICE, "out of memory for a layer");
    for (int i = 0; i < s->net->table->slices && !code; i++) code = begin_slice(s, codec, i, slice);
    free(slice);
    optimiser_start(&s->optimiser);
    return code;
}

/* ---- an update ---- */

/* Returns the latents that the decoder is given: with noise, where there is any. */
static const real *disturb(struct light_step *s, const struct part *part, const real *latents) {
    const struct light_config *c = &s->config;
    long n = part->count, F = s->frames, frame = s->latents / F;
    if (!s->disturbed) return latents;
    for (long b = 0; b < n; b++) {
        const struct random_address address = {.seed = s->seed,
                                               .step = s->step,
                                               .purpose = RANDOM_LATENT_NOISE,
                                               .pass = 2,
                                               .sample = (uint32_t)(part->sample0 + b)};
        double level = 2 * random_uniform(&address, 0), moving = c->noise_motion * random_uniform(&address, 1);
        s->levels_host[3 * b] = (float)(c->noise_clip * level);
        s->levels_host[3 * b + 1] = (float)(c->noise_frame * level);
        s->levels_host[3 * b + 2] = (float)(moving * sqrt(0.5));
    }
    transfer_to_real(s->levels, s->levels_host, 3 * n);
    random_normal(s->still, s->seed, s->step, RANDOM_LATENT_NOISE, 0, part->sample0, n, 0, 1, frame);
    random_normal(s->each, s->seed, s->step, RANDOM_LATENT_NOISE, 1, part->sample0, n, 0, F, frame);
    latent_motion(s->deviation, latents, n, F, frame / s->places, s->places);
    largest_around(s->around, s->deviation, n, s->rows, s->places / s->rows);
    mem_copy(s->disturbed, latents, (size_t)(n * s->latents) * sizeof(real));
    latent_noise(s->disturbed, s->still, s->each, s->around, s->levels, n, F, frame / s->places, s->places);
    return s->disturbed;
}

/* Computes the weights m of the pixels. */
static void weigh(struct light_step *s, const struct part *part, const real *target, const real *joined) {
    long n = part->count, groups = s->frames - 1, size = s->height * s->width;
    if (!s->map) return;
    picture_motion(s->motion, target, n, groups, size);
    largest_around(s->widened, s->motion, n * groups, s->height, s->width);
    motion_weights(s->map, s->widened, joined, (real)s->config.motion_pixels, (real)MOTION_FULL, n, groups, size);
}

/* Copies the first picture of every sample to s->reference. */
static void gather_references(struct light_step *s, const struct part *part, const real *target) {
    long size = picture_values(s);
    for (long b = 0; b < part->count; b++)
        mem_copy(s->reference + b * size, target + b * clip_values(s), (size_t)size * sizeof(real));
}

/* Adds the parts of the loss to the figures, and the gradient by the pixels to d (NULL: it is not wanted). A part's
   means are weighted by its share of the batch. */
static void pixel_losses(struct light_step *s, const struct part *part, real *d, const real *latents,
                         const real *target) {
    const struct light_config *c = &s->config;
    double share = (double)part->count / part->batch;
    long planes = part->count * s->planes, n = part->count * clip_values(s);
    struct light_figures *f = s->figures;
    if (d) mem_zero(d, (size_t)n * sizeof(real));
    if (c->pixel == LIGHT_MSE) { /* mse_loss assigns the gradient, so it comes first */
        real_fill(s->weight, (real)(share * c->pixel_weight), 1);
        mse_loss(&f->pixel, d, s->pixels, target, s->weight, 1, n);
    } else {
        abs_loss(&f->pixel, d, s->pixels, target, s->map, 3, (real)(share * c->pixel_weight), planes,
                 s->height * s->width);
    }
    if (c->gradient_weight > 0)
        gradient_difference_loss(&f->gradient, d, s->pixels, target, s->map, 3, (real)(share * c->gradient_weight),
                                 planes, s->height, s->width);
    if (c->consistency_weight > 0)
        latent_consistency_gradient(&s->consistency, part->count, share * c->consistency_weight, &f->consistency, d,
                                    s->pixels, latents);
}

int light_step_gradient(struct light_step *s, const struct params *params, const struct part *part,
                        const struct light_batch *batch) {
    real *d = params->grads ? s->dpixels : NULL;
    const real *given = disturb(s, part, batch->latents);
    gather_references(s, part, batch->target);
    decoder_net_forward(s->net, params, &s->acts, part->count, given, s->reference, s->pixels);
    weigh(s, part, batch->target, batch->joined);
    pixel_losses(s, part, d, batch->latents, batch->target);
    if (d) decoder_net_backward(s->net, params, &s->acts, d);
    return params_status(params);
}

int light_step_run(struct light_step *s, const struct light_batch *batch, long step) {
    struct params params = optimiser_params(&s->optimiser);
    struct sharding *shards = s->optimiser.shard.all;
    s->step = (uint64_t)step;
    optimiser_begin(&s->optimiser);
    mem_zero(s->figures, sizeof *s->figures);
    for (int i = 0; i < s->split.parts; i++) {
        struct part part = batch_split_part(&s->split, i);
        const struct light_batch own = {batch->latents + part.first * s->latents,
                                        batch->target + part.first * clip_values(s), batch->joined + part.first};
        params.last = part.last;
        TRY(light_step_gradient(s, &params, &part, &own));
    }
    real *parts = &s->figures->pixel;
    for (int i = 0; i < 3; i++) real_axpby(s->optimiser.loss, 1, parts + i, 1, 1);
    TRY(optimiser_step(&s->optimiser, step, 0));
    if (shards) TRY(sharding_add(shards, parts, 3));
    mailbox_post(&s->mail, step, s->figures);
    return OK;
}
