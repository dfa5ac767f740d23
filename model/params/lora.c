/* lora.c: see lora.h. */
#include "model/params/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

/* ---- the table ---- */

/* Whether the name contains one of the parts that `list` has between commas. */
static int listed(const char *list, const char *name) {
    char copy[LORA_LIST], *rest = copy;
    snprintf(copy, sizeof copy, "%s", list);
    for (const char *part; (part = strtok_r(rest, ", ", &rest));)
        if (strstr(name, part)) return 1;
    return 0;
}

static int is_weight(const struct param *p) {
    size_t n = strlen(p->name);
    return p->ndim == 2 && n > 7 && !strcmp(p->name + n - 7, ".weight");
}

static void add_pair(struct param_table *table, const struct param *p, int rank) {
    char name[sizeof p->name + 16];
    int stem = (int)strlen(p->name) - 7;
    snprintf(name, sizeof name, "%.*s.lora_A.weight", stem, p->name);
    param_add(table, p->slice, name, INIT_NORMAL, 1 / sqrt(3.0 * (double)p->shape[1]), 0,
              (const long[]){rank, p->shape[1], 0});
    snprintf(name, sizeof name, "%.*s.lora_B.weight", stem, p->name);
    param_add(table, p->slice, name, INIT_ZERO, 0, 0, (const long[]){p->shape[0], rank, 0});
}

static int fill_table(struct lora *l, const struct lora_config *c) {
    int pairs = 0;
    for (int i = 0; i < l->full->count; i++) {
        const struct param *p = &l->full->list[i];
        int before = l->adapters.count;
        if ((c->first_whole_slice && p->slice >= c->first_whole_slice) || listed(c->whole, p->name)) {
            long shape[6] = {0};
            memcpy(shape, p->shape, sizeof p->shape);
            param_add(&l->adapters, p->slice, p->name, p->init, p->deviation, p->decay, shape);
        } else if (is_weight(p) && listed(c->targets, p->name)) {
            if (strlen(p->name) + 8 > sizeof p->name)
                return error_set(ERR_USAGE, "lora: the name %s is too long for an adapter's", p->name);
            add_pair(&l->adapters, p, c->rank);
            pairs++;
        }
        for (int k = before; k < l->adapters.count; k++) l->target[k] = i;
    }
    return pairs ? OK : error_set(ERR_USAGE, "lora.targets: no weight's name has a part of \"%s\"", c->targets);
}

int lora_create(struct lora *l, const struct param_table *full, const struct lora_config *c) {
    memset(l, 0, sizeof *l);
    if (c->rank < 1 || c->rank > 4096 || !(c->alpha > 0))
        return error_set(ERR_USAGE, "lora: rank %d and alpha %g, expected 1 to 4096 and above 0", c->rank, c->alpha);
    l->full = full;
    l->scale = c->alpha / c->rank;
    param_table_open(&l->adapters);
    l->target = calloc(2 * (size_t)full->count + 1, sizeof *l->target);
    if (!l->target) return error_set(ERR_DEVICE, "lora: out of host memory");
    int code = fill_table(l, c);
    if (!code) code = param_table_close(&l->adapters);
    if (code) lora_destroy(l);
    return code;
}

void lora_destroy(struct lora *l) {
    param_table_free(&l->adapters);
    free(l->target);
    l->target = NULL;
}

/* ---- working memory ---- */

void lora_buffers_need(struct lora_buffers *b, const struct lora *l) {
    size_t largest = param_largest_slice(l->full, 0);
    if (largest > b->slice) b->slice = largest;
    for (int i = 0; i < l->adapters.count; i++)
        if (l->adapters.list[i].count > b->small) b->small = l->adapters.list[i].count;
}

void lora_buffers_layout(struct lora_buffers *b, struct arena *arena) {
    for (int i = 0; i < LORA_MERGED; i++) {
        b->merged[i] = ARENA_TAKE(arena, "lora: merged slices", elem, b->slice);
        b->merged_of[i] = NULL;
        b->merged_held[i] = 0;
    }
    b->grads = ARENA_TAKE(arena, "lora: gradients of a slice", real, b->slice);
    b->a = ARENA_TAKE(arena, "lora: factors", real, b->small);
    b->b = ARENA_TAKE(arena, "lora: factors", real, b->small);
    b->product = ARENA_TAKE(arena, "lora: factors", real, b->small);
    b->scaled = ARENA_TAKE(arena, "lora: factors", elem, b->small);
}

/* ---- one slice ---- */

/* The adapters' table ends with the last slice that has adapters, so later slices have none. */
static int has_adapters(const struct lora *l, int slice) {
    return slice < l->adapters.slices && param_slice_size(&l->adapters, slice) > 0;
}

/* Whether parameter i of the adapters' table is the A of a pair, whose B is the next one. */
static int is_pair(const struct lora *l, int i) {
    return i + 1 < l->adapters.count && l->target[i] == l->target[i + 1];
}

/* w [dout, din] += scale B A */
static void merge_pair(const struct lora *l, elem *w, const struct param *a, const elem *a_values, const elem *b_values,
                       long dout) {
    struct lora_buffers *buffers = l->buffers;
    long r = a->shape[0], din = a->shape[1];
    real_from_elem(buffers->a, a_values, r * din);
    real_axpby(buffers->a, 0, buffers->a, (real)l->scale, r * din);
    elem_from_real(buffers->scaled, buffers->a, r * din);
    linear_backward_input(w, b_values, buffers->scaled, dout, din, r, 1);
}

void lora_merge(const struct lora *l, int slice, elem *to) {
    size_t bytes = param_slice_size(l->full, slice) * sizeof(elem);
    if (slice < l->base.table->slices) {
        mem_copy(to, params_acquire(&l->base, slice), bytes);
        params_release(&l->base, slice);
    } else
        mem_zero(to, bytes); /* slices that are trained whole have padding too */
    if (!has_adapters(l, slice)) return;
    const elem *own = params_acquire(&l->own, slice);
    for (int i = 0; i < l->adapters.count; i++) {
        const struct param *p = &l->adapters.list[i], *whole = &l->full->list[l->target[i]];
        if (p->slice != slice) continue;
        if (is_pair(l, i)) {
            merge_pair(l, to + whole->offset, p, own + p->offset, own + l->adapters.list[i + 1].offset,
                       whole->shape[0]);
            i++;
        } else
            mem_copy(to + whole->offset, own + p->offset, p->count * sizeof(elem));
    }
    params_release(&l->own, slice);
}

static int find_merged(const struct lora *l, int slice) {
    for (int i = 0; i < LORA_MERGED; i++)
        if (l->buffers->merged_held[i] && l->buffers->merged_of[i] == l && l->buffers->merged_slice[i] == slice)
            return i;
    return -1;
}

static const elem *lora_acquire(void *of, int slice) {
    const struct lora *l = of;
    struct lora_buffers *b = l->buffers;
    if (!has_adapters(l, slice)) return params_acquire(&l->base, slice);
    int i = find_merged(l, slice);
    if (i < 0) {
        for (i = 0; i < LORA_MERGED - 1 && b->merged_held[i]; i++) continue;
        if (b->merged_held[i]) device_fail("lora: %d slices are in use, slice %d finds no buffer", LORA_MERGED, slice);
        b->merged_of[i] = l;
        b->merged_slice[i] = slice;
        b->merged_held[i] = 0;
        lora_merge(l, slice, b->merged[i]);
    }
    b->merged_held[i]++;
    return b->merged[i];
}

static void lora_release(void *of, int slice) {
    const struct lora *l = of;
    int i = find_merged(l, slice);
    if (!has_adapters(l, slice)) params_release(&l->base, slice);
    if (i >= 0) l->buffers->merged_held[i]--;
}

/* ---- gradients ---- */

/* A slice without adapters needs gradient memory too: its backward computes what slices below it receive, such as the
   gradients of keys and modulations. */
static real *lora_grads_acquire(void *of, int slice) {
    const struct lora *l = of;
    if (slice < l->adapters.list[0].slice) return NULL;
    mem_zero(l->buffers->grads, param_slice_size(l->full, slice) * sizeof(real));
    return l->buffers->grads;
}

/* da += s B^T dw, db += s dw A^T */
static void project_pair(const struct lora *l, real *da, real *db, const real *dw, const struct param *a,
                         const elem *a_values, const elem *b_values, long dout) {
    struct lora_buffers *buffers = l->buffers;
    long r = a->shape[0], din = a->shape[1];
    real_from_elem(buffers->a, a_values, r * din);
    real_from_elem(buffers->b, b_values, dout * r);
    matmul_real_nt(buffers->product, dw, buffers->a, dout, din, r);
    real_axpby(db, (real)l->scale, buffers->product, 1, dout * r);
    matmul_real_tn(buffers->product, buffers->b, dw, r, dout, din);
    real_axpby(da, (real)l->scale, buffers->product, 1, r * din);
}

static void lora_grads_done(void *of, int slice, int last) {
    const struct lora *l = of;
    if (!has_adapters(l, slice)) return;
    struct params adapters = l->own;
    adapters.last = last;
    const elem *own = params_acquire(&adapters, slice);
    real *grads = grads_acquire(&adapters, slice);
    for (int i = 0; i < l->adapters.count; i++) {
        const struct param *p = &l->adapters.list[i], *whole = &l->full->list[l->target[i]];
        if (p->slice != slice) continue;
        const real *dw = l->buffers->grads + whole->offset;
        if (is_pair(l, i)) {
            const struct param *b = &l->adapters.list[i + 1];
            project_pair(l, grads + p->offset, grads + b->offset, dw, p, own + p->offset, own + b->offset,
                         whole->shape[0]);
            i++;
        } else
            real_axpby(grads + p->offset, 1, dw, 1, (long)p->count);
    }
    params_release(&adapters, slice);
    grads_done(&adapters, slice);
}

/* The adapters' status stands for the frozen weights too, because the same sharding divides both. */
static int lora_status(void *of) { return params_status(&((const struct lora *)of)->own); }

struct params lora_params(const struct lora *l) {
    static const struct params_source source = {lora_acquire, lora_release, lora_grads_acquire, lora_grads_done,
                                                lora_status};
    return (struct params){.table = l->full, .source = &source, .of = (void *)l};
}

/* ---- on the host ---- */

/* Works row by row, because the piece asked for may begin and end inside a row. */
static void add_product(const struct lora *l, const struct param *a, const float *a_values, const float *b_values,
                        size_t from, size_t count, float *values) {
    size_t din = (size_t)a->shape[1], done = 0;
    while (done < count) {
        size_t row = (from + done) / din, column = (from + done) % din;
        size_t n = din - column < count - done ? din - column : count - done;
        for (long k = 0; k < a->shape[0]; k++) {
            float factor = (float)l->scale * b_values[row * (size_t)a->shape[0] + (size_t)k];
            const float *line = a_values + (size_t)k * din + column;
            for (size_t j = 0; j < n; j++) values[done + j] += factor * line[j];
        }
        done += n;
    }
}

void lora_merge_values(const struct lora *l, int param, size_t from, size_t count, const float *own, float *values) {
    const struct param_table *t = &l->adapters;
    int i = 0;
    while (i < t->count && l->target[i] != param) i++;
    if (i == t->count) return;
    const float *first = own + param_position(t, &t->list[i]);
    if (is_pair(l, i))
        add_product(l, &t->list[i], first, own + param_position(t, &t->list[i + 1]), from, count, values);
    else
        memcpy(values, first + from, count * sizeof *values);
}
