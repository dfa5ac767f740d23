/* packed.c: see packed.h. A range of weights has room for copies of the same size, one of each kind that pays;
   the copy of the weight at `offset` is at `offset` of its kind's room. Weights become known when products ask
   for them. A copy is made when a product first wants it and again when the weight was written since. The layout
   depends on the weight's sizes alone, never on the rows: it is what the library chooses for LAYOUT_ROWS. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu/packed.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

/* Limits within which a copy pays (docs/cpu.md has the figures). Products in bf16 want pairs of rows interleaved, in
   both directions, which the library would otherwise do in every call. Products in float want a weight that is not
   transposed, and dx has that anyway. */
enum {
    COPIES_FORWARD = 1,
    COPIES_TO_INPUT = ELEM_DATA == dnnl_bf16,
    COPIES = COPIES_FORWARD + COPIES_TO_INPUT,
    ALWAYS = ELEM_DATA == dnnl_f32, /* 1: even where there is no room for a copy, and for any number of rows */
};
enum { RANGES_MAX = 32, LAYOUTS_MAX = 128, LAYOUT_ROWS = 256 };

struct copy {
    const elem *w;
    struct packed_form form;
    int fresh;
};
struct range {
    const elem *weights; /* NULL: closed */
    elem *room;
    long n, rows_least;
    struct copy *copies;
    int count, capacity;
};
struct layout {
    struct packed_form form;
    int usable;
    dnnl_memory_desc_t plain, packed;
    dnnl_primitive_t reorder;
    dnnl_memory_t from, to;
};
static struct {
    pthread_mutex_t lock; /* guards the ranges; layouts are guarded by onednn_acquire */
    int ranges, layouts;
    struct range range[RANGES_MAX];
    struct layout layout[LAYOUTS_MAX];
} packed = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- ranges ---- */

long packed_room(long n) { return COPIES * n; }

long packed_lent(long n) { return ALWAYS ? n : 0; }

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_bytes && y < x + a_bytes;
}

static int touches(const struct range *r, const void *memory, long bytes) {
    return r->weights && overlap(r->weights, (size_t)r->n * sizeof(elem), memory, (size_t)bytes);
}

static void close_range(struct range *r) {
    free(r->copies);
    *r = (struct range){0};
}

static void close_ranges(const void *memory, long bytes) {
    for (int i = 0; i < packed.ranges; i++) {
        struct range *r = &packed.range[i];
        if (touches(r, memory, bytes) ||
            (r->weights && overlap(r->room, (size_t)packed_room(r->n) * sizeof(elem), memory, (size_t)bytes)))
            close_range(r);
    }
}

void packed_close(const void *memory, long bytes) {
    pthread_mutex_lock(&packed.lock);
    close_ranges(memory, bytes);
    pthread_mutex_unlock(&packed.lock);
}

void packed_open(elem *room, const elem *weights, long n, long rows_least) {
    int i = 0;
    pthread_mutex_lock(&packed.lock);
    close_ranges(weights, n * (long)sizeof *weights);
    while (i < packed.ranges && packed.range[i].weights) i++;
    if (i < RANGES_MAX) {
        packed.range[i] = (struct range){.weights = weights, .room = room, .n = n, .rows_least = rows_least};
        if (i == packed.ranges) packed.ranges++;
    }
    pthread_mutex_unlock(&packed.lock);
}

static size_t weight_bytes(const struct packed_form *f) { return (size_t)(f->k * f->n) * sizeof(elem); }

void packed_renew(const void *memory, long bytes) {
    pthread_mutex_lock(&packed.lock);
    for (int i = 0; i < packed.ranges; i++) {
        struct range *r = &packed.range[i];
        if (!touches(r, memory, bytes)) continue;
        for (int c = 0; c < r->count; c++)
            if (overlap(r->copies[c].w, weight_bytes(&r->copies[c].form), memory, (size_t)bytes))
                r->copies[c].fresh = 0;
    }
    pthread_mutex_unlock(&packed.lock);
}

/* ---- layouts ---- */

static int same_form(const struct packed_form *a, const struct packed_form *b) {
    return a->k == b->k && a->n == b->n && a->transposed == b->transposed;
}

static int describe_plain(dnnl_memory_desc_t *desc, const struct packed_form *f) {
    return onednn_describe(desc, 2, (long[]){f->k, f->n}, (long[]){f->transposed ? 1 : f->n, f->transposed ? f->k : 1},
                           ELEM_DATA);
}

/* Asks the library which layout it chooses for the second operand. */
static int choose_layout(struct layout *l) {
    const long k = l->form.k, n = l->form.n;
    dnnl_memory_desc_t x, any, y;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int ok = 0, made[3] = {onednn_describe(&x, 2, (long[]){LAYOUT_ROWS, k}, (long[]){k, 1}, ELEM_DATA),
                           onednn_describe_any(&any, 2, (long[]){k, n}, ELEM_DATA),
                           onednn_describe(&y, 2, (long[]){LAYOUT_ROWS, n}, (long[]){n, 1}, ELEM_DATA)};
    if (made[0] && made[1] && made[2] && onednn_attributes(&attr, 0, dnnl_scratchpad_mode_library) &&
        onednn_describe_matmul(&pd, ONEDNN_LAYOUT(x), ONEDNN_LAYOUT(any), NULL, ONEDNN_LAYOUT(y), attr))
        ok = onednn_keep(&l->packed, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0));
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    if (made[0]) onednn_forget(&x);
    if (made[1]) onednn_forget(&any);
    if (made[2]) onednn_forget(&y);
    return ok;
}

static int make_reorder(struct layout *l) {
    dnnl_primitive_desc_t pd = NULL;
    int ok = dnnl_reorder_primitive_desc_create(&pd, ONEDNN_LAYOUT(l->plain), onednn_engine(), ONEDNN_LAYOUT(l->packed),
                                                onednn_engine(), NULL) == dnnl_success &&
             dnnl_primitive_create(&l->reorder, pd) == dnnl_success &&
             onednn_memory(&l->from, ONEDNN_LAYOUT(l->plain)) && onednn_memory(&l->to, ONEDNN_LAYOUT(l->packed));
    if (pd) dnnl_primitive_desc_destroy(pd);
    return ok;
}

/* Finds the layout of a form, or makes it and keeps it; programs use some dozens. NULL: the table is full. */
static struct layout *layout_of(const struct packed_form *form) {
    int i = 0;
    while (i < packed.layouts && !same_form(&packed.layout[i].form, form)) i++;
    if (i == LAYOUTS_MAX) return NULL;
    struct layout *l = &packed.layout[i];
    if (i < packed.layouts) return l;
    packed.layouts++;
    l->form = *form;
    l->usable = describe_plain(&l->plain, form) && choose_layout(l) &&
                dnnl_memory_desc_get_size(ONEDNN_LAYOUT(l->packed)) == weight_bytes(form) &&
                !onednn_same(ONEDNN_LAYOUT(l->plain), ONEDNN_LAYOUT(l->packed)) && make_reorder(l);
    return l;
}

const dnnl_memory_desc_t *packed_layout(const struct packed_form *form) {
    struct layout *l = layout_of(form);
    return l && l->usable ? &l->packed : NULL;
}

/* ---- copies ---- */

static struct range *range_of(const elem *w, const struct packed_form *f) {
    for (int i = 0; i < packed.ranges; i++) {
        struct range *r = &packed.range[i];
        if (r->weights && w >= r->weights && w + f->k * f->n <= r->weights + r->n) return r;
    }
    return NULL;
}

/* 1: the weight is larger than the second cache and the product has many rows: transposing costs as much as it saves.
   Sizes alone decide, so that bits do not depend on where the weight lies. */
static int too_large(const struct packed_form *form, long rows) {
    enum { MANY_ROWS = 256, IN_CACHE = 1 << 18 };
    return ELEM_DATA == dnnl_f32 && rows >= MANY_ROWS && form->k * form->n > IN_CACHE;
}

int packed_wanted(const elem *w, const struct packed_form *form, long rows) {
    if (!(form->transposed ? COPIES_FORWARD : COPIES_TO_INPUT) || too_large(form, rows)) return 0;
    pthread_mutex_lock(&packed.lock);
    struct range *r = range_of(w, form);
    int wanted = ALWAYS || (r && rows >= r->rows_least);
    pthread_mutex_unlock(&packed.lock);
    return wanted && packed_layout(form) != NULL;
}

static struct copy *copy_of(struct range *r, const elem *w, const struct packed_form *form) {
    for (int i = 0; i < r->count; i++)
        if (r->copies[i].w == w && same_form(&r->copies[i].form, form)) return &r->copies[i];
    if (r->count == r->capacity) {
        int capacity = 2 * r->capacity + 64;
        struct copy *more = realloc(r->copies, (size_t)capacity * sizeof *more);
        if (!more) return NULL;
        r->copies = more, r->capacity = capacity;
    }
    r->copies[r->count] = (struct copy){.w = w, .form = *form};
    return &r->copies[r->count++];
}

static int pack(struct layout *l, elem *to, const elem *w) {
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, l->from}, {DNNL_ARG_TO, l->to}};
    onednn_point(l->from, w);
    onednn_point(l->to, to);
    return onednn_run(l->reorder, args, 2);
}

int packed_into(elem *to, const elem *w, const struct packed_form *form) {
    struct layout *l = layout_of(form);
    return l && l->usable && pack(l, to, w);
}

#ifdef GUARD
/* Checks that a copy marked as fresh still equals the weight: code that writes weights has to say so (packed_renew). */
static void check_fresh(struct layout *l, const elem *copy, const elem *w) {
    elem *again = aligned_alloc(64, (weight_bytes(&l->form) + 63) / 64 * 64);
    if (again && pack(l, again, w) && memcmp(again, copy, weight_bytes(&l->form)) != 0)
        device_fail("a weight [%ld, %ld] was written, and its copy for products was not renewed", l->form.n, l->form.k);
    free(again);
}
#else
#define check_fresh(layout, copy, w) ((void)0)
#endif

const elem *packed_copy(const elem *w, const struct packed_form *form) {
    struct layout *l = layout_of(form);
    const elem *result = NULL;
    pthread_mutex_lock(&packed.lock);
    struct range *r = range_of(w, form);
    struct copy *c = r ? copy_of(r, w, form) : NULL;
    if (c && l && l->usable) {
        elem *to = r->room + (form->transposed ? 0 : r->n) + (w - r->weights);
        if (c->fresh) check_fresh(l, to, w);
        if (!c->fresh) c->fresh = pack(l, to, w);
        if (c->fresh) result = to;
    }
    pthread_mutex_unlock(&packed.lock);
    return result;
}
