/* params.c: the table of a network's parameters and the hooks around its slices (params.h).
   The table is host memory; the arenas are device memory of the caller's. */
#include "model/params/params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { ALIGN_ELEMENTS = 32 };

static size_t round_up(size_t n) { return (n + ALIGN_ELEMENTS - 1) / ALIGN_ELEMENTS * ALIGN_ELEMENTS; }

void param_table_open(struct param_table *table) { memset(table, 0, sizeof *table); }

static int table_grow(struct param_table *table) {
    int capacity = table->capacity ? 2 * table->capacity : 64;
    struct param *list = realloc(table->list, (size_t)capacity * sizeof *list);
    if (!list) return 0;
    table->list = list;
    table->capacity = capacity;
    return 1;
}

size_t param_add(struct param_table *table, int slice, const char *name, enum param_init init, double deviation,
                 int decay, const long *shape) {
    if (table->failed || (table->count == table->capacity && !table_grow(table))) {
        table->failed = 1;
        return 0;
    }
    const struct param *last = table->count ? &table->list[table->count - 1] : NULL;
    struct param *p = &table->list[table->count++];
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "%s", name);
    p->slice = slice;
    p->count = 1;
    for (; p->ndim < 5 && shape[p->ndim]; p->ndim++) {
        p->shape[p->ndim] = shape[p->ndim];
        p->count *= (size_t)shape[p->ndim];
    }
    p->offset = last && last->slice == slice ? round_up(last->offset + param_room(last)) : 0;
    p->number = table->count - 1;
    p->init = init;
    p->deviation = deviation;
    p->decay = decay;
    return p->offset;
}

size_t param_follow(struct param_table *table, int slice, const char *name, enum param_init init, double deviation,
                    int decay, const long *shape) {
    param_add(table, slice, name, init, deviation, decay, shape);
    if (table->failed || table->count < 2) return 0;
    struct param *p = &table->list[table->count - 1];
    return p->offset = p[-1].offset + param_room(&p[-1]);
}

void param_quantise(struct param_table *table, enum quantised_type type) {
    if (!table->failed) table->list[table->count - 1].type = type;
}

size_t param_room(const struct param *p) {
    if (p->type == QUANTISED_NONE) return p->count;
    size_t bytes = quantised_scales_at(p->shape[0], p->shape[1]) + (size_t)p->shape[0] * sizeof(real);
    return round_up((bytes + sizeof(elem) - 1) / sizeof(elem));
}

void param_number(struct param_table *table, int first, const int *order, int count) {
    for (int i = 0; i < count && first + i < table->count; i++) table->list[first + i].number = first + order[i];
}

static void place_slices(struct param_table *table, size_t unit) {
    memset(table->slice_offset, 0, ((size_t)table->slices + 1) * sizeof *table->slice_offset);
    for (int i = 0; i < table->count; i++) { /* counts the slices' sizes */
        const struct param *p = &table->list[i];
        size_t size = round_up(p->offset + param_room(p));
        table->slice_offset[p->slice + 1] = (size + unit - 1) / unit * unit;
    }
    for (int s = 0; s < table->slices; s++) table->slice_offset[s + 1] += table->slice_offset[s];
    table->total = table->slice_offset[table->slices];
}

void param_table_divide(struct param_table *table, int pieces) {
    place_slices(table, (size_t)ALIGN_ELEMENTS * (size_t)pieces);
}

int param_table_close(struct param_table *table) {
    table->slices = table->count ? table->list[table->count - 1].slice + 1 : 0;
    free(table->slice_offset);
    table->slice_offset = calloc((size_t)table->slices + 1, sizeof *table->slice_offset);
    if (table->failed || !table->slice_offset) return error_set(ERR_DEVICE, "parameter table: out of host memory");
    table->values = 0;
    for (int i = 0; i < table->count; i++) table->values += table->list[i].count;
    place_slices(table, ALIGN_ELEMENTS);
    return OK;
}

void param_table_free(struct param_table *table) {
    free(table->list);
    free(table->slice_offset);
    memset(table, 0, sizeof *table);
}

size_t param_largest_slice(const struct param_table *table, int first) {
    size_t largest = 0;
    for (int s = first; s < table->slices; s++)
        if (param_slice_size(table, s) > largest) largest = param_slice_size(table, s);
    return largest;
}

const struct param *param_find(const struct param_table *table, const char *name) {
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->list[i].name, name) == 0) return &table->list[i];
    return NULL;
}

const elem *params_acquire(const struct params *params, int slice) {
    if (params->source) return params->source->acquire(params->of, slice);
    return params->weights + params->table->slice_offset[slice];
}

void params_release(const struct params *params, int slice) {
    if (params->source) params->source->release(params->of, slice);
}

real *grads_acquire(const struct params *params, int slice) {
    if (!params->grads) return NULL;
    if (params->source) return params->source->grads_acquire(params->of, slice);
    return params->grads + params->table->slice_offset[slice];
}

void grads_done(const struct params *params, int slice) {
    if (params->grads && params->source) params->source->grads_done(params->of, slice, params->last);
}

int params_status(const struct params *params) { return params->source ? params->source->status(params->of) : OK; }

void params_initialise_one(real *values, const struct param *p, uint64_t seed) {
    if (p->init == INIT_ZERO) mem_zero(values, p->count * sizeof *values);
    if (p->init == INIT_ONE) real_fill(values, 1, (long)p->count);
    if (p->init == INIT_NORMAL) random_init(values, seed, p->number, (real)p->deviation, (long)p->count);
}

void params_initialise_slice(real *values, const struct param_table *table, int slice, uint64_t seed) {
    mem_zero(values, param_slice_size(table, slice) * sizeof *values); /* padding is zero */
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (p->slice == slice) params_initialise_one(values + p->offset, p, seed);
    }
}

void params_initialise(real *master, const struct param_table *table, uint64_t seed) {
    for (int s = 0; s < table->slices; s++) params_initialise_slice(master + table->slice_offset[s], table, s, seed);
}
