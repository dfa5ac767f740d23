/* wav2vec2_checkpoint.h: writes small wav2vec2 checkpoints as Transformers does, with the weights of golden_weights.h,
   for the tests that read them. Free at will: folder names are made fresh. */
#ifndef TESTS_WAV2VEC2_CHECKPOINT_H
#define TESTS_WAV2VEC2_CHECKPOINT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/safetensors.h"
#include "model/audio/wav2vec2.h"
#include "tests/folder.h"
#include "tests/golden_weights.h"

static const struct wav2vec2_config checkpoint_base = {.convs = 3,
                                                       .conv_dim = {24, 40, 32},
                                                       .conv_kernel = {10, 8, 6},
                                                       .conv_stride = {5, 4, 4},
                                                       .dim = 48,
                                                       .layers = 3,
                                                       .heads = 4,
                                                       .ffn_dim = 80,
                                                       .position_kernel = 16,
                                                       .position_groups = 6,
                                                       .eps = 1e-5,
                                                       .normalise = 1};
static const struct wav2vec2_config checkpoint_large = {.convs = 4,
                                                        .conv_dim = {16, 24, 36, 20},
                                                        .conv_kernel = {10, 3, 3, 2},
                                                        .conv_stride = {5, 2, 4, 2},
                                                        .conv_bias = 1,
                                                        .norm_every = 1,
                                                        .dim = 40,
                                                        .layers = 2,
                                                        .heads = 5,
                                                        .ffn_dim = 72,
                                                        .position_kernel = 9,
                                                        .position_groups = 4,
                                                        .pre_norm = 1,
                                                        .eps = 1e-5};

/* How the file is written. */
struct checkpoint_style {
    const char *seed;   /* in front of the names that the weights come from: "base", "large" */
    const char *prefix; /* what the keys begin with: "wav2vec2." or "" */
    int old_names;      /* weight_g and weight_v instead of parametrizations */
    const char *skip;   /* a parameter that is left out; NULL: none */
    int beside;         /* also tensors that are to be passed over */
};

/* The tensor called `name` at `entry`: allocated, random. */
static inline void checkpoint_tensor(struct safetensors_entry *entry, const struct checkpoint_style *style,
                                     const char *name, const char *key, int ndim, const long *shape) {
    char full[200], hashed[200];
    snprintf(full, sizeof full, "%s%s", style->prefix, key);
    snprintf(hashed, sizeof hashed, "%s.%s", style->seed, name);
    *entry = (struct safetensors_entry){.name = strdup(full), .type = ST_F32, .ndim = ndim, .count = 1};
    for (int k = 0; k < ndim; k++) entry->count *= (size_t)(entry->shape[k] = shape[k]);
    entry->bytes = entry->count * sizeof(float);
    float *values = malloc(entry->bytes);
    int one = strstr(name, "layer_norm.weight") || strstr(name, "original0");
    int wide = strstr(name, "conv_layers") && strstr(name, "conv.weight");
    golden_values(values, hashed, (long)entry->count, wide ? 0.3 : 0.1, one ? 1 : 0);
    entry->data = values;
}

static inline int checkpoint_write_weights(const char *path, const struct wav2vec2_config *config,
                                           const struct checkpoint_style *style) {
    struct wav2vec2 net;
    struct safetensors_entry entries[256];
    int count = 0;
    TRY(wav2vec2_create(&net, config));
    for (int i = 0; i < net.table.count; i++) {
        const struct param *p = &net.table.list[i];
        long shape[3] = {p->shape[0], p->ndim == 3 ? p->shape[2] : p->shape[1], p->shape[1]};
        if (style->skip && !strcmp(p->name, style->skip)) continue;
        if (strcmp(p->name, "encoder.pos_conv_embed.conv.weight")) {
            checkpoint_tensor(&entries[count++], style, p->name, p->name, p->ndim, shape);
            continue;
        }
        for (int g = 0; g < 2; g++) {
            char name[128], key[128];
            snprintf(name, sizeof name, "encoder.pos_conv_embed.conv.parametrizations.weight.original%d", g);
            snprintf(key, sizeof key, "encoder.pos_conv_embed.conv.weight_%c", g ? 'v' : 'g');
            checkpoint_tensor(&entries[count++], style, name, style->old_names ? key : name, 3,
                              g ? shape : (long[]){1, 1, p->shape[1]});
        }
    }
    if (style->beside) {
        checkpoint_tensor(&entries[count++], style, "masked_spec_embed", "masked_spec_embed", 1, (long[]){config->dim});
        struct checkpoint_style bare = *style;
        bare.prefix = "";
        checkpoint_tensor(&entries[count++], &bare, "lm_head.weight", "lm_head.weight", 2, (long[]){7, config->dim});
        checkpoint_tensor(&entries[count++], &bare, "quantizer.codevectors", "quantizer.codevectors", 1, (long[]){3});
        checkpoint_tensor(&entries[count++], &bare, "project_hid.bias", "project_hid.bias", 1, (long[]){3});
    }
    int code = safetensors_write(path, entries, count, NULL);
    for (int i = 0; i < count; i++) {
        free(entries[i].name);
        free((void *)entries[i].data);
    }
    wav2vec2_destroy(&net);
    return code;
}

static inline void checkpoint_list(FILE *f, const char *name, const int *list, int count) {
    fprintf(f, "\"%s\": [", name);
    for (int i = 0; i < count; i++) fprintf(f, "%s%d", i ? ", " : "", list[i]);
    fprintf(f, "],\n");
}

static inline int checkpoint_write_config(const char *path, const struct wav2vec2_config *c) {
    FILE *f = fopen(path, "w");
    if (!f) return error_set(ERR_INPUT, "%s: cannot be written", path);
    fprintf(f, "{\"model_type\": \"wav2vec2\", \"hidden_act\": \"gelu\",\n");
    checkpoint_list(f, "conv_dim", c->conv_dim, c->convs);
    checkpoint_list(f, "conv_kernel", c->conv_kernel, c->convs);
    checkpoint_list(f, "conv_stride", c->conv_stride, c->convs);
    fprintf(f, "\"conv_bias\": %s, \"do_stable_layer_norm\": %s, \"feat_extract_norm\": \"%s\",\n",
            c->conv_bias ? "true" : "false", c->pre_norm ? "true" : "false", c->norm_every ? "layer" : "group");
    fprintf(f, "\"hidden_size\": %d, \"num_hidden_layers\": %d, \"num_attention_heads\": %d,\n", c->dim, c->layers,
            c->heads);
    fprintf(f, "\"intermediate_size\": %d, \"layer_norm_eps\": %g, \"num_conv_pos_embeddings\": %d,\n", c->ffn_dim,
            c->eps, c->position_kernel);
    fprintf(f, "\"num_conv_pos_embedding_groups\": %d}\n", c->position_groups);
    return fclose(f) ? error_set(ERR_INPUT, "%s: cannot be written", path) : OK;
}

/* A whole checkpoint in a fresh folder, whose path is written to `folder`. */
static inline int checkpoint_write(char folder[FOLDER_MAX], const struct wav2vec2_config *config,
                                   const struct checkpoint_style *style) {
    char path[FILE_PATH_MAX];
    if (folder_make(folder, "wav2vec2")) return error_set(ERR_INPUT, "%s: cannot be made", folder);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    TRY(checkpoint_write_weights(path, config, style));
    snprintf(path, sizeof path, "%s/config.json", folder);
    TRY(checkpoint_write_config(path, config));
    snprintf(path, sizeof path, "%s/preprocessor_config.json", folder);
    const char *text = config->normalise ? "{\"sampling_rate\": 16000, \"do_normalize\": true}"
                                         : "{\"sampling_rate\": 16000, \"do_normalize\": false}";
    return file_write(path, text, strlen(text));
}

static inline void checkpoint_remove(const char *folder) {
    static const char *const names[] = {"model.safetensors", "config.json", "preprocessor_config.json"};
    char path[1024];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    remove(folder);
}

#endif
