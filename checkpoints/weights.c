/* weights.c: see weights.h. */
#include "checkpoints/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/fault_list.h"
#include "checkpoints/names.h"
#include "kernels/device.h"
#include "model/dit/dit.h"
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

/* Type of the tensors of a quantised type. */
static enum safetensors_type stored_type(enum quantised_type type) { return type == QUANTISED_INT8 ? ST_I8 : ST_F8; }

static void scale_key(char *to, size_t size, const char *key) { snprintf(to, size, "%s.scale", key); }

/* Checks the scales of a quantised weight. */
static void check_scales(struct fault_list *faults, const struct param *p, const char *key,
                         const struct safetensors_entry *e) {
    if (!e)
        fault_add(faults, "missing %s [%ld]", key, p->shape[0]);
    else if (e->type != ST_F32 || e->ndim != 1 || e->shape[0] != p->shape[0])
        fault_add(faults, "%s is not F32 [%ld]", key, p->shape[0]);
}

static void check_tensor(struct fault_list *faults, const struct param *p, const char *key,
                         const struct safetensors_entry *e) {
    char want[96], got[96];
    fault_shape(want, sizeof want, p->ndim, p->shape);
    if (!e) {
        fault_add(faults, "missing %s %s", key, want);
        return;
    }
    const char *type = e->type == ST_OTHER ? e->dtype : safetensors_type_name(e->type);
    if (p->type && e->type != stored_type(p->type))
        fault_add(faults, "%s is of type %s, expected %s", key, type, safetensors_type_name(stored_type(p->type)));
    if (!p->type && !convertible(e)) fault_add(faults, "%s is of type %s, expected F32, BF16 or F16", key, type);
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
        if (p->type == QUANTISED_NONE) continue;
        char scales[KEY_MAX + 8];
        scale_key(scales, sizeof scales, key);
        at = shards_index(s, scales);
        check_scales(&faults, p, scales, at < 0 ? NULL : s->entries[at]);
        if (at >= 0) known[at] = 1;
    }
    for (int i = 0; i < s->count; i++)
        if (!known[i] && !checkpoint_ignores(s->entries[i]->name))
            fault_add(&faults, "surplus %s", s->entries[i]->name);
    free(known);
    int code = fault_report(&faults, "tensors do not fit");
    return code ? error_context(code, "%s", s->path) : OK;
}

static int load_tensor(const struct weights_sink *sink, const struct param *p, const struct safetensors_entry *e) {
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

/* Refuses the codes of fp8's NaNs. */
static int check_codes(const struct safetensors_entry *e) {
    const uint8_t *codes = e->data;
    for (size_t i = 0; i < e->count && e->type == ST_F8; i++)
        if ((codes[i] & 0x7f) == FP8_NAN)
            return error_set(ERR_INPUT, "%.100s: holds a value that is not finite (element %zu: nan)", e->name, i);
    return OK;
}

static int load_quantised(const struct weights_sink *sink, const struct param *p, const struct checkpoint *c) {
    const struct safetensors_entry *e = checkpoint_find(c, p->name);
    char key[KEY_MAX + 8];
    scale_key(key, sizeof key, e->name);
    const struct safetensors_entry *scale = c->shards.entries[shards_index(&c->shards, key)];
    float *scales = malloc(sizeof *scales * scale->count);
    int code = scales ? OK : error_set(ERR_DEVICE, "out of memory for scales");
    if (!code && !sink->take_quantised) code = error_set(ERR_USAGE, "%s: is quantised", e->name);
    if (!code) code = safetensors_read_float(scale, scales);
    if (!code) code = check_codes(e);
    if (!code) code = sink->take_quantised(sink->self, p, e->data, scales);
    if (!code) safetensors_forget(e, 0, e->count);
    free(scales);
    return code;
}

int weights_load_param(const struct weights_sink *sink, const struct param *p, const struct checkpoint *c) {
    return p->type ? load_quantised(sink, p, c) : load_tensor(sink, p, checkpoint_find(c, p->name));
}

int weights_load(const struct weights_sink *sink, const struct param_table *table, const struct checkpoint *c,
                 enum weights_part part) {
    TRY(weights_check(table, c, part));
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (!weights_belongs(p, part)) continue;
        int code = weights_load_param(sink, p, c);
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

void weights_put_quantised(elem *device, elem *host, const struct param *p, const void *codes, const float *scales) {
    size_t at = quantised_scales_at(p->shape[0], p->shape[1]);
    if (device) {
        mem_upload(device, codes, p->count);
        transfer_to_real((real *)(void *)((uint8_t *)device + at), scales, p->shape[0]);
    }
    if (host) {
        memcpy(host, codes, p->count);
        for (long i = 0; i < p->shape[0]; i++) ((real *)(void *)((uint8_t *)host + at))[i] = (real)scales[i];
    }
}

static int take_arena_quantised(void *self, const struct param *p, const void *codes, const float *scales) {
    const struct weights_arena *to = self;
    if (!to->weights || to->master) return error_set(ERR_USAGE, "%s: a quantised weight is not trained", p->name);
    weights_put_quantised(to->weights + param_position(to->table, p), NULL, p, codes, scales);
    return OK;
}

struct weights_sink weights_to_arena(struct weights_arena *arena) {
    return (struct weights_sink){take_arena, arena, take_arena_quantised};
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

/* What an entry of the file is made from: a parameter's values, or codes or scales of them. */
struct made_from {
    const struct param *param;
    enum { VALUES, CODES, SCALES } kind;
};
struct save {
    const struct param_table *table;
    const struct weights_source *source;
    struct made_from *from; /* [entries] */
    const struct safetensors_entry *entries;
    enum quantised_type quantised;
    float *row; /* [longest output channel], the one that was quantised last */
};

static const struct made_from *made_from(const struct save *save, const struct safetensors_entry *e) {
    return &save->from[e - save->entries];
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

/* Reads output channel `o` of a weight to save->row; returns its largest magnitude in *most. */
static int read_channel(const struct save *save, const struct param *p, size_t o, float *most) {
    const size_t din = (size_t)p->shape[1];
    *most = 0;
    for (size_t i = 0, n; i < din; i += n) {
        n = din - i < PIECE ? din - i : PIECE;
        TRY(save->source->give(save->source->self, p, o * din + i, n, save->row + i));
    }
    for (size_t i = 0; i < din; i++) {
        if (!isfinite(save->row[i]))
            return error_set(ERR_NUMERIC, "%s: holds a value that is not finite, which has no scale", p->name);
        *most = fmaxf(*most, fabsf(save->row[i]));
    }
    return OK;
}

/* Gives codes of elements from .. from + count - 1, channel by channel. */
static int give_codes(const struct save *save, const struct param *p, size_t from, size_t count, uint8_t *codes) {
    const size_t din = (size_t)p->shape[1], end = from + count;
    for (size_t o = from / din; o * din < end; o++) {
        const size_t first = o * din < from ? from : o * din, last = (o + 1) * din < end ? (o + 1) * din : end;
        float most;
        TRY(read_channel(save, p, o, &most));
        const float factor = quantised_factor(most, save->quantised);
        for (size_t i = first; i < last; i++)
            codes[i - from] = quantised_code(save->row[i - o * din] * factor, save->quantised);
    }
    return OK;
}

static int give_scales(const struct save *save, const struct param *p, size_t from, size_t count, void *bytes) {
    for (size_t i = 0; i < count; i++) {
        float most;
        TRY(read_channel(save, p, from + i, &most));
        const float scale = quantised_scale(most, save->quantised);
        memcpy((char *)bytes + 4 * i, &scale, sizeof scale);
    }
    return OK;
}

static int give_bytes(void *self, const struct safetensors_entry *e, size_t from, size_t count, void *bytes) {
    const struct save *save = self;
    const struct made_from *made = made_from(save, e);
    if (made->kind == CODES) return give_codes(save, made->param, from, count, bytes);
    if (made->kind == SCALES) return give_scales(save, made->param, from, count, bytes);
    float values[PIECE];
    size_t size = safetensors_type_bytes(e->type);
    for (size_t done = 0, n; done < count; done += n) {
        n = count - done < PIECE ? count - done : PIECE;
        TRY(save->source->give(save->source->self, made->param, from + done, n, values));
        TRY(convert(e, values, n, (char *)bytes + done * size));
    }
    return OK;
}

static int add_entry(struct save *save, struct safetensors_entry *entries, int *count, const struct made_from *made,
                     const char *key, enum safetensors_type type) {
    const struct param *p = made->param;
    struct safetensors_entry *e = &entries[*count];
    if (!(e->name = strdup(key))) return error_set(ERR_DEVICE, "out of memory");
    e->type = type;
    e->ndim = made->kind == SCALES ? 1 : p->ndim;
    memcpy(e->shape, p->shape, sizeof p->shape);
    e->count = made->kind == SCALES ? (size_t)p->shape[0] : p->count;
    e->bytes = e->count * safetensors_type_bytes(type);
    save->from[(*count)++] = *made;
    return OK;
}

static int list_entries(struct save *save, struct safetensors_entry *entries, int *count, enum weights_part part,
                        const struct weights_format *format) {
    char key[KEY_MAX], scales[KEY_MAX + 8];
    for (int i = 0; i < save->table->count; i++) {
        const struct param *p = &save->table->list[i];
        if (!weights_belongs(p, part)) continue;
        if (format->naming == NAMING_DIFFUSERS)
            TRY(names_to_diffusers(p->name, key, sizeof key));
        else
            snprintf(key, sizeof key, "%s", p->name);
        if (format->quantised == QUANTISED_NONE || !dit_param_quantises(p)) {
            TRY(add_entry(save, entries, count, &(struct made_from){p, VALUES}, key, format->type));
            continue;
        }
        scale_key(scales, sizeof scales, key);
        TRY(add_entry(save, entries, count, &(struct made_from){p, CODES}, key, stored_type(format->quantised)));
        TRY(add_entry(save, entries, count, &(struct made_from){p, SCALES}, scales, ST_F32));
    }
    return OK;
}

static size_t longest_channel(const struct param_table *table) {
    size_t longest = 1;
    for (int i = 0; i < table->count; i++)
        if (dit_param_quantises(&table->list[i]) && (size_t)table->list[i].shape[1] > longest)
            longest = (size_t)table->list[i].shape[1];
    return longest;
}

int weights_save(const char *folder, const char *base, const struct param_table *table,
                 const struct weights_source *source, enum weights_part part, const struct weights_format *format) {
    if (format->type > ST_BF16) return error_set(ERR_USAGE, "weights are written as F32, BF16 or F16");
    const size_t most = 2 * (size_t)table->count + 1;
    struct safetensors_entry *entries = calloc(most, sizeof *entries);
    struct save save = {.table = table, .source = source, .entries = entries, .quantised = format->quantised};
    save.from = calloc(most, sizeof *save.from);
    save.row = malloc(sizeof *save.row * longest_channel(table));
    int count = 0, code = entries && save.from && save.row ? OK : error_set(ERR_DEVICE, "out of memory");
    if (!code) code = list_entries(&save, entries, &count, part, format);
    if (!code) code = shards_write(folder, base, entries, count, format->shard_bytes, give_bytes, &save);
    for (int i = 0; i < count; i++) free(entries[i].name);
    free(entries);
    free(save.from);
    free(save.row);
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
