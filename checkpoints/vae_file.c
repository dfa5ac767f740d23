/* vae_file.c: see vae_file.h. */
#include "checkpoints/vae_file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "checkpoints/fault_list.h"
#include "checkpoints/vae_names.h"
#include "checkpoints/weights.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

enum { CONFIG_BYTES_MAX = 1 << 20, SIDE_MAX = 1 << 16 };
static const char original_marker[] = "encoder.conv1.weight", diffusers_marker[] = "encoder.conv_in.weight";

/* ---- the file ---- */

static int rename_tensor(const void *user, const char *original, char *out, size_t size) {
    return vae_names_to_diffusers(user, original, out, size);
}

/* Takes what stands in front of the marker as the prefix of all names. */
static int take_prefix(struct checkpoint *c, const char *name, const char *marker, enum weights_naming naming) {
    size_t n = strlen(name), m = strlen(marker);
    if (n < m || strcmp(name + n - m, marker) || (n > m && name[n - m - 1] != '.')) return 0;
    if (n - m >= sizeof c->prefix) return 0;
    memcpy(c->prefix, name, n - m);
    c->prefix[n - m] = 0;
    c->naming = naming;
    return 1;
}

/* Opens the file that `path` leads to. Names depend on `config`, which the caller fills in. */
static int open_file(struct checkpoint *c, const char *path, const struct vae_config *config) {
    char inside[FILE_PATH_MAX];
    memset(c, 0, sizeof *c);
    c->rename = rename_tensor;
    c->rename_user = config;
    int folder = !file_join(inside, sizeof inside, path, "vae") && file_exists(inside);
    TRY(shards_open(&c->shards, folder ? inside : path));
    for (int i = 0; i < c->shards.count; i++) {
        const char *name = c->shards.entries[i]->name;
        if (take_prefix(c, name, original_marker, NAMING_ORIGINAL) ||
            take_prefix(c, name, diffusers_marker, NAMING_DIFFUSERS))
            return OK;
    }
    int code = error_set(ERR_INPUT, "%s: has no %s: it is no Wan video autoencoder", c->shards.path, original_marker);
    checkpoint_close(c);
    return code;
}

/* ---- sizes ---- */

/* Reads the size of axis `axis` of a tensor that must be there with `ndim` axes. */
static int side(const struct checkpoint *c, const char *name, int ndim, int axis, int *size) {
    const struct safetensors_entry *e = checkpoint_find(c, name);
    if (!e) return error_set(ERR_INPUT, "has no %s: it is no Wan video autoencoder", name);
    if (e->ndim != ndim || e->shape[axis] < 1 || e->shape[axis] > SIDE_MAX)
        return error_set(ERR_INPUT, "%s: the shape is not a Wan video autoencoder's", e->name);
    *size = (int)e->shape[axis];
    return OK;
}

/* Writes the name of a level's encoder layer; 2.1 numbers layers through all levels. */
static void layer_name(char *name, size_t size, const struct vae_config *c, int level, int layer, const char *end) {
    if (c->residual)
        snprintf(name, size, "encoder.downsamples.%d.downsamples.%d.%s", level, layer, end);
    else
        snprintf(name, size, "encoder.downsamples.%d.%s", layer, end);
}

/* Reads the levels by walking through the encoder's layers: residual blocks, a resampler, the next level. */
static int read_levels(const struct checkpoint *c, struct vae_config *v) {
    char name[96];
    for (int layer = 0; v->levels < VAE_LEVELS_MAX; v->levels++) {
        int blocks = 0, channels = 0;
        if (v->residual) layer = 0;
        for (;; layer++, blocks++) {
            layer_name(name, sizeof name, v, v->levels, layer, "residual.6.weight");
            if (!checkpoint_find(c, name)) break;
            TRY(side(c, name, 5, 0, &channels));
        }
        if (!blocks) return OK;
        if (channels % v->encoder_base || (v->levels && blocks != v->res_blocks))
            return error_set(ERR_INPUT,
                             "level %d has %d residual blocks of %d channels: it is no Wan video autoencoder",
                             v->levels, blocks, channels);
        v->res_blocks = blocks;
        v->mult[v->levels] = channels / v->encoder_base;
        layer_name(name, sizeof name, v, v->levels, layer++, "time_conv.weight");
        v->halve_time[v->levels] = checkpoint_find(c, name) != NULL;
    }
    return OK;
}

static int read_sizes(const struct checkpoint *c, struct vae_config *v) {
    int in = 0, last = 0;
    memset(v, 0, sizeof *v);
    v->residual = 1;
    v->residual = checkpoint_find(c, "encoder.downsamples.0.downsamples.0.residual.2.weight") != NULL;
    TRY(side(c, "conv2.weight", 5, 0, &v->z));
    TRY(side(c, "encoder.conv1.weight", 5, 0, &v->encoder_base));
    TRY(side(c, "encoder.conv1.weight", 5, 1, &in));
    TRY(side(c, "decoder.head.0.gamma", 4, 0, &last));
    while (3 * (v->patch + 1) * (v->patch + 1) <= in) v->patch++;
    if (!v->patch || 3 * v->patch * v->patch != in)
        return error_set(ERR_INPUT, "encoder.conv1.weight: %d channels come in, not 3 p^2", in);
    TRY(read_levels(c, v));
    if (!v->levels || last % v->mult[0])
        return error_set(ERR_INPUT, "has no levels of residual blocks: it is no Wan video autoencoder");
    v->decoder_base = last / v->mult[0];
    vae_config_statistics(v);
    return vae_config_check(v);
}

/* ---- config.json ---- */

static void compare(struct fault_list *faults, const cJSON *root, const char *key, int have) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item || cJSON_IsNull(item)) return;
    double given = cJSON_IsBool(item) ? cJSON_IsTrue(item) : cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (given != have) fault_add(faults, "%s is %g, the tensors say %d", key, given, have);
}

static int read_statistics(const cJSON *root, const char *key, int count, float *out) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!list || cJSON_IsNull(list)) return OK;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != count)
        return error_set(ERR_INPUT, "%s: expected a list of %d numbers", key, count);
    int i = 0;
    for (const cJSON *item = list->child; item; item = item->next) {
        if (!cJSON_IsNumber(item)) return error_set(ERR_INPUT, "%s: expected a list of %d numbers", key, count);
        out[i++] = (float)item->valuedouble;
    }
    return OK;
}

static int read_config(const cJSON *root, struct vae_config *v) {
    const cJSON *attention = cJSON_GetObjectItemCaseSensitive(root, "attn_scales");
    if (cJSON_GetArraySize(attention))
        return error_set(ERR_INPUT, "attn_scales: expected an empty list; the network here has no other");
    struct fault_list faults = FAULT_LIST;
    compare(&faults, root, "z_dim", v->z);
    compare(&faults, root, "base_dim", v->encoder_base);
    compare(&faults, root, "decoder_base_dim", v->decoder_base);
    compare(&faults, root, "num_res_blocks", v->res_blocks);
    compare(&faults, root, "is_residual", v->residual);
    compare(&faults, root, "patch_size", v->patch);
    TRY(fault_report(&faults, "sizes do not fit"));
    TRY(read_statistics(root, "latents_mean", v->z, v->mean));
    TRY(read_statistics(root, "latents_std", v->z, v->std));
    return vae_config_check(v);
}

/* Reads the config.json beside the file if it is an autoencoder's; original folders have the transformer's there. */
static int read_config_file(const struct checkpoint *c, struct vae_config *v) {
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX], *text;
    size_t bytes;
    shards_folder(&c->shards, folder, sizeof folder);
    TRY(file_join(path, sizeof path, folder, "config.json"));
    if (!file_exists(path)) return OK;
    TRY(file_read(path, CONFIG_BYTES_MAX, &text, &bytes));
    cJSON *root = cJSON_ParseWithLength(text, bytes);
    free(text);
    const cJSON *class = cJSON_GetObjectItemCaseSensitive(root, "_class_name");
    int code = cJSON_IsString(class) && !strcmp(class->valuestring, "AutoencoderKLWan") ? read_config(root, v) : OK;
    if (!root) code = error_set(ERR_INPUT, "is not JSON");
    cJSON_Delete(root);
    return code ? error_context(code, "%s", path) : OK;
}

/* ---- weights ---- */

/* Collects a tensor's pieces, then puts it into the arena in the kernels' order. */
struct gather {
    const struct param_table *table;
    elem *weights; /* NULL: only the checksum is wanted */
    size_t size;   /* elements of the weights; parameters behind them only count in the checksum */
    float *tensor, *arranged;
    uint32_t checksum;
};

static int take(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct gather *g = self;
    g->checksum = (uint32_t)crc32(g->checksum, (const unsigned char *)values, (unsigned)(count * sizeof *values));
    if (!g->weights || param_position(g->table, p) >= g->size) return OK;
    memcpy(g->tensor + from, values, count * sizeof *values);
    if (from + count < p->count) return OK;
    vae_arrange(g->arranged, g->tensor, p);
    transfer_to_elem(g->weights + param_position(g->table, p), g->arranged, (long)p->count);
    return OK;
}

static int load(const struct checkpoint *c, const struct param_table *table, elem *weights, size_t size,
                uint32_t *checksum) {
    size_t largest = 1;
    for (int i = 0; i < table->count; i++)
        if (table->list[i].count > largest) largest = table->list[i].count;
    struct gather g = {.table = table, .weights = weights, .size = size};
    g.tensor = malloc(largest * sizeof *g.tensor);
    g.arranged = malloc(largest * sizeof *g.arranged);
    const struct weights_sink sink = {.take = take, .self = &g};
    int code = g.tensor && g.arranged ? weights_load(&sink, table, c, WEIGHTS_ALL)
                                      : error_set(ERR_DEVICE, "out of memory for a tensor of %zu values", largest);
    free(g.tensor);
    free(g.arranged);
    *checksum = g.checksum;
    return code;
}

/* Opens the file and reads the sizes; the caller closes it if this returns OK. */
static int open_with_sizes(struct checkpoint *c, struct vae_config *config, const char *path) {
    config->residual = 1; /* names for the first look-ups; read_sizes then decides */
    TRY(open_file(c, path, config));
    int code = read_sizes(c, config);
    if (code)
        error_context(code, "%s", c->shards.path);
    else
        code = read_config_file(c, config);
    if (code) checkpoint_close(c);
    return code;
}

int vae_file_config(struct vae_config *config, const char *path) {
    struct checkpoint c;
    struct vae net = {.table = {NULL}};
    TRY(open_with_sizes(&c, config, path));
    int code = vae_create(&net, config);
    if (!code) code = weights_check(&net.table, &c, WEIGHTS_ALL);
    vae_destroy(&net);
    checkpoint_close(&c);
    return code;
}

int vae_file_open(struct vae_weights *weights, const char *path, enum vae_halves halves, uint32_t *checksum) {
    struct vae_config config;
    struct checkpoint c;
    TRY(open_with_sizes(&c, &config, path));
    int code = vae_weights_open(weights, &config, halves);
    if (!code) {
        code = load(&c, &weights->net.table, weights->weights, vae_weights_size(weights), checksum);
        if (!code) code = device_sync();
        if (code) vae_weights_close(weights);
    }
    checkpoint_close(&c);
    return code;
}

int vae_file_checksum(const char *path, uint32_t *checksum) {
    struct vae_config config;
    struct checkpoint c;
    struct vae net = {.table = {NULL}};
    TRY(open_with_sizes(&c, &config, path));
    int code = vae_create(&net, &config);
    if (!code) code = load(&c, &net.table, NULL, 0, checksum);
    vae_destroy(&net);
    checkpoint_close(&c);
    return code;
}
