/* checkpoint.c: see checkpoint.h. */
#include "checkpoints/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/names.h"
#include "checkpoints/wan_config.h"

enum { KEY_MAX = 256, WAN_HEAD = 128, WAN_TEXT_LEN = 512, SIZE_MAX_HERE = 1 << 20 };
static const char marker[] = "patch_embedding.weight"; /* the same in both namings */

/* ---- names ---- */

/* Finds the prefix of all names: what stands in front of the marker. Files without the marker, such as audio modules
   alone, have no prefix. */
static int find_prefix(struct checkpoint *c) {
    const char *first = NULL;
    size_t m = sizeof marker - 1;
    for (int i = 0; i < c->shards.count; i++) {
        const char *name = c->shards.entries[i]->name;
        size_t n = strlen(name);
        if (n < m || strcmp(name + n - m, marker) || (n > m && name[n - m - 1] != '.')) continue;
        if (first) return error_set(ERR_INPUT, "holds two transformers: %.100s and %.100s", first, name);
        first = name;
        if (n - m >= sizeof c->prefix) return error_set(ERR_INPUT, "%.60s...: the name is too long", name);
        memcpy(c->prefix, name, n - m);
        c->prefix[n - m] = 0;
    }
    return OK;
}

/* Returns a name without its prefix; NULL when it does not have the prefix. */
static const char *bare(const struct checkpoint *c, const char *name) {
    size_t n = strlen(c->prefix);
    return strncmp(name, c->prefix, n) ? NULL : name + n;
}

static int is_image_branch(const char *original) {
    return !strncmp(original, "img_emb.", 8) || strstr(original, ".cross_attn.k_img.") ||
           strstr(original, ".cross_attn.v_img.") || strstr(original, ".cross_attn.norm_k_img.");
}

static int read_names(struct checkpoint *c) {
    TRY(find_prefix(c));
    for (int i = 0; i < c->shards.count && c->naming == NAMING_ORIGINAL; i++) {
        const char *name = bare(c, c->shards.entries[i]->name);
        if (name && names_is_diffusers(name)) c->naming = NAMING_DIFFUSERS;
    }
    for (int i = 0; i < c->shards.count; i++) {
        char original[KEY_MAX];
        const char *name = bare(c, c->shards.entries[i]->name);
        if (!name || names_to_original(name, original, sizeof original)) continue;
        if (is_image_branch(original))
            return error_set(ERR_INPUT,
                             "%s: the image branch of Wan 2.1's image-to-video models is not supported "
                             "(text-to-video models and all of Wan 2.2 are)",
                             c->shards.entries[i]->name);
    }
    return OK;
}

int checkpoint_open(struct checkpoint *c, const char *path) {
    memset(c, 0, sizeof *c);
    TRY(shards_open(&c->shards, path));
    int code = read_names(c);
    if (code) {
        error_context(code, "%s", c->shards.path);
        checkpoint_close(c);
    }
    return code;
}

void checkpoint_close(struct checkpoint *c) {
    shards_close(&c->shards);
    memset(c, 0, sizeof *c);
}

int checkpoint_key(const struct checkpoint *c, const char *original, char *key, size_t size) {
    size_t n = strlen(c->prefix);
    if (n + strlen(original) >= size) return error_set(ERR_INPUT, "the tensor name %.60s... is too long", original);
    memcpy(key, c->prefix, n + 1);
    if (c->naming == NAMING_DIFFUSERS)
        return c->rename ? c->rename(c->rename_user, original, key + n, size - n)
                         : names_to_diffusers(original, key + n, size - n);
    snprintf(key + n, size - n, "%s", original);
    return OK;
}

const struct safetensors_entry *checkpoint_find(const struct checkpoint *c, const char *original) {
    char key[KEY_MAX];
    return checkpoint_key(c, original, key, sizeof key) ? NULL : shards_find(&c->shards, key);
}

int checkpoint_ignores(const char *key) { return strstr(key, ".norm_added_q.") != NULL; }

/* ---- sizes ---- */

/* Reads the size of axis `axis` of a tensor that must have `ndim` axes. */
static int read_size(const struct checkpoint *c, const char *name, int ndim, int axis, int *size) {
    const struct safetensors_entry *e = checkpoint_find(c, name);
    if (!e) return error_set(ERR_INPUT, "has no %s%s: it is no Wan transformer", c->prefix, name);
    if (e->ndim != ndim || e->shape[axis] < 1 || e->shape[axis] > SIZE_MAX_HERE)
        return error_set(ERR_INPUT, "%s: the shape is not a Wan transformer's", e->name);
    *size = (int)e->shape[axis];
    return OK;
}

/* Returns the number of blocks, the largest N in blocks.N. plus 1, so that a gap is later listed as missing. */
static int count_layers(const struct checkpoint *c) {
    long layers = 0;
    for (int i = 0; i < c->shards.count; i++) {
        const char *name = bare(c, c->shards.entries[i]->name);
        if (!name || strncmp(name, "blocks.", 7)) continue;
        long n = strtol(name + 7, NULL, 10) + 1;
        if (n > layers && n <= 1000) layers = n;
    }
    return (int)layers;
}

static int read_audio_sizes(const struct checkpoint *c, struct dit_config *d) {
    int window0, out;
    if (!checkpoint_find(c, "audio_proj.norm.weight")) return OK;
    TRY(read_size(c, "audio_proj.norm.weight", 1, 0, &d->audio_width));
    TRY(read_size(c, "audio_proj.proj1.weight", 2, 0, &d->audio_hidden));
    TRY(read_size(c, "audio_proj.proj1.weight", 2, 1, &window0));
    TRY(read_size(c, "audio_proj.proj3.weight", 2, 0, &out));
    if (window0 % 5 || out % d->audio_width)
        return error_set(ERR_INPUT, "audio_proj: the shapes do not fit each other");
    d->audio_dim = window0 / 5;
    d->audio_tokens = out / d->audio_width;
    for (d->audio_every = 1; d->audio_every < d->layers; d->audio_every++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.talk_attn.q.weight", d->audio_every);
        if (checkpoint_find(c, name)) break;
    }
    return OK;
}

static int read_sizes(const struct checkpoint *c, struct dit_config *d) {
    int out, weight;
    memset(d, 0, sizeof *d);
    TRY(read_size(c, marker, 5, 0, &d->dim));
    TRY(read_size(c, marker, 5, 1, &d->in_channels));
    TRY(read_size(c, "blocks.0.ffn.0.weight", 2, 0, &d->ffn_dim));
    TRY(read_size(c, "time_embedding.0.weight", 2, 1, &d->freq_dim));
    TRY(read_size(c, "text_embedding.0.weight", 2, 1, &d->text_dim));
    TRY(read_size(c, "head.head.weight", 2, 0, &out));
    TRY(read_size(c, "head.head.weight", 2, 1, &weight));
    if (out % 4) return error_set(ERR_INPUT, "head.head.weight: expected a multiple of 4 rows, found %d", out);
    d->out_channels = out / 4;
    d->layers = count_layers(c);
    d->text_len = WAN_TEXT_LEN;
    d->rope_theta_t = d->rope_theta_hw = 10000;
    d->eps = 1e-6;
    return read_audio_sizes(c, d);
}

static void config_path(const struct checkpoint *c, char *path, size_t size) {
    char folder[FILE_PATH_MAX];
    shards_folder(&c->shards, folder, sizeof folder);
    if (file_join(path, size, folder, "config.json")) path[0] = 0;
}

int checkpoint_dit_config(const struct checkpoint *c, struct dit_config *d) {
    char path[FILE_PATH_MAX];
    struct wan_config config;
    struct fault_list faults = FAULT_LIST;
    int found, code = read_sizes(c, d);
    if (code) return error_context(code, "%s", c->shards.path);
    config_path(c, path, sizeof path);
    TRY(wan_config_read(path, &config, &found));
    if (found) {
        struct dit_config shapes = *d;
        shapes.heads = shapes.text_len = 0; /* the shapes do not tell these */
        shapes.eps = 0;
        wan_config_compare(&config, &shapes, "the tensors'", &faults);
        code = fault_report(&faults, "sizes differ");
        if (code) return error_context(code, "%s", path);
        wan_config_fill(&config, d);
    }
    if (!d->heads && d->dim % WAN_HEAD == 0) d->heads = d->dim / WAN_HEAD;
    if (!d->heads)
        return error_set(ERR_INPUT, "%s: width %d is no multiple of %d, and no config.json says how many heads it has",
                         c->shards.path, d->dim, WAN_HEAD);
    return OK;
}

int checkpoint_expect(const struct checkpoint *c, const struct dit_config *config) {
    char path[FILE_PATH_MAX];
    struct wan_config given;
    struct fault_list faults = FAULT_LIST;
    int found;
    config_path(c, path, sizeof path);
    TRY(wan_config_read(path, &given, &found));
    if (!found) return OK; /* then only the tensors' shapes are compared, when they are loaded */
    wan_config_compare(&given, config, "the run's", &faults);
    int code = fault_report(&faults, "sizes differ");
    return code ? error_context(code, "%s", path) : OK;
}
