/* shard.c: see shard.h. */
#include "model/params/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

/* ---- the process ---- */

int sharding_open(struct sharding *a, struct comm *comm, int ranks, int zero) {
    memset(a, 0, sizeof *a);
    a->comm = comm && comm->size > 1 ? comm : NULL;
    a->ranks = ranks;
    a->rank = a->comm ? comm->rank : 0;
    a->zero = ranks > 1 ? zero : 0;
    a->together = 1;
    a->counts = calloc((size_t)ranks, sizeof *a->counts);
    return a->counts ? OK : error_set(ERR_DEVICE, "sharding: out of host memory");
}

void sharding_close(struct sharding *a) {
    free(a->counts);
    memset(a, 0, sizeof *a);
}

int sharding_divide(const struct sharding *a, struct param_table *table) {
    param_table_divide(table, a && a->ranks ? a->ranks : 1);
    return OK;
}

static int failed(struct sharding *a, int code) {
    if (code && !a->code) {
        a->code = code;
        snprintf(a->text, sizeof a->text, "%s", error_text());
    }
    return code;
}

int sharding_status(const struct sharding *a) { return a && a->code ? error_set(a->code, "%s", a->text) : OK; }

int sharding_add(struct sharding *a, real *values, long n) {
    if (!a || !a->comm) return OK;
    if (!sharding_speaks(a)) mem_zero(values, (size_t)n * sizeof *values);
    comm_at(a->comm, a->comm->step, "figures", -1);
    return comm_all_reduce(a->comm, values, n);
}

/* Counts for a collective to which every rank contributes `each` elements or bytes. */
static const long *counts_of(struct sharding *a, size_t each) {
    for (int r = 0; r < a->ranks; r++) a->counts[r] = (long)each;
    return a->counts;
}

int sharding_collect(struct sharding *a, void *all, const void *own, size_t bytes) {
    if (!a->comm) return OK;
    comm_at(a->comm, a->comm->step, "pieces", -1);
    return comm_all_gather(a->comm, all, own, counts_of(a, bytes));
}

void sharding_layout(struct sharding *a, struct arena *arena) {
    if (a->lora.slice) lora_buffers_layout(&a->lora, arena);
    for (int i = 0; i < SHARD_GATHERED && a->zero == 3; i++)
        a->gathered[i] =
            (struct shard_buffer){.memory = ARENA_TAKE(arena, "gathered slices of weights", elem, a->largest)};
    for (int i = 0; i < SHARD_REDUCED && a->zero >= 2 && a->largest_grad; i++)
        a->reduced[i] =
            (struct shard_buffer){.memory = ARENA_TAKE(arena, "slices of gradients", real, a->largest_grad)};
}

/* ---- a network ---- */

/* Number of pieces that weights, gradients and optimiser state are cut into; 1: a rank holds them whole. */
static int ranks_of(const struct sharded *s) { return s->all && s->all->ranks ? s->all->ranks : 1; }
static int parts_from(const struct sharded *s, int zero) { return s->all && s->all->zero >= zero ? ranks_of(s) : 1; }
static int weight_parts(const struct sharded *s) { return parts_from(s, 3); }
static int grad_parts(const struct sharded *s) { return parts_from(s, 2); }
static int state_parts(const struct sharded *s) { return parts_from(s, 1); }

static size_t slice_size(const struct sharded *s, int slice) { return param_slice_size(s->table, slice); }

static struct shard_piece piece_of(const struct sharded *s, int slice, int parts) {
    size_t count = slice_size(s, slice) / (size_t)parts;
    return (struct shard_piece){.at = s->table->slice_offset[slice] / (size_t)parts,
                                .from = parts > 1 ? (size_t)s->all->rank * count : 0,
                                .count = count};
}

struct shard_piece shard_piece(const struct sharded *s, int slice) {
    return piece_of(s, slice, state_parts(s));
}
struct shard_piece shard_weight_piece(const struct sharded *s, int slice) {
    return piece_of(s, slice, weight_parts(s));
}
size_t shard_pieces(const struct sharded *s) { return s->table->total / (size_t)state_parts(s); }

elem *shard_weights(const struct sharded *s, int slice) {
    if (weight_parts(s) > 1) return s->weights + piece_of(s, slice, weight_parts(s)).at;
    return s->weights + s->table->slice_offset[slice] + shard_piece(s, slice).from;
}

real *shard_grads(const struct sharded *s, int slice) {
    if (grad_parts(s) > 1) return s->grads + piece_of(s, slice, grad_parts(s)).at;
    return s->grads + s->table->slice_offset[slice] + shard_piece(s, slice).from;
}

real *shard_scratch(struct sharded *s, int slice) {
    s->cleared = 0;
    return grad_parts(s) > 1 ? s->all->reduced[0].memory : s->grads + s->table->slice_offset[slice];
}

static int open_tables(struct sharded *s) {
    size_t n = (size_t)s->table->slices;
    shard_free(s);
    s->weights_pending = calloc(n, 1);
    s->grads_reduced = calloc(n, 1);
    s->weights_ticket = calloc(n, sizeof *s->weights_ticket);
    s->grads_ticket = calloc(n, sizeof *s->grads_ticket);
    s->next[0] = calloc(2 * n, sizeof *s->next[0]);
    if (!s->weights_pending || !s->grads_reduced || !s->weights_ticket || !s->grads_ticket || !s->next[0])
        return error_set(ERR_DEVICE, "sharding: out of host memory");
    s->next[1] = s->next[0] + n;
    for (size_t i = 0; i < n; i++) {
        s->next[0][i] = (int)i - 1;
        s->next[1][i] = (int)i + 1;
    }
    s->rising = 1;
    return OK;
}

static void *take(struct arena *arena, const char *network, const char *what, size_t bytes) {
    char name[64];
    snprintf(name, sizeof name, "%s: %s", network, what);
    return arena_take(arena, name, bytes);
}

/* Takes room for copies of weights in the order that products like, which products of at least `rows_least` rows read.
   Only for weights that a rank holds whole. */
static void take_copies(struct sharded *s, const char *network, struct arena *arena, long rows_least) {
    long n = (long)s->table->total, room = packed_room(n);
    if (weight_parts(s) > 1 || !room) return;
    elem *copies = take(arena, network, "weights for products", (size_t)room * sizeof *copies);
    if (copies) packed_open(copies, s->weights, n, rows_least);
}

static int layout_weights(struct sharded *s, const char *network, const struct param_table *table,
                          struct sharding *shards, struct arena *arena) {
    s->all = shards;
    s->table = table;
    s->grads = NULL;
    TRY(open_tables(s));
    size_t largest = param_largest_slice(table, 0);
    if (shards && largest > shards->largest) shards->largest = largest;
    s->weights = take(arena, network, "weights", table->total / (size_t)weight_parts(s) * sizeof(elem));
    return OK;
}

/* Frozen weights are copied once, so the copy pays for products of any size. */
int shard_layout_frozen(struct sharded *s, const char *network, const struct param_table *table,
                        struct sharding *shards, struct arena *arena) {
    TRY(layout_weights(s, network, table, shards, arena));
    take_copies(s, network, arena, 0);
    return OK;
}

int shard_layout(struct sharded *s, const char *network, const struct param_table *table, struct sharding *shards,
                 struct arena *arena) {
    enum { ROWS_LEAST = 512 }; /* rows; a copy lasts one update, and smaller products do not earn it back */
    TRY(layout_weights(s, network, table, shards, arena));
    take_copies(s, network, arena, ROWS_LEAST);
    size_t largest = param_largest_slice(table, 0);
    if (shards && largest > shards->largest_grad) shards->largest_grad = largest;
    s->grads = take(arena, network, "gradients", table->total / (size_t)grad_parts(s) * sizeof(real));
    return OK;
}

void shard_free(struct sharded *s) {
    free(s->weights_pending);
    free(s->grads_reduced);
    free(s->weights_ticket);
    free(s->grads_ticket);
    free(s->next[0]);
    s->weights_pending = s->grads_reduced = NULL;
    s->weights_ticket = s->grads_ticket = NULL;
    s->next[0] = s->next[1] = NULL;
}

/* ---- weights ---- */

static void gather(struct sharded *s, int slice, elem *whole, const elem *own, comm_ticket *ticket) {
    struct sharding *a = s->all;
    size_t bytes = slice_size(s, slice) / (size_t)a->ranks * sizeof(elem);
    comm_at(a->comm, a->comm->step, "weights of slice", slice);
    failed(a, comm_start_all_gather(a->comm, whole, own, counts_of(a, bytes), ticket));
}

static void wait_weights(struct sharded *s, int slice) {
    if (!s->weights_pending[slice]) return;
    s->weights_pending[slice] = 0;
    failed(s->all, comm_wait(s->all->comm, s->weights_ticket[slice]));
    packed_renew(s->weights + s->table->slice_offset[slice], (long)(slice_size(s, slice) * sizeof(elem)));
}

static struct shard_buffer *find_gathered(const struct sharded *s, int slice) {
    for (int i = 0; i < SHARD_GATHERED; i++)
        if (s->all->gathered[i].of == s && s->all->gathered[i].slice == slice) return &s->all->gathered[i];
    return NULL;
}

/* Starts to gather a slice into the free buffer that was used least recently. */
static struct shard_buffer *start_gathering(struct sharded *s, int slice) {
    struct sharding *a = s->all;
    struct shard_buffer *b = NULL;
    for (int i = 0; i < SHARD_GATHERED; i++)
        if (!a->gathered[i].held && (!b || a->gathered[i].used < b->used)) b = &a->gathered[i];
    if (!b) {
        device_fail("sharding: %d slices of weights are in use, slice %d finds no buffer", SHARD_GATHERED, slice);
        return NULL;
    }
    if (b->pending) failed(a, comm_wait(a->comm, b->ticket));
    b->of = s;
    b->slice = slice;
    b->pending = 1;
    b->used = ++a->clock;
    gather(s, slice, b->memory, s->weights + piece_of(s, slice, a->ranks).at, &b->ticket);
    return b;
}

/* Remembers which slice was acquired after which, and returns the one that is likely to be next (-1: none). */
static int predict(struct sharded *s, int slice) {
    if (slice != s->last) {
        s->next[s->rising][s->last] = slice;
        s->rising = slice > s->last;
    } else
        s->rising = !s->rising; /* the same slice twice: a forward ended where its backward begins */
    s->last = slice;
    int next = s->next[s->rising][slice];
    return next >= 0 && next < s->table->slices && slice_size(s, next) ? next : -1;
}

static const elem *shard_acquire(void *of, int slice) {
    struct sharded *s = of;
    if (weight_parts(s) == 1) {
        wait_weights(s, slice);
        return s->weights + s->table->slice_offset[slice];
    }
    struct shard_buffer *b = find_gathered(s, slice);
    if (!b) b = start_gathering(s, slice);
    if (!b) return s->weights;
    if (b->pending) failed(s->all, comm_wait(s->all->comm, b->ticket));
    b->pending = 0;
    b->held++;
    b->used = ++s->all->clock;
    int next = predict(s, slice);
    if (next >= 0 && !find_gathered(s, next)) start_gathering(s, next);
    return b->memory;
}

static void shard_release(void *of, int slice) {
    struct sharded *s = of;
    if (weight_parts(s) == 1) return;
    struct shard_buffer *b = find_gathered(s, slice);
    if (b && b->held) b->held--;
}

void shard_publish(struct sharded *s, int first_slice) {
    if (weight_parts(s) > 1) {
        for (int i = 0; i < SHARD_GATHERED; i++)
            if (s->all->gathered[i].of == s) s->all->gathered[i].of = NULL;
        return;
    }
    if (state_parts(s) == 1) return;
    for (int i = first_slice; i < s->table->slices; i++) {
        if (!slice_size(s, i)) continue; /* adapters need not be in every slice */
        gather(s, i, s->weights + s->table->slice_offset[i], shard_weights(s, i), &s->weights_ticket[i]);
        s->weights_pending[i] = 1;
    }
}

void shard_settle(struct sharded *s) {
    for (int i = 0; i < s->table->slices; i++) wait_weights(s, i);
    for (int i = 0; s->all && i < SHARD_GATHERED; i++) {
        struct shard_buffer *b = &s->all->gathered[i];
        if (b->of != s) continue;
        if (b->pending) failed(s->all, comm_wait(s->all->comm, b->ticket));
        b->pending = 0;
        b->of = NULL;
    }
}

/* ---- gradients ---- */

/* Waits for a working buffer's sum and adds this rank's piece of it to the gradients kept here. */
static void take_over(struct sharding *a, struct shard_buffer *b) {
    if (!b->of) return;
    struct shard_piece p = piece_of(b->of, b->slice, a->ranks);
    if (b->pending) failed(a, comm_wait(a->comm, b->ticket));
    real_axpby(b->of->grads + p.at, 1, (const real *)b->memory + p.from, 1, (long)p.count);
    b->of = NULL;
    b->pending = 0;
}

void shard_begin(struct sharded *s) {
    if (!s->cleared) mem_zero(s->grads, s->table->total / (size_t)grad_parts(s) * sizeof(real));
    s->cleared = 0;
    memset(s->grads_reduced, 0, (size_t)s->table->slices);
}

void shard_cleared(struct sharded *s) { s->cleared = grad_parts(s) == state_parts(s); }

static real *shard_grads_acquire(void *of, int slice) {
    struct sharded *s = of;
    if (grad_parts(s) == 1) {
        if (s->grads_reduced[slice]) device_fail("sharding: gradients of slice %d after they were reduced", slice);
        return s->grads + s->table->slice_offset[slice];
    }
    struct sharding *a = s->all;
    struct shard_buffer *b = &a->reduced[a->next_reduced];
    a->next_reduced = (a->next_reduced + 1) % SHARD_REDUCED;
    take_over(a, b);
    b->of = s;
    b->slice = slice;
    mem_zero(b->memory, slice_size(s, slice) * sizeof(real));
    return b->memory;
}

/* Starts to sum a slice's gradients over the ranks, in place. */
static void start_reducing(struct sharded *s, int slice, real *whole, int to_piece, comm_ticket *ticket) {
    struct sharding *a = s->all;
    comm_at(a->comm, a->comm->step, "gradients of slice", slice);
    if (to_piece) {
        struct shard_piece p = piece_of(s, slice, a->ranks);
        failed(a, comm_start_reduce_scatter(a->comm, whole + p.from, whole, counts_of(a, p.count), ticket));
    } else
        failed(a, comm_start_all_reduce(a->comm, whole, (long)slice_size(s, slice), ticket));
}

static void reduce_slice(struct sharded *s, int slice) {
    s->grads_reduced[slice] = 1;
    start_reducing(s, slice, s->grads + s->table->slice_offset[slice], state_parts(s) > 1, &s->grads_ticket[slice]);
}

static void shard_grads_done(void *of, int slice, int last) {
    struct sharded *s = of;
    struct sharding *a = s->all;
    if (!a || !a->comm) return;
    if (grad_parts(s) == 1) {
        if (last) reduce_slice(s, slice);
        return;
    }
    for (int i = 0; i < SHARD_REDUCED; i++) {
        struct shard_buffer *b = &a->reduced[i];
        if (b->of != s || b->slice != slice || b->pending) continue;
        start_reducing(s, slice, b->memory, 1, &b->ticket);
        b->pending = 1;
    }
}

void shard_reduce(struct sharded *s, int first_slice) {
    struct sharding *a = s->all;
    if (!a || !a->comm) return;
    for (int i = 0; i < s->table->slices; i++) wait_weights(s, i);
    if (grad_parts(s) > 1) {
        for (int i = 0; i < SHARD_REDUCED; i++) take_over(a, &a->reduced[(a->next_reduced + i) % SHARD_REDUCED]);
        return;
    }
    for (int i = s->table->slices - 1; i >= first_slice; i--)
        if (!s->grads_reduced[i] && slice_size(s, i)) reduce_slice(s, i);
    for (int i = first_slice; i < s->table->slices; i++)
        if (slice_size(s, i)) failed(a, comm_wait(a->comm, s->grads_ticket[i]));
}

/* ---- the source ---- */

static int shard_status(void *of) { return sharding_status(((struct sharded *)of)->all); }

struct params shard_frozen(struct sharded *s) {
    static const struct params_source source = {shard_acquire, shard_release, shard_grads_acquire, shard_grads_done,
                                                shard_status};
    return (struct params){.table = s->table, .weights = s->weights, .source = &source, .of = s};
}
