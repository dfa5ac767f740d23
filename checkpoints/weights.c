/* weights.c: see weights.h. */
#include "checkpoints/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/fault_list.h"
#include "checkpoints/names.h"
#include "model/params/transfer.h"

enum { KEY_MAX = 256, PIECE = 1 << 14, FORGET_EVERY = 1 << 20 }; /* elements */

int weights_belongs(const struct param *param, enum weights_part part) {
    if (part == WEIGHTS_ALL) return 1;
    int audio =
        !strncmp(param->name, "audio_proj.", 11) || strstr(param->name, ".talk_") || strstr(param->name, ".listen_");
    return audio == (part == WEIGHTS_AUDIO);
}

/* ---- loading ---- */

static int convertible(const struct safetensors_entry *e) { return e->type <= ST_BF16 || e->type == ST_F64; }

static void check_tensor(struct fault_list *faults, const struct param *p, const char *key,
                         const struct safetensors_entry *e) {
    char want[96], got[96];
    fault_shape(want, sizeof want, p->ndim, p->shape);
    if (!e) {
        fault_add(faults, "missing %s %s", key, want);
        return;
    }
    if (!convertible(e))
        fault_add(faults, "%s is of type %s, expected F32, BF16 or F16", key,
                  e->type == ST_OTHER ? e->dtype : safetensors_type_name(e->type));
    int same = e->ndim == p->ndim;
    for (int k = 0; same && k < p->ndim; k++) same = e->shape[k] == p->shape[k];
    if (same) return;
    fault_shape(got, sizeof got, e->ndim, e->shape);
    fault_add(faults, "%s is %s, expected %s", key, got, want);
}

int weights_check(const struct param_table *table, const struct checkpoint *c, enum weights_part part) {
    struct fault_list faults = FAULT_LIST;
    const struct shards *s = &c->shards;
    char *known = calloc((size_t)s->count + 1, 1), key[KEY_MAX];
    if (!known) return error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (!weights_belongs(p, part)) continue;
        int at = checkpoint_key(c, p->name, key, sizeof key) ? -1 : shards_index(s, key);
        check_tensor(&faults, p, key, at < 0 ? NULL : s->entries[at]);
        if (at >= 0) known[at] = 1;
    }
    for (int i = 0; i < s->count; i++)
        if (!known[i] && !checkpoint_ignores(s->entries[i]->name))
            fault_add(&faults, "surplus %s", s->entries[i]->name);
    free(known);
    int code = fault_report(&faults, "tensors do not fit");
    return code ? error_context(code, "%s", s->path) : OK;
}

int weights_load_tensor(const struct weights_sink *sink, const struct param *p, const struct safetensors_entry *e) {
    float values[PIECE];
    for (size_t from = 0; from < p->count; from += PIECE) {
        size_t count = p->count - from < PIECE ? p->count - from : PIECE, end = from + count;
        TRY(safetensors_read_part(e, from, count, values));
        TRY(sink->take(sink->self, p, from, count, values));
        if (end == p->count || end % FORGET_EVERY == 0) {
            size_t begin = (end - 1) / FORGET_EVERY * FORGET_EVERY;
            safetensors_forget(e, begin, end - begin);
        }
    }
    return OK;
}

int weights_load(const struct weights_sink *sink, const struct param_table *table, const struct checkpoint *c,
                 enum weights_part part) {
    TRY(weights_check(table, c, part));
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (!weights_belongs(p, part)) continue;
        const struct safetensors_entry *e = checkpoint_find(c, p->name);
        int code = weights_load_tensor(sink, p, e);
        if (code) return error_context(code, "%s", c->shards.path);
    }
    return OK;
}

static int take_arena(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    const struct weights_arena *to = self;
    size_t at = param_position(to->table, p) + from;
    if (to->weights) transfer_to_elem(to->weights + at, values, (long)count);
    if (to->master) transfer_to_real(to->master + at, values, (long)count);
    return OK;
}

struct weights_sink weights_to_arena(struct weights_arena *arena) {
    return (struct weights_sink){take_arena, arena};
}

/* ---- saving ---- */

/* Converts to BF16, rounding to nearest even. */
static uint16_t to_brain(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    int nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)(nan ? (bits >> 16) | 0x40 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/* Converts to F16, rounding to nearest even; values that are too large become infinite. */
static uint16_t to_half(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00); /* 65520 and more */
    if (magnitude < 0x38800000u) {                                  /* below 2^-14: steps of 2^-24 */
        float scaled = fabsf(value) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)lrintf(scaled));
    }
    uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

struct save {
    const struct param_table *table;
    const struct weights_source *source;
    const struct param **params; /* [entries] */
    const struct safetensors_entry *entries;
};

static const struct param *param_of(const struct save *save, const struct safetensors_entry *e) {
    return save->params[e - save->entries];
}

static int convert(const struct safetensors_entry *e, const float *values, size_t count, void *bytes) {
    if (e->type == ST_F32) {
        memcpy(bytes, values, 4 * count);
        return OK;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t bits = e->type == ST_BF16 ? to_brain(values[i]) : to_half(values[i]);
        if (e->type == ST_F16 && (bits & 0x7fff) == 0x7c00 && isfinite(values[i]))
            return error_set(ERR_NUMERIC, "%s: %g does not fit in F16", e->name, (double)values[i]);
        memcpy((char *)bytes + 2 * i, &bits, 2);
    }
    return OK;
}

static int give_bytes(void *self, const struct safetensors_entry *e, size_t from, size_t count, void *bytes) {
    const struct save *save = self;
    float values[PIECE];
    size_t size = safetensors_type_bytes(e->type);
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < PIECE ? count - done : PIECE;
        TRY(save->source->give(save->source->self, param_of(save, e), from + done, n, values));
        TRY(convert(e, values, n, (char *)bytes + done * size));
    }
    return OK;
}

static int list_entries(struct save *save, struct safetensors_entry *entries, int *count, enum weights_part part,
                        const struct weights_format *format) {
    char key[KEY_MAX];
    for (int i = 0; i < save->table->count; i++) {
        const struct param *p = &save->table->list[i];
        if (!weights_belongs(p, part)) continue;
        struct safetensors_entry *e = &entries[*count];
        if (format->naming == NAMING_DIFFUSERS)
            TRY(names_to_diffusers(p->name, key, sizeof key));
        else
            snprintf(key, sizeof key, "%s", p->name);
        if (!(e->name = strdup(key))) return error_set(ERR_DEVICE, "out of memory");
        e->type = format->type;
        e->ndim = p->ndim;
        memcpy(e->shape, p->shape, sizeof p->shape);
        e->count = p->count;
        e->bytes = p->count * safetensors_type_bytes(format->type);
        save->params[(*count)++] = p;
    }
    return OK;
}

int weights_save(const char *folder, const char *base, const struct param_table *table,
                 const struct weights_source *source, enum weights_part part, const struct weights_format *format) {
    if (format->type > ST_BF16) return error_set(ERR_USAGE, "weights are written as F32, BF16 or F16");
    struct safetensors_entry *entries = calloc((size_t)table->count + 1, sizeof *entries);
    const struct param **params = calloc((size_t)table->count + 1, sizeof *params);
    struct save save = {.table = table, .source = source, .params = params, .entries = entries};
    int count = 0, code = entries && params ? OK : error_set(ERR_DEVICE, "out of memory");
    if (!code) code = list_entries(&save, entries, &count, part, format);
    if (!code) code = shards_write(folder, base, entries, count, format->shard_bytes, give_bytes, &save);
    for (int i = 0; i < count; i++) free(entries[i].name);
    free(entries);
    free(params);
    return code;
}

static int give_host(void *self, const struct param *p, size_t from, size_t count, float *values) {
    const struct weights_host *host = self;
    memcpy(values, host->values + param_position(host->table, p) + from, count * sizeof *values);
    return OK;
}

struct weights_source weights_from_host(struct weights_host *host) {
    return (struct weights_source){give_host, host};
}
