/* wav2vec2.c: shape, parameters and sizes of the speech encoder. See wav2vec2.h. */
#include "model/audio/wav2vec2.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "base/media_rates.h"
#include "kernels/kernels.h"

const struct wav2vec2_config wav2vec2_base = {.convs = 7,
                                              .conv_dim = {512, 512, 512, 512, 512, 512, 512},
                                              .conv_kernel = {10, 3, 3, 3, 3, 2, 2},
                                              .conv_stride = {5, 2, 2, 2, 2, 2, 2},
                                              .dim = 768,
                                              .layers = 12,
                                              .heads = 12,
                                              .ffn_dim = 3072,
                                              .position_kernel = 128,
                                              .position_groups = 16,
                                              .eps = 1e-5,
                                              .normalise = 1};

static int within(const char *name, long value, long min, long max) {
    if (value >= min && value <= max) return OK;
    return error_set(ERR_USAGE, "wav2vec2: %s is %ld, expected %ld to %ld", name, value, min, max);
}

static int check(const struct wav2vec2_config *c) {
    TRY(within("the number of convolutions", c->convs, 1, WAV2VEC2_CONVS_MAX));
    long hop = 1;
    for (int i = 0; i < c->convs; i++) {
        TRY(within("a convolution's width", c->conv_dim[i], 1, 1 << 14));
        TRY(within("a convolution's kernel", c->conv_kernel[i], 1, 1024));
        TRY(within("a convolution's stride", c->conv_stride[i], 1, 1024));
        TRY(within("the samples of a feature", hop *= c->conv_stride[i], 1, AUDIO_RATE));
    }
    TRY(within("hidden_size", c->dim, 1, 1 << 14));
    TRY(within("num_hidden_layers", c->layers, 1, WAV2VEC2_LAYERS_MAX));
    TRY(within("intermediate_size", c->ffn_dim, 1, 1 << 16));
    TRY(within("num_attention_heads", c->heads, 1, c->dim));
    if (c->dim % c->heads || c->dim / c->heads > ATTENTION_HEAD_MAX)
        return error_set(ERR_USAGE, "wav2vec2: %d heads for a width of %d", c->heads, c->dim);
    TRY(within("num_conv_pos_embeddings", c->position_kernel, 1, 4096));
    TRY(within("num_conv_pos_embedding_groups", c->position_groups, 1, c->dim));
    if (c->dim % c->position_groups)
        return error_set(ERR_USAGE, "wav2vec2: %d groups for a width of %d", c->position_groups, c->dim);
    return OK;
}

/* Adds the matrix of a linear layer and its bias (NULL: it has none). */
static void add_linear(struct param_table *t, int slice, const char *name, long out, long in, size_t *w, size_t *b) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    *w = param_add(t, slice, full, INIT_NORMAL, 0.02, 0, (long[]){out, in, 0});
    if (!b) return;
    snprintf(full, sizeof full, "%s.bias", name);
    *b = param_add(t, slice, full, INIT_ZERO, 0, 0, (long[]){out, 0});
}

static void add_norm(struct param_table *t, int slice, const char *name, long d, size_t *w, size_t *b) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    *w = param_add(t, slice, full, INIT_ONE, 0, 0, (long[]){d, 0});
    snprintf(full, sizeof full, "%s.bias", name);
    *b = param_add(t, slice, full, INIT_ZERO, 0, 0, (long[]){d, 0});
}

static void add_convs(struct wav2vec2 *net) {
    const struct wav2vec2_config *c = &net->config;
    for (int i = 0; i < c->convs; i++) {
        char name[96], norm[96];
        long in = i ? c->conv_dim[i - 1] : 1, out = c->conv_dim[i];
        snprintf(name, sizeof name, "feature_extractor.conv_layers.%d.conv.weight", i);
        net->conv[i].w = param_add(&net->table, 0, name, INIT_NORMAL, 0.02, 0, (long[]){out, c->conv_kernel[i], in, 0});
        snprintf(name, sizeof name, "feature_extractor.conv_layers.%d.conv.bias", i);
        if (c->conv_bias) net->conv[i].b = param_add(&net->table, 0, name, INIT_ZERO, 0, 0, (long[]){out, 0});
        snprintf(norm, sizeof norm, "feature_extractor.conv_layers.%d.layer_norm", i);
        if (c->norm_every || !i) add_norm(&net->table, 0, norm, out, &net->conv[i].norm_w, &net->conv[i].norm_b);
    }
}

static void add_layer(struct wav2vec2 *net, int i) {
    const struct wav2vec2_config *c = &net->config;
    struct param_table *t = &net->table;
    char name[96];
#define NAMED(suffix) (snprintf(name, sizeof name, "encoder.layers.%d." suffix, i), name)
    add_linear(t, 1 + i, NAMED("attention.q_proj"), c->dim, c->dim, &net->layer.q_w, &net->layer.q_b);
    add_linear(t, 1 + i, NAMED("attention.k_proj"), c->dim, c->dim, &net->layer.k_w, &net->layer.k_b);
    add_linear(t, 1 + i, NAMED("attention.v_proj"), c->dim, c->dim, &net->layer.v_w, &net->layer.v_b);
    add_linear(t, 1 + i, NAMED("attention.out_proj"), c->dim, c->dim, &net->layer.o_w, &net->layer.o_b);
    add_norm(t, 1 + i, NAMED("layer_norm"), c->dim, &net->layer.norm_w, &net->layer.norm_b);
    add_linear(t, 1 + i, NAMED("feed_forward.intermediate_dense"), c->ffn_dim, c->dim, &net->layer.in_w,
               &net->layer.in_b);
    add_linear(t, 1 + i, NAMED("feed_forward.output_dense"), c->dim, c->ffn_dim, &net->layer.out_w, &net->layer.out_b);
    add_norm(t, 1 + i, NAMED("final_layer_norm"), c->dim, &net->layer.last_w, &net->layer.last_b);
#undef NAMED
}

int wav2vec2_create(struct wav2vec2 *net, const struct wav2vec2_config *config) {
    memset(net, 0, sizeof *net);
    TRY(check(config));
    struct wav2vec2_config *c = &net->config;
    *c = *config;
    net->hop = net->reach = 1;
    for (int i = 0; i < c->convs; i++) {
        net->reach += (c->conv_kernel[i] - 1) * net->hop;
        net->hop *= c->conv_stride[i];
    }
    long wide = c->conv_dim[c->convs - 1], each = c->dim / c->position_groups;
    struct param_table *t = &net->table;
    param_table_open(t);
    add_convs(net);
    add_norm(t, 0, "feature_projection.layer_norm", wide, &net->projection.norm_w, &net->projection.norm_b);
    add_linear(t, 0, "feature_projection.projection", c->dim, wide, &net->projection.w, &net->projection.b);
    net->position.w = param_add(t, 0, "encoder.pos_conv_embed.conv.weight", INIT_NORMAL, 0.02, 0,
                                (long[]){c->dim, c->position_kernel, each, 0});
    net->position.b = param_add(t, 0, "encoder.pos_conv_embed.conv.bias", INIT_ZERO, 0, 0, (long[]){c->dim, 0});
    add_norm(t, 0, "encoder.layer_norm", c->dim, &net->norm_w, &net->norm_b);
    for (int i = 0; i < c->layers; i++) add_layer(net, i);
    int code = param_table_close(t);
    if (code) wav2vec2_destroy(net);
    return code;
}

void wav2vec2_destroy(struct wav2vec2 *net) {
    param_table_free(&net->table);
    memset(net, 0, sizeof *net);
}

long wav2vec2_frames(const struct wav2vec2 *net, long samples) {
    return samples < net->reach ? 0 : (samples - net->reach) / net->hop + 1;
}
