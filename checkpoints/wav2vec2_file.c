/* wav2vec2_file.c: see wav2vec2_file.h. */
#include "checkpoints/wav2vec2_file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/media_rates.h"
#include "checkpoints/fault_list.h"
#include "model/params/transfer.h"

enum { CONFIG_BYTES_MAX = 1 << 20, KEY = 160, HEAD_WIDTH = 64 };

/* ---- config.json, preprocessor_config.json ---- */

/* Reads the file NAME in the checkpoint's folder; *root NULL: there is none. */
static int read_json(const char *weights, const char *name, cJSON **root) {
    char path[FILE_PATH_MAX + 32];
    const char *slash = strrchr(weights, '/');
    int folder = slash ? (int)(slash - weights) + 1 : 0;
    *root = NULL;
    snprintf(path, sizeof path, "%.*s%s", folder, weights, name);
    if (!file_exists(path)) return OK;
    char *text;
    size_t bytes;
    TRY(file_read(path, CONFIG_BYTES_MAX, &text, &bytes));
    *root = cJSON_ParseWithLength(text, bytes);
    free(text);
    if (*root && cJSON_IsObject(*root)) return OK;
    cJSON_Delete(*root);
    *root = NULL;
    return error_set(ERR_INPUT, "%s: not a JSON object", path);
}

static int integer_at(const cJSON *root, const char *key, int *out) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item) return OK;
    if (!cJSON_IsNumber(item) || item->valuedouble != floor(item->valuedouble) || fabs(item->valuedouble) > 1 << 30)
        return error_set(ERR_INPUT, "%s: expected an integer", key);
    *out = (int)item->valuedouble;
    return OK;
}

static int flag_at(const cJSON *root, const char *key, int *out) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item) return OK;
    if (!cJSON_IsBool(item)) return error_set(ERR_INPUT, "%s: expected true or false", key);
    *out = cJSON_IsTrue(item);
    return OK;
}

static int list_at(const cJSON *root, const char *key, int count, int *out) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item) return OK;
    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != count)
        return error_set(ERR_INPUT, "%s: expected a list of %d integers", key, count);
    for (int i = 0; i < count; i++) {
        const cJSON *one = cJSON_GetArrayItem(item, i);
        if (!cJSON_IsNumber(one) || one->valuedouble != floor(one->valuedouble) || fabs(one->valuedouble) > 1 << 30)
            return error_set(ERR_INPUT, "%s: expected a list of %d integers", key, count);
        out[i] = (int)one->valuedouble;
    }
    return OK;
}

/* Checks that the text at `key`, if there is one, is `wanted`. */
static int text_must_be(const cJSON *root, const char *key, const char *wanted) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item || (cJSON_IsString(item) && !strcmp(item->valuestring, wanted))) return OK;
    return error_set(ERR_INPUT, "%s: only \"%s\" is supported", key, wanted);
}

static int parse_config(struct wav2vec2_config *c, const cJSON *root) {
    int adapter = 0;
    TRY(text_must_be(root, "model_type", "wav2vec2"));
    TRY(text_must_be(root, "hidden_act", "gelu"));
    TRY(text_must_be(root, "feat_extract_activation", "gelu"));
    TRY(flag_at(root, "add_adapter", &adapter));
    const cJSON *attention_adapter = cJSON_GetObjectItemCaseSensitive(root, "adapter_attn_dim");
    if (adapter || (attention_adapter && !cJSON_IsNull(attention_adapter)))
        return error_set(ERR_INPUT, "adapters are not supported");
    const cJSON *dims = cJSON_GetObjectItemCaseSensitive(root, "conv_dim");
    if (dims) { /* without them, base's */
        c->convs = cJSON_GetArraySize(dims);
        memset(c->conv_dim, 0, sizeof c->conv_dim);
        memset(c->conv_kernel, 0, sizeof c->conv_kernel);
        memset(c->conv_stride, 0, sizeof c->conv_stride);
    }
    if (c->convs < 1 || c->convs > WAV2VEC2_CONVS_MAX)
        return error_set(ERR_INPUT, "conv_dim: expected 1 to %d convolutions", WAV2VEC2_CONVS_MAX);
    TRY(list_at(root, "conv_dim", c->convs, c->conv_dim));
    TRY(list_at(root, "conv_kernel", c->convs, c->conv_kernel));
    TRY(list_at(root, "conv_stride", c->convs, c->conv_stride));
    TRY(flag_at(root, "conv_bias", &c->conv_bias));
    TRY(flag_at(root, "do_stable_layer_norm", &c->pre_norm));
    TRY(integer_at(root, "hidden_size", &c->dim));
    TRY(integer_at(root, "num_hidden_layers", &c->layers));
    TRY(integer_at(root, "num_attention_heads", &c->heads));
    TRY(integer_at(root, "intermediate_size", &c->ffn_dim));
    TRY(integer_at(root, "num_conv_pos_embeddings", &c->position_kernel));
    TRY(integer_at(root, "num_conv_pos_embedding_groups", &c->position_groups));
    const cJSON *norm = cJSON_GetObjectItemCaseSensitive(root, "feat_extract_norm");
    if (norm && !(cJSON_IsString(norm) && (!strcmp(norm->valuestring, "group") || !strcmp(norm->valuestring, "layer"))))
        return error_set(ERR_INPUT, "feat_extract_norm: expected \"group\" or \"layer\"");
    c->norm_every = norm && !strcmp(norm->valuestring, "layer");
    const cJSON *eps = cJSON_GetObjectItemCaseSensitive(root, "layer_norm_eps");
    if (eps && !(cJSON_IsNumber(eps) && eps->valuedouble >= 0 && eps->valuedouble < 1))
        return error_set(ERR_INPUT, "layer_norm_eps: expected a number from 0 to 1");
    if (eps) c->eps = eps->valuedouble;
    return OK;
}

static int parse_preprocessor(struct wav2vec2_config *c, const cJSON *root) {
    int rate = AUDIO_RATE;
    TRY(integer_at(root, "sampling_rate", &rate));
    if (rate != AUDIO_RATE)
        return error_set(ERR_INPUT, "sampling_rate: %d, but only %d is supported", rate, AUDIO_RATE);
    return flag_at(root, "do_normalize", &c->normalise);
}

/* ---- tensors ---- */

/* Finds the tensor of a parameter, with or without the prefix. */
static const struct safetensors_entry *find(const struct safetensors *file, const char *name) {
    char key[KEY + 16];
    snprintf(key, sizeof key, "wav2vec2.%s", name);
    const struct safetensors_entry *e = safetensors_find(file, key);
    return e ? e : safetensors_find(file, name);
}

static const char position_name[] = "encoder.pos_conv_embed.conv.weight";

/* Find the positional convolution's lengths (g) and directions (v). */
static const struct safetensors_entry *find_length(const struct safetensors *file) {
    const struct safetensors_entry *e = find(file, "encoder.pos_conv_embed.conv.weight_g");
    return e ? e : find(file, "encoder.pos_conv_embed.conv.parametrizations.weight.original0");
}
static const struct safetensors_entry *find_direction(const struct safetensors *file) {
    const struct safetensors_entry *e = find(file, "encoder.pos_conv_embed.conv.weight_v");
    return e ? e : find(file, "encoder.pos_conv_embed.conv.parametrizations.weight.original1");
}

/* Returns the size of axis `axis`; 0: there is no such tensor with `ndim` axes. */
static int side(const struct safetensors_entry *e, int ndim, int axis) {
    return e && e->ndim == ndim && e->shape[axis] < 1 << 24 ? (int)e->shape[axis] : 0;
}

/* Reads the network's shape from the tensors. */
static int infer_config(struct wav2vec2_config *c, const struct safetensors *file) {
    char name[KEY];
    const struct safetensors_entry *e;
    for (c->convs = 0; c->convs < WAV2VEC2_CONVS_MAX; c->convs++) {
        snprintf(name, sizeof name, "feature_extractor.conv_layers.%d.conv.weight", c->convs);
        if (!(e = find(file, name))) break;
        c->conv_dim[c->convs] = side(e, 3, 0);
        c->conv_kernel[c->convs] = side(e, 3, 2);
    }
    if (!c->convs) return error_set(ERR_INPUT, "no wav2vec2 checkpoint: it has no feature_extractor.conv_layers.0");
    if (c->convs != wav2vec2_base.convs ||
        memcmp(c->conv_kernel, wav2vec2_base.conv_kernel, sizeof(int) * (size_t)c->convs))
        return error_set(ERR_INPUT, "its convolutions are not the usual ones: config.json is needed beside it");
    c->conv_bias = find(file, "feature_extractor.conv_layers.0.conv.bias") != NULL;
    c->norm_every = c->pre_norm = find(file, "feature_extractor.conv_layers.1.layer_norm.weight") != NULL;
    c->dim = side(find(file, "feature_projection.projection.weight"), 2, 0);
    c->ffn_dim = side(find(file, "encoder.layers.0.feed_forward.intermediate_dense.weight"), 2, 0);
    if (!c->dim || c->dim % HEAD_WIDTH)
        return error_set(ERR_INPUT, "its heads are not the usual ones: config.json is needed beside it");
    c->heads = c->dim / HEAD_WIDTH;
    for (c->layers = 0; c->layers <= WAV2VEC2_LAYERS_MAX; c->layers++) {
        snprintf(name, sizeof name, "encoder.layers.%d.attention.q_proj.weight", c->layers);
        if (!find(file, name)) break;
    }
    if (!(e = find_direction(file))) e = find(file, position_name);
    c->position_kernel = side(e, 3, 2);
    c->position_groups = side(e, 3, 1) ? c->dim / side(e, 3, 1) : 0;
    return OK;
}

/* Writes a parameter's shape in the file: convolutions are [out, in, kernel] there and [out, kernel, in] in the
   table. */
static void file_shape(const struct param *p, long *shape) {
    memcpy(shape, p->shape, sizeof p->shape);
    if (p->ndim != 3) return;
    shape[1] = p->shape[2];
    shape[2] = p->shape[1];
}

static void check_shape(struct fault_list *faults, const char *name, const struct safetensors_entry *e, int ndim,
                        const long *shape, char *known, const struct safetensors *file) {
    char want[96], got[96];
    if (!e) {
        fault_add(faults, "missing %s", name);
        return;
    }
    if (known) known[e - file->entries] = 1;
    int same = e->ndim == ndim;
    for (int k = 0; same && k < ndim; k++) same = e->shape[k] == shape[k];
    if (same) return;
    fault_shape(want, sizeof want, ndim, shape);
    fault_shape(got, sizeof got, e->ndim, e->shape);
    fault_add(faults, "%s is %s, expected %s", e->name, got, want);
}

/* Whether a tensor belongs to a head or to pretraining. */
static int is_beside(const char *name) {
    static const char *const beside[] = {"masked_spec_embed", "lm_head.",   "quantizer.",
                                         "project_",          "projector.", "classifier."};
    if (!strncmp(name, "wav2vec2.", 9)) name += 9;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        if (!strncmp(name, beside[i], strlen(beside[i]))) return 1;
    return 0;
}

static int check_tensors(const struct wav2vec2 *net, const struct safetensors *file) {
    struct fault_list faults = FAULT_LIST;
    char *known = calloc((size_t)file->count + 1, 1);
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        long shape[5];
        file_shape(p, shape);
        if (strcmp(p->name, position_name) || find(file, position_name)) {
            check_shape(&faults, p->name, find(file, p->name), p->ndim, shape, known, file);
        } else {
            check_shape(&faults, "encoder.pos_conv_embed.conv.weight_g", find_length(file), 3,
                        (long[]){1, 1, p->shape[1]}, known, file);
            check_shape(&faults, "encoder.pos_conv_embed.conv.weight_v", find_direction(file), 3, shape, known, file);
        }
    }
    for (int i = 0; known && i < file->count; i++)
        if (!known[i] && !is_beside(file->entries[i].name)) fault_add(&faults, "surplus %s", file->entries[i].name);
    free(known);
    return fault_report(&faults, "tensors do not fit");
}

/* ---- reading ---- */

/* Rearranges [out, in, kernel] to [out, kernel, in] and multiplies tap k by factor[k] (NULL: by 1). */
static void turn(float *to, const float *from, const struct param *p, const double *factor) {
    long taps = p->shape[1], in = p->shape[2];
    for (long o = 0; o < p->shape[0]; o++)
        for (long k = 0; k < taps; k++)
            for (long i = 0; i < in; i++)
                to[(o * taps + k) * in + i] = (float)(from[(o * in + i) * taps + k] * (factor ? factor[k] : 1));
}

/* Reads the positional convolution: w[o, i, k] = g[k] v[o, i, k] / |v[:, :, k]|. */
static int read_position(const struct safetensors *file, const struct param *p, float *values, float *turned) {
    long taps = p->shape[1], filters = p->shape[0] * p->shape[2];
    double *factor = calloc((size_t)taps, sizeof *factor);
    if (!factor) return error_set(ERR_DEVICE, "out of memory");
    int code = safetensors_read_float(find_length(file), values); /* [1, 1, taps] */
    for (long k = 0; k < taps && !code; k++) factor[k] = values[k];
    if (!code) code = safetensors_read_float(find_direction(file), values);
    for (long k = 0; k < taps && !code; k++) {
        double squares = 0;
        for (long f = 0; f < filters; f++) squares += (double)values[f * taps + k] * values[f * taps + k];
        factor[k] = squares > 0 ? factor[k] / sqrt(squares) : 0;
    }
    if (!code) turn(turned, values, p, factor);
    free(factor);
    return code;
}

static int load(const struct wav2vec2 *net, const struct safetensors *file, elem *weights) {
    size_t largest = 0;
    for (int i = 0; i < net->table.count; i++)
        if (net->table.list[i].count > largest) largest = net->table.list[i].count;
    float *values = malloc(sizeof *values * largest), *turned = malloc(sizeof *turned * largest);
    int code = values && turned ? OK : error_set(ERR_DEVICE, "out of memory for a tensor of %zu values", largest);
    for (int i = 0; i < net->table.count && !code; i++) {
        const struct param *p = &net->table.list[i];
        const struct safetensors_entry *e = find(file, p->name);
        if (!e)
            code = read_position(file, p, values, turned);
        else if (!(code = safetensors_read_float(e, values)) && p->ndim == 3)
            turn(turned, values, p, NULL);
        if (!code)
            transfer_to_elem(weights + param_position(&net->table, p), p->ndim == 3 ? turned : values, (long)p->count);
    }
    free(values);
    free(turned);
    return code;
}

/* ---- the file ---- */

/* Turns a folder's path into that of its model.safetensors. */
static int resolve(struct wav2vec2_file *f, const char *path) {
    struct stat s;
    if (stat(path, &s)) return error_set(ERR_INPUT, "%s: is not there", path);
    return S_ISDIR(s.st_mode) ? file_join(f->path, sizeof f->path, path, "model.safetensors")
                              : file_join(f->path, sizeof f->path, "", path); /* a file: unchanged */
}

static int read_configs(struct wav2vec2_config *c, const struct safetensors *file, const char *path) {
    cJSON *root;
    *c = wav2vec2_base;
    TRY(read_json(path, "config.json", &root));
    int code = root ? parse_config(c, root) : infer_config(c, file);
    if (code) error_context(code, root ? "%s: config.json" : "%s", path);
    cJSON_Delete(root);
    TRY(code);
    TRY(read_json(path, "preprocessor_config.json", &root));
    code = root ? parse_preprocessor(c, root) : OK;
    if (code) error_context(code, "%s: preprocessor_config.json", path);
    cJSON_Delete(root);
    return code;
}

/* Computes the checksum, over the file and over that part of the shape that the tensors do not tell. */
static int identify(struct wav2vec2_file *f) {
    const struct wav2vec2_config *c = &f->net.config;
    uint64_t length;
    uint32_t crc;
    TRY(file_checksum(f->path, &length, &crc));
    char text[96];
    int n = snprintf(text, sizeof text, "%d %d %.9g", c->heads, c->pre_norm, c->eps);
    crc = (uint32_t)crc32(crc, (const unsigned char *)text, (unsigned)n);
    crc = (uint32_t)crc32(crc, (const unsigned char *)c->conv_stride, (unsigned)(sizeof(int) * (size_t)c->convs));
    snprintf(f->id, sizeof f->id, "%08x", crc);
    return OK;
}

int wav2vec2_file_open(struct wav2vec2_file *f, const char *path) {
    memset(f, 0, sizeof *f);
    TRY(resolve(f, path));
    struct safetensors file;
    struct wav2vec2_config config;
    TRY(safetensors_open(&file, f->path));
    int code = read_configs(&config, &file, f->path);
    if (!code && (code = wav2vec2_create(&f->net, &config))) code = error_context(ERR_INPUT, "%s", f->path);
    if (!code && (code = check_tensors(&f->net, &file))) error_context(code, "%s", f->path);
    safetensors_close(&file);
    if (!code) code = identify(f);
    if (code) wav2vec2_file_close(f);
    return code;
}

int wav2vec2_file_load(const struct wav2vec2_file *f, elem *weights) {
    struct safetensors file;
    TRY(safetensors_open(&file, f->path));
    int code = check_tensors(&f->net, &file); /* again, because the file may have been replaced since */
    if (!code) code = load(&f->net, &file, weights);
    safetensors_close(&file);
    return code ? error_context(code, "%s", f->path) : OK;
}

void wav2vec2_file_close(struct wav2vec2_file *f) {
    wav2vec2_destroy(&f->net);
    memset(f, 0, sizeof *f);
}
