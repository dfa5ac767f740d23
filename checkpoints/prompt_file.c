/* prompt_file.c: see prompt_file.h. */
#include "checkpoints/prompt_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/hash_index.h"

static const char prefix[] = "prompt/", default_key[] = "default";
enum { PREFIX = sizeof prefix - 1, ROWS_MAX = 1 << 20, WIDTH_MAX = 1 << 20 };

/* ---- reading ---- */

static int index_metadata(struct hash_index *index, const struct safetensors *file) {
    for (int i = 0; file->metadata && file->metadata[i]; i += 2)
        TRY(hash_index_add(index, hash_text(file->metadata[i]), i));
    return OK;
}

static const char *metadata(const struct safetensors *file, const struct hash_index *index, const char *key) {
    size_t at = 0;
    for (int i; (i = hash_index_next(index, hash_text(key), &at)) >= 0;)
        if (!strcmp(file->metadata[i], key)) return file->metadata[i + 1];
    return NULL;
}

static int is_number(const struct safetensors_entry *e) {
    return e->type == ST_F32 || e->type == ST_BF16 || e->type == ST_F16 || e->type == ST_F64;
}

/* Whether a tensor is [L, D], or [1, L, D] as batches of one are saved. */
static int is_embedding(const struct safetensors_entry *e, long *rows, long *dim) {
    int first = e->ndim == 3 && e->shape[0] == 1;
    if (!is_number(e) || e->ndim != 2 + first) return 0;
    *rows = e->shape[first];
    *dim = e->shape[first + 1];
    return *rows <= ROWS_MAX && *dim >= 1 && *dim <= WIDTH_MAX;
}

static int add_entry(struct prompt_file *f, const struct hash_index *index, const struct safetensors_entry *e,
                     long rows, long dim) {
    if (f->count && dim != f->dim) return error_set(ERR_INPUT, "%.80s: is %ld wide, others %d", e->name, dim, f->dim);
    f->dim = (int)dim;
    struct prompt_entry *p = &f->entries[f->count++];
    int keyed = !strncmp(e->name, prefix, PREFIX);
    *p = (struct prompt_entry){.name = strdup(e->name + (keyed ? PREFIX : 0)),
                               .text = keyed ? metadata(&f->file, index, e->name) : NULL,
                               .keyed = keyed,
                               .length = rows,
                               .tensor = e};
    return p->name ? OK : error_set(ERR_DEVICE, "out of memory");
}

static int64_t mask_value(const struct safetensors_entry *e, size_t i) {
    int64_t wide;
    int32_t narrow;
    const char *data = e->data;
    if (e->type == ST_I64) return memcpy(&wide, data + 8 * i, 8), wide;
    if (e->type == ST_I32) return memcpy(&narrow, data + 4 * i, 4), narrow;
    return data[i];
}

/* Cuts a prompt to the tokens that its mask [L] leaves: those before its first 0, behind which only zeros may
   follow. */
static int apply_mask(struct prompt_entry *p, const struct safetensors_entry *mask) {
    size_t n = (size_t)mask->shape[mask->ndim - 1], tokens = 0;
    while (tokens < n && mask_value(mask, tokens)) tokens++;
    for (size_t i = tokens; i < n; i++)
        if (mask_value(mask, i)) return error_set(ERR_INPUT, "%.80s: tokens are not all at the start", mask->name);
    p->length = (long)tokens;
    return OK;
}

static int is_mask(const struct safetensors_entry *e, long rows) {
    int first = e->ndim == 2 && e->shape[0] == 1, bytes = e->type == ST_OTHER && !strcmp(e->dtype, "BOOL");
    if (!bytes && e->type != ST_U8 && e->type != ST_I32 && e->type != ST_I64) return 0;
    if (e->ndim != 1 + first || e->shape[first] != rows) return 0;
    return !bytes || e->bytes == (size_t)rows;
}

static int read_entries(struct prompt_file *f, const struct hash_index *index) {
    long rows, dim;
    f->entries = calloc((size_t)f->file.count + 1, sizeof *f->entries);
    if (!f->entries) return error_set(ERR_DEVICE, "out of memory");
    int named = 0;
    for (int i = 0; i < f->file.count; i++) {
        const struct safetensors_entry *e = &f->file.entries[i];
        if (!is_embedding(e, &rows, &dim)) continue;
        TRY(add_entry(f, index, e, rows, dim));
        named += !f->entries[f->count - 1].keyed;
    }
    if (!f->count) return error_set(ERR_INPUT, "holds no prompt: no tensor [tokens, width]");
    for (int i = 0; i < f->file.count && named == 1 && f->count == 1; i++)
        if (is_mask(&f->file.entries[i], f->entries[0].length)) return apply_mask(&f->entries[0], &f->file.entries[i]);
    return OK;
}

static int is_empty(const struct prompt_entry *p) {
    char key[PROMPT_KEY];
    return p->keyed ? !prompt_key("", key) && !strcmp(p->name, key) : !strcmp(p->name, "empty");
}

/* Finds the prompt to use when none is named: the metadata's default, else the only one that is not empty. */
static int find_fallback(const struct prompt_file *f, const struct hash_index *index) {
    const char *key = metadata(&f->file, index, default_key);
    int only = -1, others = 0;
    for (int i = 0; i < f->count; i++) {
        if (key && f->entries[i].keyed && !strcmp(f->entries[i].name, key)) return i;
        if (is_empty(&f->entries[i])) continue;
        only = i;
        others++;
    }
    return others == 1 ? only : -1;
}

int prompt_file_open(struct prompt_file *f, const char *path) {
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", path);
    TRY(safetensors_open(&f->file, path));
    struct hash_index index = {0};
    int code = index_metadata(&index, &f->file);
    if (!code) code = read_entries(f, &index);
    f->fallback = find_fallback(f, &index);
    hash_index_free(&index);
    if (!code) return OK;
    prompt_file_close(f);
    return error_context(code, "%s", path);
}

void prompt_file_close(struct prompt_file *f) {
    for (int i = 0; i < f->count; i++) free(f->entries[i].name);
    free(f->entries);
    safetensors_close(&f->file);
    memset(f, 0, sizeof *f);
}

/* Lists prompts as: "a", "b" and 3 more. */
static void list_prompts(const struct prompt_file *f, char *list, size_t size) {
    size_t used = 0;
    int shown = 0;
    *list = 0;
    for (int i = 0; i < f->count && used + 80 < size; i++, shown++) {
        const struct prompt_entry *p = &f->entries[i];
        used += (size_t)snprintf(list + used, size - used, "%s\"%.50s\"", i ? ", " : "", p->text ? p->text : p->name);
    }
    if (shown < f->count) snprintf(list + used, size - used, " and %d more", f->count - shown);
}

static int none(const struct prompt_file *f, const char *text) {
    char list[400];
    list_prompts(f, list, sizeof list);
    if (!text || !*text) return error_set(ERR_INPUT, "%s: has no default prompt; name one of %s", f->path, list);
    return error_set(ERR_INPUT, "%s: has no embedding of \"%.80s\"; there are %s (text_embed makes one)", f->path, text,
                     list);
}

static int by_tensor(const void *a, const void *b) {
    const struct prompt_entry *x = a, *y = b;
    return (x->tensor > y->tensor) - (x->tensor < y->tensor);
}

/* Returns the prompt in the tensor of that name; NULL: there is none. Prompts are in the order of the file's tensors,
   which are sorted by name. */
static const struct prompt_entry *entry_of(const struct prompt_file *f, const char *name) {
    struct prompt_entry wanted = {.tensor = safetensors_find(&f->file, name)};
    return wanted.tensor ? bsearch(&wanted, f->entries, (size_t)f->count, sizeof wanted, by_tensor) : NULL;
}

static int find_clean(const struct prompt_file *f, const char *clean, const struct prompt_entry **entry) {
    char name[PREFIX + PROMPT_KEY];
    memcpy(name, prefix, PREFIX);
    TRY(prompt_key(clean, name + PREFIX));
    if ((*entry = entry_of(f, name))) return OK;
    if ((*entry = entry_of(f, clean)) && !(*entry)->keyed) return OK;
    int named = 0;
    for (int i = 0; i < f->count; i++) {
        if (f->entries[i].keyed || is_empty(&f->entries[i])) continue;
        *entry = &f->entries[i];
        named++;
    }
    return named == 1 ? OK : none(f, clean);
}

int prompt_file_find(const struct prompt_file *f, const char *text, const struct prompt_entry **entry) {
    char *clean = NULL;
    if (text && *text) TRY(prompt_clean(text, &clean));
    int code = OK;
    if (clean && *clean)
        code = find_clean(f, clean, entry);
    else if (f->fallback < 0)
        code = none(f, NULL);
    else
        *entry = &f->entries[f->fallback];
    free(clean);
    return code;
}

const struct prompt_entry *prompt_file_empty(const struct prompt_file *f) {
    for (int i = 0; i < f->count; i++)
        if (is_empty(&f->entries[i])) return &f->entries[i];
    return NULL;
}

int prompt_file_read(const struct prompt_file *f, const struct prompt_entry *p, float **rows) {
    size_t count = (size_t)p->length * (size_t)f->dim;
    *rows = malloc(sizeof **rows * (count + 1));
    if (!*rows) return error_set(ERR_DEVICE, "out of memory for a prompt of %ld tokens", p->length);
    int code = count ? safetensors_read_part(p->tensor, 0, count, *rows) : OK;
    if (!code) return OK;
    free(*rows);
    *rows = NULL;
    return error_context(code, "%s", f->path);
}

int prompt_file_fill(const struct prompt_file *f, const struct prompt_entry *p, int text_len, int text_dim,
                     float *text) {
    float *rows;
    if (f->dim != text_dim || p->length > text_len)
        return error_set(ERR_INPUT, "%s: prompt \"%.60s\" is [%ld, %d], the network takes [%d, %d] at most", f->path,
                         p->text ? p->text : p->name, p->length, f->dim, text_len, text_dim);
    TRY(prompt_file_read(f, p, &rows));
    size_t filled = (size_t)p->length * (size_t)text_dim;
    memcpy(text, rows, sizeof *text * filled);
    memset(text + filled, 0, sizeof *text * ((size_t)text_len * (size_t)text_dim - filled));
    free(rows);
    return OK;
}

/* ---- writing ---- */

struct prompt_writing {
    struct safetensors_entry *entries; /* two for each prompt: rows, token numbers */
    const char **metadata;
    int count, pairs;
    struct hash_index index; /* finds a prompt's place in `entries` by its key */
};

static void *to_bf16(const float *values, size_t count) {
    uint16_t *out = malloc(sizeof *out * (count + 1));
    for (size_t i = 0; out && i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        out[i] = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
    return out;
}

static void *copy_of(const void *bytes, size_t size) {
    void *out = malloc(size + 1);
    return out && size ? memcpy(out, bytes, size) : out;
}

static int put_tensor(struct prompt_writing *w, const char *before, const char *key, enum safetensors_type type,
                      long rows, long dim, void *data) {
    struct safetensors_entry *e = &w->entries[w->count++];
    char name[PREFIX + PROMPT_KEY];
    snprintf(name, sizeof name, "%s%s", before, key);
    size_t count = (size_t)rows * (size_t)dim;
    *e = (struct safetensors_entry){.name = strdup(name),
                                    .type = type,
                                    .ndim = type == ST_I32 ? 1 : 2,
                                    .shape = {rows, dim},
                                    .count = count,
                                    .bytes = count * safetensors_type_bytes(type),
                                    .data = data};
    return e->name && data ? OK : error_set(ERR_DEVICE, "out of memory for the prompts");
}

static int put_prompt(struct prompt_writing *w, const struct prompt_rows *p, int dim, enum safetensors_type type,
                      const int *ids) {
    char key[PROMPT_KEY];
    TRY(prompt_key(p->text, key));
    size_t at = 0;
    for (int i; (i = hash_index_next(&w->index, hash_text(key), &at)) >= 0;)
        if (!strcmp(w->entries[i].name + PREFIX, key)) return OK; /* it is there already */
    TRY(hash_index_add(&w->index, hash_text(key), w->count));
    size_t count = (size_t)p->length * (size_t)dim;
    TRY(put_tensor(w, prefix, key, type, p->length, dim,
                   type == ST_BF16 ? to_bf16(p->rows, count) : copy_of(p->rows, 4 * count)));
    w->metadata[2 * w->pairs] = w->entries[w->count - 1].name;
    w->metadata[2 * w->pairs++ + 1] = p->text;
    return ids ? put_tensor(w, "ids/", key, ST_I32, p->length, 1, copy_of(ids, sizeof *ids * (size_t)p->length)) : OK;
}

int prompt_file_write(const char *path, const struct prompt_rows *prompts, int count, int dim,
                      enum safetensors_type type, int fallback, const int *const *ids) {
    struct prompt_writing w = {.entries = calloc(2 * (size_t)count + 1, sizeof *w.entries),
                               .metadata = calloc(2 * (size_t)count + 4, sizeof *w.metadata)};
    char key[PROMPT_KEY];
    int code = w.entries && w.metadata ? OK : error_set(ERR_DEVICE, "out of memory for the prompts");
    for (int i = 0; i < count && !code; i++) code = put_prompt(&w, &prompts[i], dim, type, ids ? ids[i] : NULL);
    if (!code) code = prompt_key(prompts[fallback].text, key);
    if (!code) {
        w.metadata[2 * w.pairs] = default_key;
        w.metadata[2 * w.pairs + 1] = key;
        code = safetensors_write(path, w.entries, w.count, w.metadata);
    }
    for (int i = 0; i < w.count; i++) {
        free(w.entries[i].name);
        free((void *)w.entries[i].data);
    }
    free(w.entries);
    free(w.metadata);
    hash_index_free(&w.index);
    return code;
}
