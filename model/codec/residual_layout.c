/* residual_layout.c: the table of a residual decoder's layers and parameters, and their values at the start of training
   (residual_decoder.h). */
#include "model/codec/residual_decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { WIDTH_MAX = 8192, CHANNELS_MAX = 4096 };
/* Standard deviation of the last layer's weights, with which the residual starts near zero. */
static const double LAST_DEVIATION = 0.002;

static int in_range(int v, int low, int high) { return v >= low && v <= high; }

static int check(const struct residual_config *c) {
    int ok = in_range(c->channels, 1, CHANNELS_MAX) && in_range(c->patch, 1, RESIDUAL_PATCH_MAX);
    for (int s = 0; s < RESIDUAL_LEVELS; s++)
        ok = ok && in_range(c->width[s], 1, WIDTH_MAX) && in_range(c->blocks[s], 0, RESIDUAL_BLOCKS_MAX);
    return ok ? OK : error_set(ERR_USAGE, "residual decoder: a size is out of range");
}

int residual_decoder_stride(const struct residual_config *c) { return RESIDUAL_GROWTH * c->patch; }

/* Adds convolution `which` of a layer: "residual.NAME.weight" [co, kernel, kernel, ci] and its bias. */
static void add_conv(struct residual_decoder *net, struct residual_layer *l, int which, double deviation,
                     const char *name) {
    char full[96];
    int slice = (int)(l - net->layers);
    const long weight[] = {l->co, l->kernel, l->kernel, l->ci, 0}, bias[] = {l->co, 0};
    snprintf(full, sizeof full, "residual.%s.weight", name);
    l->w[which] = param_add(&net->table, slice, full, deviation > 0 ? INIT_NORMAL : INIT_ZERO, deviation, 1, weight);
    snprintf(full, sizeof full, "residual.%s.bias", name);
    l->b[which] = param_add(&net->table, slice, full, INIT_ZERO, 0, 0, bias);
}

static struct residual_layer *next_layer(struct residual_decoder *net, enum residual_kind kind, int level, long ci,
                                         long co, int kernel) {
    net->layers[net->count] =
        (struct residual_layer){.kind = kind, .level = level, .ci = ci, .co = co, .kernel = kernel};
    return &net->layers[net->count++];
}

/* Returns the standard deviation that keeps the mean square: gain 2 behind a ReLU (He 2015), else 1. */
static double deviation(const struct residual_layer *l, double gain) {
    return sqrt(gain / (double)(l->kernel * l->kernel * l->ci));
}

/* Adds a level's blocks. A block's second convolution starts at zero, so that the block starts as the identity. */
static void add_blocks(struct residual_decoder *net, int level) {
    long width = net->config.width[level];
    char name[48];
    for (int i = 0; i < net->config.blocks[level]; i++) {
        struct residual_layer *l = next_layer(net, RESIDUAL_BLOCK, level, width, width, 3);
        for (int which = 0; which < 2; which++) {
            snprintf(name, sizeof name, "level.%d.block.%d.conv.%d", level, i, which);
            add_conv(net, l, which, which ? 0 : deviation(l, 2), name);
        }
    }
}

static void add_growth(struct residual_decoder *net, int level) {
    char name[48];
    struct residual_layer *l =
        next_layer(net, RESIDUAL_GROW, level, net->config.width[level], 4L * net->config.width[level + 1], 1);
    snprintf(name, sizeof name, "level.%d.grow", level);
    add_conv(net, l, 0, deviation(l, 2), name);
}

int residual_decoder_create(struct residual_decoder *net, const struct residual_config *config) {
    memset(net, 0, sizeof *net);
    TRY(check(config));
    net->config = *config;
    param_table_open(&net->table);
    long C = config->channels,
         colours = 3L * config->patch * config->patch; /* numbers of one picture's patch of q x q */
    add_conv(net, next_layer(net, RESIDUAL_LINEAR, 0, C, pca_values(residual_decoder_stride(config)), 1), 0, 0,
             "linear");
    struct residual_layer *l = next_layer(net, RESIDUAL_FIRST, 0, 3 * C, config->width[0], 3);
    add_conv(net, l, 0, deviation(l, 1), "first");
    for (int level = 0; level < RESIDUAL_LEVELS - 1; level++) {
        add_blocks(net, level);
        add_growth(net, level);
    }
    int last = RESIDUAL_LEVELS - 1;
    l = next_layer(net, RESIDUAL_ENTER, last, (FRAMES_PER_LATENT + 1) * colours, config->width[last], 3);
    add_conv(net, l, 0, deviation(l, 1), "enter");
    add_blocks(net, last);
    add_conv(net, next_layer(net, RESIDUAL_LAST, last, config->width[last], FRAMES_PER_LATENT * colours, 3), 0,
             LAST_DEVIATION, "last");
    return param_table_close(&net->table);
}

void residual_decoder_begin(const struct residual_decoder *net, const struct codec *codec, int layer, float *slice) {
    const struct residual_layer *l = &net->layers[layer];
    const struct codec_linear map = codec_linear(codec);
    if (l->kind != RESIDUAL_LINEAR || !map.synthesis || map.size != l->co || codec->channels != l->ci) return;
    for (long k = 0; k < l->co; k++) {
        for (long c = 0; c < l->ci; c++)
            slice[l->w[0] + (size_t)(k * l->ci + c)] =
                RESIDUAL_LINEAR_SCALE * map.synthesis[c * l->co + k] / map.scale[c];
        slice[l->b[0] + (size_t)k] = RESIDUAL_LINEAR_SCALE * map.mean[k];
    }
}

void residual_decoder_destroy(struct residual_decoder *net) {
    param_table_free(&net->table);
    memset(net, 0, sizeof *net);
}
