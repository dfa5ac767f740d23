/* params.c: the table of a network's parameters and the hooks around its slices (params.h).
   The table is host memory; the arenas are device memory of the caller's. */
#include "model/params.h"

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
    p->offset = last && last->slice == slice ? last->offset + round_up(last->count) : 0;
    p->init = init;
    p->deviation = deviation;
    p->decay = decay;
    return p->offset;
}

int param_table_close(struct param_table *table) {
    table->slices = table->count ? table->list[table->count - 1].slice + 1 : 0;
    free(table->slice_offset);
    table->slice_offset = calloc((size_t)table->slices + 1, sizeof *table->slice_offset);
    if (table->failed || !table->slice_offset) return error_set(ERR_DEVICE, "parameter table: out of host memory");
    table->values = 0;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        table->values += p->count;
        table->slice_offset[p->slice + 1] = p->offset + round_up(p->count); /* the slice's size, so far */
    }
    for (int s = 0; s < table->slices; s++) table->slice_offset[s + 1] += table->slice_offset[s];
    table->total = table->slice_offset[table->slices];
    return OK;
}

void param_table_free(struct param_table *table) {
    free(table->list);
    free(table->slice_offset);
    memset(table, 0, sizeof *table);
}

const struct param *param_find(const struct param_table *table, const char *name) {
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->list[i].name, name) == 0) return &table->list[i];
    return NULL;
}

const elem *params_acquire(const struct params *params, int slice) {
    return params->weights + params->table->slice_offset[slice];
}

void params_release(const struct params *params, int slice) {
    (void)params;
    (void)slice;
}

real *grads_acquire(const struct params *params, int slice) {
    return params->grads ? params->grads + params->table->slice_offset[slice] : NULL;
}

void grads_done(const struct params *params, int slice) {
    (void)params;
    (void)slice;
}

void params_initialise(real *master, const struct param_table *table, uint64_t seed) {
    mem_zero(master, table->total * sizeof *master);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        real *values = master + param_position(table, p);
        if (p->init == INIT_ONE) real_fill(values, 1, (long)p->count);
        if (p->init == INIT_NORMAL) random_init(values, seed, i, (real)p->deviation, (long)p->count);
    }
}
