/* weights.c: see weights.h. */
#include "checkpoints/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/fault_list.h"
#include "checkpoints/names.h"
#include "model/transfer.h"

int weights_belongs(const struct param *param, enum weights_part part) {
    if (part == WEIGHTS_ALL) return 1;
    int audio =
        !strncmp(param->name, "audio_proj.", 11) || strstr(param->name, ".talk_") || strstr(param->name, ".listen_");
    return audio == (part == WEIGHTS_AUDIO);
}

static void tensor_key(char *key, size_t size, const struct param *param, enum weights_naming naming) {
    if (naming == NAMING_ORIGINAL || names_to_diffusers(param->name, key, size)) snprintf(key, size, "%s", param->name);
}

static void check_tensors(struct fault_list *faults, const struct param_table *table, const struct safetensors *file,
                          enum weights_part part, enum weights_naming naming) {
    int expected = 0;
    char *known = calloc((size_t)file->count + 1, 1);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (!weights_belongs(p, part)) continue;
        expected++;
        char key[160], want[96], got[96];
        tensor_key(key, sizeof key, p, naming);
        const struct safetensors_entry *e = safetensors_find(file, key);
        if (!e) {
            fault_add(faults, "missing %s", key);
            continue;
        }
        if (known) known[e - file->entries] = 1;
        int same = e->ndim == p->ndim;
        for (int k = 0; same && k < p->ndim; k++) same = e->shape[k] == p->shape[k];
        if (same) continue;
        fault_shape(want, sizeof want, p->ndim, p->shape);
        fault_shape(got, sizeof got, e->ndim, e->shape);
        fault_add(faults, "%s is %s, expected %s", key, got, want);
    }
    for (int i = 0; known && i < file->count; i++)
        if (!known[i]) fault_add(faults, "surplus %s", file->entries[i].name);
    free(known);
    if (!expected && file->count) fault_add(faults, "no tensors were expected");
}

int weights_load(elem *weights, const struct param_table *table, const struct safetensors *file, enum weights_part part,
                 enum weights_naming naming) {
    struct fault_list faults = {.count = 0};
    check_tensors(&faults, table, file, part, naming);
    if (faults.count) return error_set(ERR_INPUT, "%d tensors do not fit: %s", faults.count, faults.text);
    size_t largest = 0;
    for (int i = 0; i < table->count; i++)
        if (table->list[i].count > largest) largest = table->list[i].count;
    float *values = malloc(largest * sizeof *values + 1);
    int code = values ? OK : error_set(ERR_DEVICE, "out of memory for a tensor of %zu values", largest);
    for (int i = 0; i < table->count && !code; i++) {
        const struct param *p = &table->list[i];
        if (!weights_belongs(p, part)) continue;
        char key[160];
        tensor_key(key, sizeof key, p, naming);
        code = safetensors_read_float(safetensors_find(file, key), values);
        if (!code) transfer_to_elem(weights + param_position(table, p), values, (long)p->count);
    }
    free(values);
    return code;
}

static void *converted(const float *values, size_t count, enum safetensors_type type) {
    size_t bytes = count * (type == ST_BF16 ? 2 : 4);
    void *out = malloc(bytes + 1);
    if (!out) return NULL;
    if (type == ST_F32) return memcpy(out, values, bytes);
    for (size_t k = 0; k < count; k++) {
        uint32_t bits;
        memcpy(&bits, &values[k], 4);
        int nan = (bits & 0x7fffffffu) > 0x7f800000u;
        ((uint16_t *)out)[k] = (uint16_t)(nan ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
    return out;
}

int weights_save(const char *path, const struct param_table *table, const float *values, enum weights_part part,
                 enum weights_naming naming, enum safetensors_type type) {
    struct safetensors_entry *entries = calloc((size_t)table->count + 1, sizeof *entries);
    int count = 0, code = entries ? OK : error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < table->count && !code; i++) {
        const struct param *p = &table->list[i];
        if (!weights_belongs(p, part)) continue;
        struct safetensors_entry *e = &entries[count++];
        char key[160];
        tensor_key(key, sizeof key, p, naming);
        e->name = strdup(key);
        e->type = type;
        e->ndim = p->ndim;
        memcpy(e->shape, p->shape, sizeof p->shape);
        e->count = p->count;
        e->bytes = p->count * (type == ST_BF16 ? 2 : 4);
        e->data = converted(values + param_position(table, p), p->count, type);
        if (!e->name || !e->data) code = error_set(ERR_DEVICE, "out of memory for %s", p->name);
    }
    if (!code) code = safetensors_write(path, entries, count, NULL);
    for (int i = 0; i < count; i++) {
        free(entries[i].name);
        free((void *)entries[i].data);
    }
    free(entries);
    return code;
}
