/* text_encoder.c: see text_encoder.h. */
#include "checkpoints/text_encoder.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/finite.h"
#include "checkpoints/fault_list.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

enum { PIECE = 1 << 20, CONFIG_BYTES_MAX = 1 << 20, SIDE_MAX = 1 << 24, LAYERS_MAX = 1024 };

/* ---- names ---- */

static const char *const layer_names[][2] = {
    {"norm1.weight", "layer.0.layer_norm.weight"},
    {"attn.q.weight", "layer.0.SelfAttention.q.weight"},
    {"attn.k.weight", "layer.0.SelfAttention.k.weight"},
    {"attn.v.weight", "layer.0.SelfAttention.v.weight"},
    {"attn.o.weight", "layer.0.SelfAttention.o.weight"},
    {"pos_embedding.embedding.weight", "layer.0.SelfAttention.relative_attention_bias.weight"},
    {"norm2.weight", "layer.1.layer_norm.weight"},
    {"ffn.gate.0.weight", "layer.1.DenseReluDense.wi_0.weight"},
    {"ffn.fc1.weight", "layer.1.DenseReluDense.wi_1.weight"},
    {"ffn.fc2.weight", "layer.1.DenseReluDense.wo.weight"}};

int text_encoder_transformers_name(const char *original, char *name, size_t size) {
    int layer, end = 0, n = -1;
    if (!strcmp(original, "token_embedding.weight")) n = snprintf(name, size, "shared.weight");
    if (!strcmp(original, "norm.weight")) n = snprintf(name, size, "encoder.final_layer_norm.weight");
    if (sscanf(original, "blocks.%d.%n", &layer, &end) == 1 && end)
        for (size_t i = 0; i < sizeof layer_names / sizeof *layer_names; i++)
            if (!strcmp(original + end, layer_names[i][0]))
                n = snprintf(name, size, "encoder.block.%d.%s", layer, layer_names[i][1]);
    return n >= 0 && (size_t)n < size ? OK : error_set(ERR_INPUT, "%.60s: has no name in Transformers", original);
}

/* Finds a tensor by its original name. Transformers may have the table of tokens under a second name. */
static const struct safetensors_entry *find(const struct text_encoder *e, const char *original) {
    char name[160];
    if (!e->transformers) return shards_find(&e->shards, original);
    if (text_encoder_transformers_name(original, name, sizeof name)) return NULL;
    const struct safetensors_entry *entry = shards_find(&e->shards, name);
    if (!entry && !strcmp(name, "shared.weight")) entry = shards_find(&e->shards, "encoder.embed_tokens.weight");
    return entry;
}

/* Whether a tensor belongs to parts of whole models or repackaged files that the encoder does not use. */
static int is_passed_over(const char *name) {
    return !strncmp(name, "decoder.", 8) || !strncmp(name, "lm_head.", 8) || !strcmp(name, "spiece_model") ||
           !strcmp(name, "encoder.embed_tokens.weight");
}

/* ---- sizes ---- */

/* Reads a matrix's sides; returns 0 when there is no such matrix. */
static int sides(const struct text_encoder *e, const char *original, long *rows, long *columns) {
    const struct safetensors_entry *entry = find(e, original);
    if (!entry || entry->ndim != 2 || entry->shape[0] > SIDE_MAX || entry->shape[1] > SIDE_MAX) return 0;
    *rows = entry->shape[0];
    *columns = entry->shape[1];
    return *rows > 0 && *columns > 0;
}

static int sizes_from_shapes(const struct text_encoder *e, struct umt5_config *c) {
    long dim, inner, buckets, heads, ffn, columns;
    *c = (struct umt5_config){.max_distance = 128, .eps = 1e-6};
    if (!sides(e, "token_embedding.weight", &c->vocab, &dim) || !sides(e, "blocks.0.attn.q.weight", &inner, &columns) ||
        !sides(e, "blocks.0.pos_embedding.embedding.weight", &buckets, &heads) ||
        !sides(e, "blocks.0.ffn.fc1.weight", &ffn, &columns))
        return error_set(ERR_INPUT,
                         "holds no UMT5 encoder (token_embedding, blocks.0.attn.q, .pos_embedding, .ffn.fc1, or "
                         "their names in Transformers)");
    if (inner % heads) return error_set(ERR_INPUT, "blocks.0.attn.q.weight: %ld rows for %ld heads", inner, heads);
    c->dim = (int)dim;
    c->heads = (int)heads;
    c->head_dim = (int)(inner / heads);
    c->ffn_dim = (int)ffn;
    c->buckets = (int)buckets;
    char name[64];
    do {
        c->layers++;
        snprintf(name, sizeof name, "blocks.%d.norm1.weight", c->layers);
    } while (c->layers < LAYERS_MAX && find(e, name));
    return OK;
}

/* ---- config.json ---- */

static int agree(const cJSON *config, const char *key, long ours) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, key);
    if (!item || (cJSON_IsNumber(item) && item->valuedouble == (double)ours)) return OK;
    return error_set(ERR_INPUT, "%s: the tensors say %ld", key, ours);
}

static int says(const cJSON *config, const char *key, const char *wanted) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, key);
    if (!item || (cJSON_IsString(item) && !strcmp(item->valuestring, wanted))) return OK;
    return error_set(ERR_INPUT, "%s: only %s is supported", key, wanted);
}

static int apply_config(const cJSON *config, struct umt5_config *c) {
    if (!cJSON_IsObject(config)) return error_set(ERR_INPUT, "is not a JSON object");
    TRY(says(config, "model_type", "umt5"));
    TRY(says(config, "feed_forward_proj", "gated-gelu"));
    TRY(agree(config, "vocab_size", c->vocab));
    TRY(agree(config, "d_model", c->dim));
    TRY(agree(config, "d_kv", c->head_dim));
    TRY(agree(config, "d_ff", c->ffn_dim));
    TRY(agree(config, "num_heads", c->heads));
    TRY(agree(config, "num_layers", c->layers));
    TRY(agree(config, "relative_attention_num_buckets", c->buckets));
    const cJSON *distance = cJSON_GetObjectItemCaseSensitive(config, "relative_attention_max_distance");
    const cJSON *eps = cJSON_GetObjectItemCaseSensitive(config, "layer_norm_epsilon");
    if (distance) {
        if (!cJSON_IsNumber(distance) || !(distance->valuedouble > c->buckets / 4 && distance->valuedouble < SIDE_MAX))
            return error_set(ERR_INPUT, "relative_attention_max_distance: expected more than %d", c->buckets / 4);
        c->max_distance = (int)distance->valuedouble;
    }
    if (eps) {
        if (!cJSON_IsNumber(eps) || !(eps->valuedouble >= 0 && eps->valuedouble < 1))
            return error_set(ERR_INPUT, "layer_norm_epsilon: expected a number from 0 to 1");
        c->eps = eps->valuedouble;
    }
    return OK;
}

/* Reads the config.json beside the checkpoint, if there is one. */
static int read_config(const struct text_encoder *e, struct umt5_config *c) {
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX], *text;
    size_t length;
    shards_folder(&e->shards, folder, sizeof folder);
    TRY(file_join(path, sizeof path, folder, "config.json"));
    if (!file_exists(path)) return OK;
    TRY(file_read(path, CONFIG_BYTES_MAX, &text, &length));
    cJSON *config = cJSON_ParseWithLength(text, length);
    free(text);
    int code = apply_config(config, c);
    cJSON_Delete(config);
    return code ? error_context(code, "%s", path) : OK;
}

/* ---- opening ---- */

static int check_tensors(const struct text_encoder *e) {
    struct fault_list faults = FAULT_LIST;
    char want[96], got[96];
    const struct param_table *table = &e->net.table;
    char *known = calloc((size_t)e->shards.count + 1, 1);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        const struct safetensors_entry *entry = find(e, p->name);
        fault_shape(want, sizeof want, p->ndim, p->shape);
        if (!entry) {
            fault_add(&faults, "missing %s %s", p->name, want);
            continue;
        }
        if (known) known[shards_index(&e->shards, entry->name)] = 1;
        fault_shape(got, sizeof got, entry->ndim, entry->shape);
        if (strcmp(got, want)) fault_add(&faults, "%s is %s, expected %s", entry->name, got, want);
        if (entry->type != ST_F32 && entry->type != ST_BF16 && entry->type != ST_F16 && entry->type != ST_F64)
            fault_add(&faults, "%s is of type %s", entry->name, entry->dtype);
    }
    for (int i = 0; i < e->shards.count && known; i++)
        if (!known[i] && !is_passed_over(e->shards.entries[i]->name))
            fault_add(&faults, "surplus %s", e->shards.entries[i]->name);
    free(known);
    return fault_report(&faults, "tensors do not fit");
}

static int open_encoder(struct text_encoder *e) {
    struct umt5_config config;
    e->transformers = shards_find(&e->shards, "encoder.final_layer_norm.weight") != NULL;
    TRY(sizes_from_shapes(e, &config));
    TRY(read_config(e, &config));
    TRY(umt5_create(&e->net, &config));
    return check_tensors(e);
}

int text_encoder_open(struct text_encoder *e, const char *path) {
    memset(e, 0, sizeof *e);
    TRY(shards_open(&e->shards, path));
    int code = open_encoder(e);
    if (!code) return OK;
    text_encoder_close(e);
    return error_context(code, "%s", path);
}

void text_encoder_close(struct text_encoder *e) {
    umt5_destroy(&e->net);
    shards_close(&e->shards);
    memset(e, 0, sizeof *e);
}

/* ---- encoding ---- */

struct encoding {
    struct arena memory;
    struct umt5_acts acts;
    elem *weights; /* room for the largest slice except the table of tokens */
    float *piece;  /* host [PIECE, or a row if that is longer] */
};

static void layout(struct encoding *w, const struct umt5 *net, long tokens, long longest) {
    w->weights = ARENA_TAKE(&w->memory, "one layer's weights", elem, param_largest_slice(&net->table, 1));
    umt5_acts_layout(&w->acts, net, tokens, longest, &w->memory);
}

/* Loads a slice's tensors from the file into w->weights. */
static int load_slice(const struct text_encoder *e, struct encoding *w, int slice) {
    const struct param_table *t = &e->net.table;
    for (int i = 0; i < t->count; i++) {
        const struct param *p = &t->list[i];
        if (p->slice != slice) continue;
        const struct safetensors_entry *entry = find(e, p->name);
        for (size_t from = 0; from < p->count; from += PIECE) {
            size_t count = p->count - from < PIECE ? p->count - from : PIECE;
            TRY(safetensors_read_part(entry, from, count, w->piece));
            transfer_to_elem(w->weights + p->offset + from, w->piece, (long)count);
            safetensors_forget(entry, from, count);
        }
    }
    return device_sync();
}

/* Reads the texts' rows of the token table into `out`, which later receives the result. */
static int look_up(const struct text_encoder *e, const int *ids, long tokens, float *out) {
    const struct umt5_config *c = &e->net.config;
    const struct safetensors_entry *table = find(e, "token_embedding.weight");
    size_t dim = (size_t)c->dim;
    for (long i = 0; i < tokens; i++) {
        if (ids[i] < 0 || ids[i] >= c->vocab)
            return error_set(ERR_INPUT, "token %d: the encoder's table has 0 to %ld", ids[i], c->vocab - 1);
        TRY(safetensors_read_part(table, (size_t)ids[i] * dim, dim, out + (size_t)i * dim));
    }
    return OK;
}

static int run(struct text_encoder *e, struct encoding *w, const int *length, int count, float *out) {
    const struct umt5 *net = &e->net;
    TRY(umt5_acts_open(&w->acts, net));
    umt5_begin(net, &w->acts, out);
    for (int layer = 0; layer < net->config.layers; layer++) {
        TRY(load_slice(e, w, 1 + layer));
        umt5_layer(net, &w->acts, layer, w->weights, length, count);
    }
    TRY(load_slice(e, w, 1 + net->config.layers));
    umt5_end(net, &w->acts, w->weights);
    transfer_from_elem(out, w->acts.y, w->acts.tokens * net->config.dim);
    TRY(device_sync());
    if (finite_fault(out, (size_t)w->acts.tokens * (size_t)net->config.dim) < 0) return OK;
    return error_set(ERR_NUMERIC, "an embedding is not finite: the weights are too large");
}

static int count_tokens(const int *length, int count, long *tokens, long *longest) {
    *tokens = *longest = 0;
    for (int i = 0; i < count; i++) {
        if (length[i] < 1) return error_set(ERR_INPUT, "text %d has no tokens", i);
        *tokens += length[i];
        if (length[i] > *longest) *longest = length[i];
    }
    return *tokens ? OK : error_set(ERR_INPUT, "no text is given");
}

int text_encoder_encode(struct text_encoder *e, const int *ids, const int *length, int count, float *out) {
    struct encoding w = {.weights = NULL};
    long tokens, longest;
    TRY(count_tokens(length, count, &tokens, &longest));
    int found = look_up(e, ids, tokens, out);
    if (found) return error_context(found, "%s", e->shards.path);
    arena_begin(&w.memory, "text encoder");
    layout(&w, &e->net, tokens, longest);
    TRY(arena_commit(&w.memory));
    layout(&w, &e->net, tokens, longest);
    w.piece = malloc(sizeof *w.piece * PIECE);
    int code = w.piece ? run(e, &w, length, count, out) : error_set(ERR_DEVICE, "text encoder: out of memory");
    free(w.piece);
    umt5_acts_close(&w.acts);
    arena_free(&w.memory);
    return code ? error_context(code, "%s", e->shards.path) : OK;
}

void text_encoder_plan(const struct text_encoder *e, long tokens, long longest, FILE *out) {
    struct encoding w = {.weights = NULL};
    arena_begin(&w.memory, "text encoder");
    layout(&w, &e->net, tokens, longest);
    arena_print(&w.memory, out, 0);
    arena_free(&w.memory);
}
