/* feature_file.c: see feature_file.h. */
#include "checkpoints/feature_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/fault_list.h"

#define FORMAT "features"
enum { NOTES_MAX = 16 };

/* ---- sizes ---- */

static const char *metadata_of(const struct safetensors *file, const char *key) {
    for (char **m = file->metadata; m && m[0] && m[1]; m += 2)
        if (!strcmp(m[0], key)) return m[1];
    return "";
}

double feature_file_deviation(const struct safetensors *file) {
    double noted = atof(metadata_of(file, "deviation"));
    return noted > 0 && noted < 1e9 ? noted : 1;
}

/* A size in the metadata, in pixels; 0, which no network has: it is missing or out of range. */
static int size_of(const struct safetensors *file, const char *key) {
    long size = strtol(metadata_of(file, key), NULL, 10);
    return size > 0 && size <= 8192 ? (int)size : 0;
}

/* A length of a tensor; 0: there is no such tensor, or it has fewer dimensions. */
static int length_of(const struct safetensors *file, const char *name, int dimension) {
    const struct safetensors_entry *e = safetensors_find(file, name);
    return e && dimension < e->ndim && e->shape[dimension] <= 1 << 20 ? (int)e->shape[dimension] : 0;
}

static struct feature_config sizes_of(const struct safetensors *file) {
    struct feature_config c = {.height = size_of(file, "height"),
                               .width = size_of(file, "width"),
                               .patch = size_of(file, "patch"),
                               .widths = {length_of(file, "first.bias", 0)},
                               .embedding = length_of(file, "person.bias", 0),
                               .window = length_of(file, "heard.0.weight", 1),
                               .hearing = length_of(file, "heard.0.bias", 0)};
    for (int l = 1; l < FEATURE_LEVELS; l++) {
        char name[48];
        snprintf(name, sizeof name, "level.%d.shrink.bias", l - 1);
        c.widths[l] = length_of(file, name, 0);
    }
    return c;
}

/* ---- tensors ---- */

static int same_shape(const struct param *p, const struct safetensors_entry *e) {
    if (e->ndim != p->ndim) return 0;
    for (int k = 0; k < p->ndim; k++)
        if (e->shape[k] != p->shape[k]) return 0;
    return 1;
}

static int check(const struct feature_net *net, const struct safetensors *file) {
    struct fault_list faults = FAULT_LIST;
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        const struct safetensors_entry *e = safetensors_find(file, p->name);
        char want[96], got[96];
        if (!e) {
            fault_add(&faults, "missing %s", p->name);
        } else if (!same_shape(p, e)) {
            fault_shape(want, sizeof want, p->ndim, p->shape);
            fault_shape(got, sizeof got, e->ndim, e->shape);
            fault_add(&faults, "%s is %s, expected %s", p->name, got, want);
        }
    }
    for (int i = 0; i < file->count; i++)
        if (!param_find(&net->table, file->entries[i].name)) fault_add(&faults, "surplus %s", file->entries[i].name);
    return fault_report(&faults, "tensors do not fit");
}

int feature_file_create(struct feature_net *net, const struct safetensors *file) {
    const struct feature_config sizes = sizes_of(file);
    if (strcmp(metadata_of(file, "format"), FORMAT))
        return error_set(ERR_INPUT, "holds no network of features (metadata format is not \"" FORMAT "\")");
    int code = feature_net_create(net, &sizes);
    if (!code) code = check(net, file);
    if (code) feature_net_destroy(net);
    return code == ERR_USAGE ? ERR_INPUT : code; /* the sizes came from the file */
}

int feature_file_read(float *values, const struct feature_net *net, const struct safetensors *file) {
    TRY(check(net, file));
    memset(values, 0, net->table.total * sizeof *values);
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        TRY(safetensors_read_float(safetensors_find(file, p->name), values + param_position(&net->table, p)));
    }
    return OK;
}

int feature_file_save(const char *path, const struct feature_net *net, const float *values, const char *const *notes) {
    char height[16], width[16], patch[16];
    const char *pairs[8 + 2 * NOTES_MAX + 1] = {"format", FORMAT, "height", height, "width", width, "patch", patch};
    snprintf(height, sizeof height, "%d", net->config.height);
    snprintf(width, sizeof width, "%d", net->config.width);
    snprintf(patch, sizeof patch, "%d", net->config.patch);
    for (int i = 0; i < 2 * NOTES_MAX && notes && notes[i]; i++) pairs[8 + i] = notes[i];
    struct safetensors_entry *entries = calloc((size_t)net->table.count + 1, sizeof *entries);
    if (!entries) return error_set(ERR_DEVICE, "out of memory for the file of features");
    for (int i = 0; i < net->table.count; i++) {
        const struct param *p = &net->table.list[i];
        entries[i] = (struct safetensors_entry){.name = (char *)(uintptr_t)p->name,
                                                .type = ST_F32,
                                                .ndim = p->ndim,
                                                .count = p->count,
                                                .bytes = p->count * sizeof(float),
                                                .data = values + param_position(&net->table, p)};
        memcpy(entries[i].shape, p->shape, (size_t)p->ndim * sizeof *p->shape);
    }
    int code = safetensors_write(path, entries, net->table.count, pairs);
    free(entries);
    return code;
}
