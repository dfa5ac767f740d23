/* conv.c: convolutions on oneDNN, channels-last throughout. The library wants weights in blocks of its own choice: they
   are put in that order at every call (weights of a training step change, and it is a small part of the work), into the
   block that kernels share (buffer.h), beside the library's scratchpad. A gradient of weights comes back in that order
   and is added to the caller's by the same kind of reordering. Primitives are kept in a table, as in gemm.c. Shapes are
   first put in their simplest form: frames that do not touch each other are samples, a kernel along time alone slides
   over a picture [t, h w]. What is left is of two dimensions or three; a kernel of one place is a linear layer. */
#include <omp.h>
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/simd.h"
#include "base/hash.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { TABLE_SLOTS = 512, TABLE_LIMIT = 384, PAGE = 64 };

struct conv_key { /* padding bytes are zero: compared and hashed as bytes */
    struct conv_shape shape;
    enum onednn_direction direction;
    int bias, threads;
    float beta;   /* FORWARD only */
    int y_floats; /* FORWARD: the result stays in floats */
    int x_floats; /* TO_INPUT: the result goes to floats, to be added */
};
struct conv_entry {
    struct conv_key key;
    int state;                           /* 0 empty, 1 ready, -1 refused by oneDNN */
    dnnl_primitive_t primitive, reorder; /* reorder NULL: the library takes the plain order */
    dnnl_memory_t x, w, b, y, plain, scratchpad;
    size_t w_bytes, scratchpad_bytes, x_bytes; /* x_bytes: size of the floats to be added, or 0 */
};
static struct {
    int used;
    struct conv_entry slots[TABLE_SLOTS];
} table; /* guarded by onednn_acquire */

/* ---- shapes ---- */

static long out_rows(const struct conv_shape *s) {
    return s->samples * conv_out(s, 0) * conv_out(s, 1) * conv_out(s, 2);
}
static int axis_plain(const struct conv_shape *s, int axis) {
    return s->kernel[axis] == 1 && s->stride[axis] == 1 && !s->before[axis] && !s->after[axis];
}
static void axis_move(struct conv_shape *s, int to, int from) {
    s->in[to] = s->in[from], s->kernel[to] = s->kernel[from], s->stride[to] = s->stride[from];
    s->before[to] = s->before[from], s->after[to] = s->after[from];
    s->in[from] = s->kernel[from] = s->stride[from] = 1, s->before[from] = s->after[from] = 0;
}

static struct conv_shape simplest(const struct conv_shape *given) {
    struct conv_shape s;
    memset(&s, 0, sizeof s);
    s.samples = given->samples, s.ci = given->ci, s.co = given->co, s.groups = given->groups;
    for (int i = 0; i < 3; i++) {
        s.in[i] = given->in[i], s.kernel[i] = given->kernel[i], s.stride[i] = given->stride[i];
        s.before[i] = given->before[i], s.after[i] = given->after[i];
    }
    if (axis_plain(&s, 0)) {
        s.samples *= s.in[0];
        s.in[0] = 1;
    } else if (axis_plain(&s, 1) && axis_plain(&s, 2)) {
        s.in[2] *= s.in[1];
        s.in[1] = 1;
        axis_move(&s, s.in[2] == 1 ? 2 : 1, 0);
    }
    return s;
}

/* 1: the convolution is a linear layer over all positions. */
static int is_linear(const struct conv_shape *s) {
    return s->groups == 1 && axis_plain(s, 0) && axis_plain(s, 1) && axis_plain(s, 2);
}

/* ---- primitives ---- */

/* Describes activations [n, c, spatial] that lie channels-last. */
static int describe_activations(dnnl_memory_desc_t *desc, long n, long c, const long *size, int axes,
                                dnnl_data_type_t type) {
    long dims[5] = {n, c}, strides[5] = {0, 1}, step = c;
    for (int i = axes - 1; i >= 0; i--) {
        dims[2 + i] = size[i], strides[2 + i] = step;
        step *= size[i];
    }
    strides[0] = step;
    return onednn_describe(desc, 2 + axes, dims, strides, type);
}

/* Describes weights [(groups,) co, ci, kernel] by the strides of the plain order [co,
   kernel, ci/groups]; returns the number of dimensions. */
static int weight_dims(const struct conv_shape *s, int axes, long dims[6], long strides[6]) {
    int grouped = s->groups > 1;
    const int *kernel = s->kernel + 3 - axes;
    long width = s->ci / s->groups, step = width, *d = dims + grouped, *t = strides + grouped;
    d[0] = s->co / s->groups, d[1] = width, t[1] = 1;
    for (int i = axes - 1; i >= 0; i--) {
        d[2 + i] = kernel[i], t[2 + i] = step;
        step *= kernel[i];
    }
    t[0] = step;
    if (grouped) dims[0] = s->groups, strides[0] = step * d[0];
    return 2 + axes + grouped;
}

enum { X, Y, W, PLAIN, BIAS, LAYOUTS };
struct layouts {
    dnnl_memory_desc_t desc[LAYOUTS];
    int made;
};
#define LAYOUT(l, which) ONEDNN_LAYOUT((l)->desc[which])

/* Makes the descriptions in the enum's order; 1: all could be made. */
static int layouts_make(struct layouts *l, const struct conv_key *key) {
    const struct conv_shape *s = &key->shape;
    int axes = s->in[0] == 1 && axis_plain(s, 0) ? 2 : 3, skip = 3 - axes;
    long out[3] = {conv_out(s, 0), conv_out(s, 1), conv_out(s, 2)}, dims[6] = {0}, strides[6] = {0}, one = 1;
    int ndims = weight_dims(s, axes, dims, strides);
    dnnl_data_type_t y_type = key->y_floats ? dnnl_f32 : ELEM_DATA;
    dnnl_data_type_t x_type = key->x_floats ? dnnl_f32 : ELEM_DATA;
    dnnl_data_type_t w_type = key->direction == ONEDNN_TO_WEIGHT ? dnnl_f32 : ELEM_DATA;
    l->made = 0;
    l->made += describe_activations(&l->desc[X], s->samples, s->ci, s->in + skip, axes, x_type);
    l->made += l->made == Y && describe_activations(&l->desc[Y], s->samples, s->co, out + skip, axes, y_type);
    l->made += l->made == W && onednn_describe_any(&l->desc[W], ndims, dims, w_type);
    l->made += l->made == PLAIN && onednn_describe(&l->desc[PLAIN], ndims, dims, strides, w_type);
    l->made += l->made == BIAS && onednn_describe(&l->desc[BIAS], 1, &s->co, &one, ELEM_DATA);
    return l->made == LAYOUTS;
}

static void layouts_forget(struct layouts *l) {
    while (l->made > 0) onednn_forget(&l->desc[--l->made]);
}

static struct onednn_window window_of(const struct conv_shape *s, int axes) {
    struct onednn_window window = {{0}, {0}, {0}};
    for (int i = 0; i < axes; i++) {
        int axis = 3 - axes + i;
        window.stride[i] = s->stride[axis];
        window.before[i] = s->before[axis];
        /* leaves out rows at the end that no output reads, because the library derives
           the output's size from the padding */
        window.after[i] = (conv_out(s, axis) - 1) * s->stride[axis] + s->kernel[axis] - s->in[axis] - s->before[axis];
    }
    return window;
}

/* Describes the operation; a backward one needs the description of its forward first. */
static int describe(dnnl_primitive_desc_t *pd, struct layouts *l, const struct conv_key *key,
                    const_dnnl_primitive_attr_t attr) {
    const struct conv_shape *s = &key->shape;
    struct onednn_window window = window_of(s, s->in[0] == 1 && axis_plain(s, 0) ? 2 : 3);
    if (key->direction == ONEDNN_FORWARD)
        return onednn_describe_convolution(pd, ONEDNN_FORWARD, LAYOUT(l, X), LAYOUT(l, W),
                                           key->bias ? LAYOUT(l, BIAS) : NULL, LAYOUT(l, Y), &window, NULL, attr);
    struct conv_key forward_key = *key;
    struct layouts forward;
    dnnl_primitive_desc_t hint = NULL;
    forward_key.direction = ONEDNN_FORWARD, forward_key.x_floats = 0;
    int ok = layouts_make(&forward, &forward_key) &&
             onednn_describe_convolution(&hint, ONEDNN_FORWARD, LAYOUT(&forward, X), LAYOUT(&forward, W), NULL,
                                         LAYOUT(&forward, Y), &window, NULL, NULL) &&
             onednn_describe_convolution(pd, key->direction, LAYOUT(l, X), LAYOUT(l, W), NULL, LAYOUT(l, Y), &window,
                                         hint, attr);
    if (hint) dnnl_primitive_desc_destroy(hint);
    layouts_forget(&forward);
    return ok;
}

/* Makes the reordering of weights from the caller's order to the library's, or, for a
   gradient, back, where it is added. */
static int make_reorder(struct conv_entry *e, onednn_layout plain, onednn_layout packed) {
    int to_weight = e->key.direction == ONEDNN_TO_WEIGHT;
    if (dnnl_memory_desc_equal(plain, packed) && !to_weight) return 1;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int ok = onednn_attributes(&attr, to_weight, dnnl_scratchpad_mode_library) &&
             dnnl_reorder_primitive_desc_create(&pd, to_weight ? packed : plain, onednn_engine(),
                                                to_weight ? plain : packed, onednn_engine(), attr) == dnnl_success &&
             dnnl_primitive_create(&e->reorder, pd) == dnnl_success;
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return ok;
}

static int primitives_make(struct conv_entry *e, struct layouts *l, dnnl_primitive_desc_t pd) {
    int to_weight = e->key.direction == ONEDNN_TO_WEIGHT;
    onednn_layout packed =
        dnnl_primitive_desc_query_md(pd, to_weight ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    onednn_layout scratchpad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    if (!packed || !scratchpad) return 0;
    e->w_bytes = dnnl_memory_desc_get_size(packed);
    e->scratchpad_bytes = dnnl_memory_desc_get_size(scratchpad);
    e->x_bytes = e->key.x_floats ? dnnl_memory_desc_get_size(LAYOUT(l, X)) : 0;
    return dnnl_primitive_create(&e->primitive, pd) == dnnl_success && make_reorder(e, LAYOUT(l, PLAIN), packed) &&
           onednn_memory(&e->x, LAYOUT(l, X)) && onednn_memory(&e->y, LAYOUT(l, Y)) && onednn_memory(&e->w, packed) &&
           onednn_memory(&e->plain, LAYOUT(l, PLAIN)) && onednn_memory(&e->b, LAYOUT(l, BIAS)) &&
           onednn_memory(&e->scratchpad, scratchpad);
}

static void entry_make(struct conv_entry *e, const struct conv_key *key) {
    struct layouts layouts;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    memcpy(&e->key, key, sizeof *key);
    int ok = layouts_make(&layouts, key) && onednn_attributes(&attr, key->beta, dnnl_scratchpad_mode_user) &&
             describe(&pd, &layouts, key, attr) && primitives_make(e, &layouts, pd);
    e->state = ok ? 1 : -1;
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    layouts_forget(&layouts);
}

static void entry_clear(struct conv_entry *e) {
    if (e->primitive) dnnl_primitive_destroy(e->primitive);
    if (e->reorder) dnnl_primitive_destroy(e->reorder);
    dnnl_memory_t memories[] = {e->x, e->w, e->b, e->y, e->plain, e->scratchpad};
    for (int i = 0; i < 6; i++)
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    memset(e, 0, sizeof *e);
}

/* ---- the table ---- */

static struct conv_entry *entry_of(const struct conv_key *key) {
    uint64_t hash = hash_bytes(HASH_START, key, sizeof *key);
    uint64_t slot = (hash ^ hash >> 29) % TABLE_SLOTS;
    while (table.slots[slot].state) {
        if (!memcmp(&table.slots[slot].key, key, sizeof *key)) return &table.slots[slot];
        slot = (slot + 1) % TABLE_SLOTS;
    }
    if (table.used == TABLE_LIMIT) {
        for (int i = 0; i < TABLE_SLOTS; i++) entry_clear(&table.slots[i]);
        table.used = 0;
        slot = (hash ^ hash >> 29) % TABLE_SLOTS;
    }
    table.used++;
    entry_make(&table.slots[slot], key);
    return &table.slots[slot];
}

static struct conv_key key_of(const struct conv_shape *s, enum onednn_direction direction) {
    struct conv_key key;
    memset(&key, 0, sizeof key);
    struct conv_shape shape = simplest(s);
    memcpy(&key.shape, &shape, sizeof shape);
    key.direction = direction, key.threads = omp_get_max_threads();
    return key;
}

/* ---- the operations ---- */

/* dx = beta dx + sum, with the sums in floats. */
static void add_sums(elem *dx, const float *sum, float beta, long n) {
#pragma omp parallel for schedule(static) if (n > PARALLEL_MIN)
    for (long i = 0; i < n; i += LANES)
        elem_store_some(dx + i, beta * elem_load_some(dx + i, n - i) + vec_load_some(sum + i, n - i), n - i);
}

/* Runs the entry with weights (or their gradient) w in the caller's order. The shared block holds the packed weights,
   the sums that are still to be added, and the scratchpad. */
static int entry_run(struct conv_entry *e, const void *x, const void *w, const void *b, const void *y, float add_beta) {
    size_t sizes[3] = {e->reorder ? e->w_bytes : 0, e->x_bytes, e->scratchpad_bytes}, total = 0;
    for (int i = 0; i < 3; i++) total += (sizes[i] + PAGE - 1) / PAGE * PAGE;
    long floats = (long)(total / sizeof(float)) + 1;
    char *block = (char *)cpu_buffer_take(1, &floats);
    if (!block) return 1; /* the failure is kept */
    char *packed = block, *sums = packed + (sizes[0] + PAGE - 1) / PAGE * PAGE;
    char *scratchpad = sums + (sizes[1] + PAGE - 1) / PAGE * PAGE;
    int to_weight = e->key.direction == ONEDNN_TO_WEIGHT, to_input = e->key.direction == ONEDNN_TO_INPUT;
    onednn_point(e->x, e->key.x_floats ? sums : x);
    onednn_point(e->y, y);
    onednn_point(e->b, b);
    onednn_point(e->plain, w);
    onednn_point(e->w, e->reorder ? packed : w);
    onednn_point(e->scratchpad, scratchpad);
    dnnl_exec_arg_t pack[] = {{DNNL_ARG_FROM, to_weight ? e->w : e->plain}, {DNNL_ARG_TO, to_weight ? e->plain : e->w}};
    dnnl_exec_arg_t run[] = {{to_input ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, e->x},
                             {to_weight ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, e->w},
                             {e->key.direction == ONEDNN_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, e->y},
                             {DNNL_ARG_SCRATCHPAD, e->scratchpad},
                             {DNNL_ARG_BIAS, e->b}};
    int ok = 1;
    if (e->reorder && !to_weight) ok = onednn_run(e->reorder, pack, 2);
    ok = ok && onednn_run(e->primitive, run, e->key.bias ? 5 : 4);
    if (to_weight) ok = ok && onednn_run(e->reorder, pack, 2);
    if (ok && e->key.x_floats)
        add_sums((elem *)(uintptr_t)x, (const float *)sums, add_beta, (long)(e->x_bytes / sizeof(float)));
    cpu_buffer_give();
    return ok;
}

static int library(const struct conv_key *key, const void *x, const void *w, const void *b, const void *y,
                   float add_beta) {
    if (!onednn_acquire()) return 0;
    struct conv_entry *e = entry_of(key);
    int done = e->state > 0 && entry_run(e, x, w, b, y, add_beta);
    onednn_release();
    return done;
}

void conv_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta) {
    KERNEL_SCOPE;
    if (is_linear(shape)) {
        linear_forward(y, x, w, b, out_rows(shape), shape->ci, shape->co, beta);
        return;
    }
    struct conv_key key = key_of(shape, ONEDNN_FORWARD);
    key.bias = b != NULL, key.beta = beta;
    if (!library(&key, x, w, b, y, 0)) device_fail("oneDNN cannot do a convolution");
}

void conv_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    KERNEL_SCOPE;
    if (is_linear(shape)) {
        linear_forward_real(y, x, w, b, out_rows(shape), shape->ci, shape->co);
        return;
    }
    struct conv_key key = key_of(shape, ONEDNN_FORWARD);
    key.bias = b != NULL, key.y_floats = 1;
    if (!library(&key, x, w, b, y, 0)) device_fail("oneDNN cannot do a convolution with a float result");
}

void conv_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    KERNEL_SCOPE;
    if (is_linear(shape)) {
        linear_backward_input(dx, dy, w, out_rows(shape), shape->ci, shape->co, beta);
        return;
    }
    struct conv_key key = key_of(shape, ONEDNN_TO_INPUT);
    key.x_floats = beta != 0;
    if (!library(&key, dx, w, NULL, dy, beta)) device_fail("oneDNN cannot do the input gradient of a convolution");
}

void conv_backward_weight(real *dw, real *db, const elem *dy, const elem *x, const struct conv_shape *shape) {
    KERNEL_SCOPE;
    if (db) linear_backward_weight(NULL, db, dy, NULL, out_rows(shape), 1, shape->co);
    if (!dw) return;
    if (is_linear(shape)) {
        linear_backward_weight(dw, NULL, dy, x, out_rows(shape), shape->ci, shape->co);
        return;
    }
    struct conv_key key = key_of(shape, ONEDNN_TO_WEIGHT);
    if (!library(&key, x, dw, NULL, dy, 0)) device_fail("oneDNN cannot do the weight gradient of a convolution");
}
