/* light_layout.c: the table of a light decoder's layers and parameters (light_decoder.h). Layer numbers count as in the
   public weights, where activations and upsampling have numbers too. */
#include "model/codec/light_decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum { WIDTH_MAX = 8192, CHANNELS_MAX = 4096, PATCH_MAX = 16 };

static int in_range(int v, int low, int high) { return v >= low && v <= high; }

static int check(const struct light_decoder_config *c) {
    int grow = 1, ok = in_range(c->channels, 1, CHANNELS_MAX) && in_range(c->first, 1, WIDTH_MAX) &&
                       in_range(c->blocks, 0, LIGHT_BLOCKS_MAX) && in_range(c->patch, 1, PATCH_MAX);
    for (int s = 0; s < LIGHT_LEVELS; s++) {
        ok = ok && in_range(c->level[s], 1, WIDTH_MAX) && in_range(c->grow[s], 1, 2) && in_range(c->scale[s], 1, 2);
        grow *= c->grow[s];
    }
    if (!ok) return error_set(ERR_USAGE, "light decoder: a size is out of range");
    if (grow != 4) return error_set(ERR_USAGE, "light decoder: the levels grow %d frames from one, expected 4", grow);
    return OK;
}

int light_decoder_stride(const struct light_decoder_config *c) {
    return c->scale[0] * c->scale[1] * c->scale[2] * c->patch;
}

/* Adds a convolution's weight and bias, "decoder.NUMBER[.conv[.part]]". fan_in: inputs of one output; gain 2 keeps the
   mean square through a ReLU (He 2015). */
static void add(struct light_decoder *net, struct light_layer *l, int which, const char *name, double gain,
                const long shape[6]) {
    char full[96];
    long bias[] = {shape[0], 0}, fan_in = 1;
    int slice = (int)(l - net->layers);
    for (int i = 1; shape[i]; i++) fan_in *= shape[i];
    snprintf(full, sizeof full, "decoder.%s.weight", name);
    l->w[which] = param_add(&net->table, slice, full, INIT_NORMAL, sqrt(gain / (double)fan_in), 1, shape);
    if (!l->bias) return;
    snprintf(full, sizeof full, "decoder.%s.bias", name);
    l->b[which] = param_add(&net->table, slice, full, INIT_ZERO, 0, 0, bias);
}

static struct light_layer *next_layer(struct light_decoder *net, struct light_layer layer) {
    net->layers[net->count] = layer;
    return &net->layers[net->count++];
}

static void add_conv(struct light_decoder *net, int number, int ci, int co, double gain, int bias, int relu, int frames,
                     int side) {
    char name[32];
    struct light_layer *l = next_layer(
        net, (struct light_layer){
                 .kind = LIGHT_CONV, .ci = ci, .co = co, .frames = frames, .side = side, .bias = bias, .relu = relu});
    snprintf(name, sizeof name, "%d", number);
    add(net, l, 0, name, gain, (long[6]){co, 3, 3, ci});
}

/* Adds a memory block. Its last convolution starts small, so that a deep stack of blocks starts near the identity. */
static void add_memory(struct light_decoder *net, int number, int width, int frames, int side) {
    struct light_layer *l =
        next_layer(net, (struct light_layer){
                            .kind = LIGHT_MEMORY, .ci = width, .co = width, .frames = frames, .side = side, .bias = 1});
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.conv.%d", number, 2 * i);
        if (i == 0)
            add(net, l, i, name, 2, (long[6]){width, 2, 3, 3, width});
        else
            add(net, l, i, name, i == 1 ? 2 : 0.1, (long[6]){width, 3, 3, width});
    }
}

static void add_growth(struct light_decoder *net, int number, int width, int grow, int scale, int frames, int side) {
    char name[32];
    struct light_layer *l = next_layer(net, (struct light_layer){.kind = LIGHT_GROW,
                                                                 .ci = width,
                                                                 .co = width,
                                                                 .frames = frames,
                                                                 .side = side,
                                                                 .grow = grow,
                                                                 .scale = scale});
    snprintf(name, sizeof name, "%d.conv", number);
    add(net, l, 0, name, 0.25, (long[6]){(long)width * grow, 1, 1, width});
}

int light_decoder_create(struct light_decoder *net, const struct light_decoder_config *config) {
    memset(net, 0, sizeof *net);
    TRY(check(config));
    net->config = *config;
    param_table_open(&net->table);
    int number = 1, width = config->first, frames = 1, side = 1; /* number 0 is the clamp */
    add_conv(net, number, config->channels, width, 2, 1, 1, frames, side);
    number += 2; /* the convolution and its ReLU */
    for (int s = 0; s < LIGHT_LEVELS; s++) {
        for (int b = 0; b < config->blocks; b++) add_memory(net, number++, width, frames, side);
        number++; /* the upsampling */
        add_growth(net, number++, width, config->grow[s], config->scale[s], frames, side);
        frames *= config->grow[s];
        side *= config->scale[s];
        add_conv(net, number++, width, config->level[s], 0.1, 0, s == LIGHT_LEVELS - 1, frames, side);
        width = config->level[s];
    }
    number++; /* the last ReLU */
    /* The last convolution starts small. Training would first of all push a large start down, and ReLUs die of that. */
    add_conv(net, number, width, 3 * config->patch * config->patch, 0.01, 1, 0, frames, side);
    return param_table_close(&net->table);
}

/* Adds 1 at the centre of the kernel where output o takes channel o; in a growing layer each frame takes its own
   channels. */
static void add_identity(const struct light_layer *l, float *w) {
    int side = l->kind == LIGHT_GROW ? 1 : 3, outputs = l->kind == LIGHT_GROW ? l->ci * l->grow : l->co;
    for (int o = 0; o < outputs; o++) {
        int channel = l->kind == LIGHT_GROW ? o % l->ci : o;
        if (channel < l->ci) w[((o * side + side / 2) * side + side / 2) * l->ci + channel] += 1;
    }
}

void light_decoder_begin(const struct light_decoder *net, int layer, float *slice) {
    const struct light_layer *l = &net->layers[layer];
    int last = layer == net->count - 1;
    if (l->kind == LIGHT_GROW || (l->kind == LIGHT_CONV && layer && !last)) add_identity(l, slice + l->w[0]);
    for (int i = 0; last && i < l->co; i++) slice[l->b[0] + (size_t)i] = 0.5f;
}

void light_decoder_destroy(struct light_decoder *net) {
    param_table_free(&net->table);
    memset(net, 0, sizeof *net);
}
