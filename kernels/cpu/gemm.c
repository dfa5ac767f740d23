/* gemm.c: the matrix products of kernels.h on oneDNN (onednn.h).
   A product is C [m, n] = beta C + A [m, k] B [k, n] + bias; a transposed operand is a matter of strides, so dx = dy w
   and dw = dy^T x copy nothing. Primitives are made once for a shape, type and thread count and kept in a table (a
   primitive fixes its partition of the work for the number of threads it was made for: same threads, same bits).
   What oneDNN refuses, and what is too small to be worth its call, runs in a plain loop. */
#include <omp.h>
#include "base/hash.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/packed.h"
#include "kernels/cpu/simd.h"

enum { CACHE_SLOTS = 1024, CACHE_LIMIT = 768, SMALL_PRODUCT = 2048 };

struct product {
    long m, n, k;
    long a_row, a_col, b_row, b_col; /* strides; C is packed */
    dnnl_data_type_t ab_type, c_type;
    float beta;
    int bias;   /* 1: bias [n] of ab_type */
    int packed; /* 1: B is a copy in the library's layout (packed.h) */
    int threads;
};
struct cache_entry {
    struct product key;
    int state; /* 0 empty, 1 ready, -1 refused by oneDNN */
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, bias;
};
static struct {
    int used;
    struct cache_entry slots[CACHE_SLOTS];
} gemm; /* guarded by onednn_acquire */

static int primitive_make(struct cache_entry *e, onednn_layout a, onednn_layout b, onednn_layout bias,
                          onednn_layout c) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int ok = onednn_attributes(&attr, e->key.beta, dnnl_scratchpad_mode_library);
    ok = ok && onednn_describe_matmul(&pd, a, b, bias, c, attr);
    ok = ok &&
         !(e->key.packed &&
           onednn_is_reference(pd)); /* the library's reference code is slow: reading the weight as it is is better */
    ok = ok && dnnl_primitive_create(&e->primitive, pd) == dnnl_success;
    ok = ok && onednn_memory(&e->a, a) && onednn_memory(&e->b, b) && onednn_memory(&e->c, c);
    ok = ok && (!bias || onednn_memory(&e->bias, bias));
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (attr) dnnl_primitive_attr_destroy(attr);
    return ok;
}

static void entry_clear(struct cache_entry *e) {
    if (e->primitive) dnnl_primitive_destroy(e->primitive);
    if (e->a) dnnl_memory_destroy(e->a);
    if (e->b) dnnl_memory_destroy(e->b);
    if (e->c) dnnl_memory_destroy(e->c);
    if (e->bias) dnnl_memory_destroy(e->bias);
    memset(e, 0, sizeof *e);
}

static int matrix_describe(dnnl_memory_desc_t *desc, long rows, long cols, long row_stride, long col_stride,
                           dnnl_data_type_t type) {
    return onednn_describe(desc, 2, (long[]){rows, cols}, (long[]){row_stride, col_stride}, type);
}

static struct packed_form form_of(const struct product *p) {
    return (struct packed_form){.k = p->k, .n = p->n, .transposed = p->b_row == 1};
}

static int describe_b(dnnl_memory_desc_t *desc, const struct product *p) {
    struct packed_form form = form_of(p);
    if (p->packed) return onednn_keep(desc, ONEDNN_LAYOUT(*packed_layout(&form)));
    return matrix_describe(desc, p->k, p->n, p->b_row, p->b_col, p->ab_type);
}

static void entry_make(struct cache_entry *e, const struct product *p) {
    dnnl_memory_desc_t a, b, c, bias;
    memcpy(&e->key, p, sizeof *p);
    e->state = -1;
    int a_made = matrix_describe(&a, p->m, p->k, p->a_row, p->a_col, p->ab_type);
    int b_made = describe_b(&b, p);
    int c_made = matrix_describe(&c, p->m, p->n, p->n, 1, p->c_type);
    int bias_made = p->bias && matrix_describe(&bias, 1, p->n, p->n, 1, p->ab_type);
    if (a_made && b_made && c_made && bias_made == p->bias &&
        primitive_make(e, ONEDNN_LAYOUT(a), ONEDNN_LAYOUT(b), p->bias ? ONEDNN_LAYOUT(bias) : NULL, ONEDNN_LAYOUT(c)))
        e->state = 1;
    if (a_made) onednn_forget(&a);
    if (b_made) onednn_forget(&b);
    if (c_made) onednn_forget(&c);
    if (bias_made) onednn_forget(&bias);
}

/* ---- the table ---- */

static uint64_t product_hash(const struct product *p) {
    uint64_t h = hash_bytes(HASH_START, p, sizeof *p);
    return h ^ h >> 29;
}

/* Finds or makes the entry of a product, whose padding bytes are zero (product_start). A full table is emptied;
   programs use some dozens of shapes. */
static struct cache_entry *entry_of(const struct product *p) {
    uint64_t slot = product_hash(p) % CACHE_SLOTS;
    while (gemm.slots[slot].state) {
        if (!memcmp(&gemm.slots[slot].key, p, sizeof *p)) return &gemm.slots[slot];
        slot = (slot + 1) % CACHE_SLOTS;
    }
    if (gemm.used == CACHE_LIMIT) {
        for (int i = 0; i < CACHE_SLOTS; i++) entry_clear(&gemm.slots[i]);
        gemm.used = 0;
        slot = product_hash(p) % CACHE_SLOTS;
    }
    gemm.used++;
    entry_make(&gemm.slots[slot], p);
    return &gemm.slots[slot];
}

static struct product product_start(long m, long n, long k, int a_transposed, int b_transposed,
                                    dnnl_data_type_t ab_type, dnnl_data_type_t c_type, float beta) {
    struct product p;
    memset(&p, 0, sizeof p);
    p.m = m, p.n = n, p.k = k;
    p.a_row = a_transposed ? 1 : k, p.a_col = a_transposed ? m : 1;
    p.b_row = b_transposed ? 1 : n, p.b_col = b_transposed ? k : 1;
    p.ab_type = ab_type, p.c_type = c_type, p.beta = beta;
    p.threads = omp_get_max_threads();
    return p;
}

static float load(const void *p, long i, dnnl_data_type_t type) {
    return type == dnnl_f32 ? ((const float *)p)[i] : elem_load(((const elem *)p)[i]);
}

static void product_loop(const struct product *p, void *c, const void *a, const void *b, const void *bias) {
    for (long i = 0; i < p->m; i++)
        for (long j = 0; j < p->n; j++) {
            float s = bias ? load(bias, j, p->ab_type) : 0;
            if (p->beta != 0) s += p->beta * load(c, i * p->n + j, p->c_type);
            for (long l = 0; l < p->k; l++)
                s +=
                    load(a, i * p->a_row + l * p->a_col, p->ab_type) * load(b, l * p->b_row + j * p->b_col, p->ab_type);
            if (p->c_type == dnnl_f32)
                ((float *)c)[i * p->n + j] = s;
            else
                ((elem *)c)[i * p->n + j] = elem_store(s);
        }
}

static int product_library(const struct product *p, void *c, const void *a, const void *b, const void *bias) {
    struct cache_entry *e = entry_of(p);
    if (e->state < 0) return 0;
    onednn_point(e->a, a);
    onednn_point(e->b, b);
    onednn_point(e->c, c);
    if (e->bias) onednn_point(e->bias, bias);
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, e->a}, {DNNL_ARG_WEIGHTS, e->b}, {DNNL_ARG_DST, e->c}, {DNNL_ARG_BIAS, e->bias}};
    return onednn_run(e->primitive, args, e->bias ? 4 : 3);
}

/* Runs a product with a copy of the weight that is made for it alone. */
static int product_repacked(const struct product *p, void *c, const void *a, const elem *b, const void *bias) {
    struct packed_form form = form_of(p);
    long each = p->k * p->n;
    elem *room = (elem *)cpu_buffer_take(1, &each);
    if (!room) return 0;
    int done = packed_into(room, b, &form) && product_library(p, c, a, room, bias);
    cpu_buffer_give();
    return done;
}

/* Runs a product with the weight b in the library's layout, where that is wanted and the library takes it. */
static int product_packed(const struct product *p, void *c, const void *a, const elem *b, const void *bias) {
    struct packed_form form = form_of(p);
    struct product with_copy = *p;
    with_copy.packed = 1;
    if (!packed_wanted(b, &form, p->m) || entry_of(&with_copy)->state < 0) return 0;
    const elem *copy = packed_copy(b, &form);
    if (copy) return product_library(&with_copy, c, a, copy, bias);
    return product_repacked(&with_copy, c, a, b, bias);
}

static int is_small(const struct product *p) { return p->m * p->n * p->k <= SMALL_PRODUCT; }

static void product_run(struct product *p, void *c, const void *a, const void *b, const void *bias) {
    if (p->m <= 0 || p->n <= 0) return;
    p->bias = bias != NULL;
    int done = 0;
    if (!is_small(p) && onednn_acquire()) {
        done = product_library(p, c, a, b, bias);
        onednn_release();
    }
    if (!done) product_loop(p, c, a, b, bias);
}

static void product_with_weight(struct product *p, void *c, const void *a, const elem *w, const void *bias) {
    p->bias = bias != NULL;
    int done = 0;
    if (!is_small(p) && onednn_acquire()) {
        done = product_packed(p, c, a, w, bias);
        onednn_release();
    }
    if (!done) product_run(p, c, a, w, bias);
}

int product_of_int8(int32_t *c, const int8_t *a, const int8_t *b, long m, long k, long n) {
    struct product p = product_start(m, n, k, 0, 1, dnnl_s8, dnnl_s32, 0);
    if (!onednn_acquire()) return 0;
    int done = product_library(&p, c, a, b, NULL);
    onednn_release();
    return done;
}

/* ---- linear layers ---- */

void linear_forward(elem *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta) {
    KERNEL_SCOPE;
    struct product p = product_start(n, dout, din, 0, 1, ELEM_DATA, ELEM_DATA, beta);
    product_with_weight(&p, y, x, w, b);
}

void linear_parts_forward(elem *y, const elem *x, const elem *w, const elem *b, long parts, long y_stride, long n,
                          long din, long dout) {
    for (long i = 0; i < parts; i++)
        linear_forward(y + i * y_stride, x, w + i * dout * din, b + i * dout, n, din, dout, 0);
}

void linear_forward_real(real *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    KERNEL_SCOPE;
    struct product p = product_start(n, dout, din, 0, 1, ELEM_DATA, dnnl_f32, 0);
    product_with_weight(&p, y, x, w, b);
}

void linear_gelu_forward(elem *y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    elem *sum = pre ? pre : y;
    linear_forward(sum, x, w, b, n, din, dout, 0);
    gelu_forward(y, sum, n * dout);
}

void linear_backward_input(elem *dx, const elem *dy, const elem *w, long n, long din, long dout, real beta) {
    KERNEL_SCOPE;
    struct product p = product_start(n, din, dout, 0, 0, ELEM_DATA, ELEM_DATA, beta);
    product_with_weight(&p, dx, dy, w, NULL);
}

void linear_gelu_backward_input(elem *dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout) {
    linear_backward_input(dx, dy, w, n, din, dout, 0);
    gelu_backward(dx, dx, pre, n * din);
}

/* Columns of dy [n, dout] that are summed together, in four interleaved sums down the rows. */
enum { BIAS_WIDTH = 4 * LANES };
static void column_sums(real *db, const elem *dy, long n, long dout) {
    enum { VECTORS = BIAS_WIDTH / LANES, SUMS = 4 };
    vec sum[SUMS][VECTORS] = {0};
    long i = 0;
    for (; i + SUMS <= n; i += SUMS)
        for (int s = 0; s < SUMS; s++)
            for (int j = 0; j < VECTORS; j++) sum[s][j] += elem_load_vec(dy + (i + s) * dout + j * LANES);
    for (; i < n; i++)
        for (int j = 0; j < VECTORS; j++) sum[0][j] += elem_load_vec(dy + i * dout + j * LANES);
    for (int j = 0; j < VECTORS; j++)
        vec_store(db + j * LANES, vec_load(db + j * LANES) + ((sum[0][j] + sum[1][j]) + (sum[2][j] + sum[3][j])));
}

static void bias_gradient(real *db, const elem *dy, long n, long dout) {
#pragma omp parallel for schedule(static)
    for (long first = 0; first < dout; first += BIAS_WIDTH) {
        if (dout - first >= BIAS_WIDTH) {
            column_sums(db + first, dy + first, n, dout);
        } else {
            float sum[BIAS_WIDTH] = {0};
            for (long i = 0; i < n; i++)
                for (long j = first; j < dout; j++) sum[j - first] += elem_load(dy[i * dout + j]);
            for (long j = first; j < dout; j++) db[j] += sum[j - first];
        }
    }
}

void linear_backward_weight(real *dw, real *db, const elem *dy, const elem *x, long n, long din, long dout) {
    KERNEL_SCOPE;
    struct product p = product_start(dout, din, n, 1, 0, ELEM_DATA, dnnl_f32, 1);
    if (dw) product_run(&p, dw, dy, x, NULL);
    if (db) bias_gradient(db, dy, n, dout);
}

/* ---- real ---- */

void matmul_real(real *c, const real *a, const real *b, long m, long k, long n) {
    KERNEL_SCOPE;
    struct product p = product_start(m, n, k, 0, 0, dnnl_f32, dnnl_f32, 0);
    product_run(&p, c, a, b, NULL);
}

void matmul_real_nt(real *c, const real *a, const real *b, long m, long k, long n) {
    KERNEL_SCOPE;
    struct product p = product_start(m, n, k, 0, 1, dnnl_f32, dnnl_f32, 0);
    product_run(&p, c, a, b, NULL);
}

void matmul_real_tn(real *c, const real *a, const real *b, long m, long k, long n) {
    KERNEL_SCOPE;
    struct product p = product_start(m, n, k, 1, 0, dnnl_f32, dnnl_f32, 0);
    product_run(&p, c, a, b, NULL);
}
