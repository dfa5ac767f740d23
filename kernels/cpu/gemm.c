/* gemm.c: the matrix products of kernels.h on oneDNN. All oneDNN calls of the project are in this file, which copes with
   the 2.x and the 3.x C interface.
   A product is C [m, n] = beta C + A [m, k] B [k, n] + bias; a transposed operand is a matter of strides, so dx = dy w
   and dw = dy^T x copy nothing. Primitives are made once for a shape, type and thread count and kept in a table (a
   primitive fixes its partition of the work for the number of threads it was made for: same threads, same bits).
   What oneDNN refuses, and what is too small to be worth its call, runs in a plain loop. */
#include <omp.h>
#include <pthread.h>
#include <oneapi/dnnl/dnnl.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

#if defined(TYPE_BF16)
#define ELEM_DATA dnnl_bf16
#else
#define ELEM_DATA dnnl_f32
#endif

enum { CACHE_SLOTS = 1024, CACHE_LIMIT = 768, SMALL_PRODUCT = 2048 };

struct product {
    long m, n, k;
    long a_row, a_col, b_row, b_col; /* strides; C is packed */
    dnnl_data_type_t ab_type, c_type;
    float beta;
    int bias; /* 1: bias [n] of ab_type */
    int threads;
};
struct cache_entry {
    struct product key;
    int state; /* 0 empty, 1 ready, -1 refused by oneDNN */
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b, c, bias;
};
static struct {
    pthread_mutex_t lock; /* of all: a product holds it while it runs */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int used;
    struct cache_entry slots[CACHE_SLOTS];
} gemm = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the oneDNN interface ---- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t matrix_desc;
static int matrix_describe(matrix_desc *desc, long rows, long cols, long row_stride, long col_stride,
                           dnnl_data_type_t type) {
    dnnl_dims_t dims = {rows, cols}, strides = {row_stride, col_stride};
    return dnnl_memory_desc_create_with_strides(desc, 2, dims, type, strides) == dnnl_success;
}
static void matrix_forget(matrix_desc *desc) { dnnl_memory_desc_destroy(*desc); }
static int matrix_memory(dnnl_memory_t *memory, matrix_desc *desc) {
    return dnnl_memory_create(memory, *desc, gemm.engine, DNNL_MEMORY_NONE) == dnnl_success;
}
static int product_describe(dnnl_primitive_desc_t *pd, matrix_desc *a, matrix_desc *b, matrix_desc *bias,
                            matrix_desc *c, const_dnnl_primitive_attr_t attr) {
    return dnnl_matmul_primitive_desc_create(pd, gemm.engine, *a, *b, bias ? *bias : NULL, *c, attr) == dnnl_success;
}
static int append_sum(dnnl_post_ops_t ops, float beta) {
    return dnnl_post_ops_append_sum(ops, beta, 0, dnnl_data_type_undef) == dnnl_success;
}
#else
typedef dnnl_memory_desc_t matrix_desc;
static int matrix_describe(matrix_desc *desc, long rows, long cols, long row_stride, long col_stride,
                           dnnl_data_type_t type) {
    dnnl_dims_t dims = {rows, cols}, strides = {row_stride, col_stride};
    return dnnl_memory_desc_init_by_strides(desc, 2, dims, type, strides) == dnnl_success;
}
static void matrix_forget(matrix_desc *desc) { (void)desc; }
static int matrix_memory(dnnl_memory_t *memory, matrix_desc *desc) {
    return dnnl_memory_create(memory, desc, gemm.engine, DNNL_MEMORY_NONE) == dnnl_success;
}
static int product_describe(dnnl_primitive_desc_t *pd, matrix_desc *a, matrix_desc *b, matrix_desc *bias,
                            matrix_desc *c, const_dnnl_primitive_attr_t attr) {
    dnnl_matmul_desc_t desc;
    return dnnl_matmul_desc_init(&desc, a, b, bias, c) == dnnl_success &&
           dnnl_primitive_desc_create(pd, &desc, attr, gemm.engine, NULL) == dnnl_success;
}
static int append_sum(dnnl_post_ops_t ops, float beta) { return dnnl_post_ops_append_sum(ops, beta) == dnnl_success; }
#endif

static int engine_start(void) {
    if (gemm.stream) return 1;
    if (!gemm.engine && dnnl_engine_create(&gemm.engine, dnnl_cpu, 0) != dnnl_success) return 0;
    return dnnl_stream_create(&gemm.stream, gemm.engine, dnnl_stream_default_flags) == dnnl_success;
}

static int primitive_make(struct cache_entry *e, matrix_desc *a, matrix_desc *b, matrix_desc *bias, matrix_desc *c) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_desc_t pd = NULL;
    int ok = dnnl_primitive_attr_create(&attr) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success;
    if (ok && e->key.beta != 0)
        ok = append_sum(ops, e->key.beta) && dnnl_primitive_attr_set_post_ops(attr, ops) == dnnl_success;
    ok = ok && product_describe(&pd, a, b, bias, c, attr) && dnnl_primitive_create(&e->primitive, pd) == dnnl_success;
    ok = ok && matrix_memory(&e->a, a) && matrix_memory(&e->b, b) && matrix_memory(&e->c, c);
    ok = ok && (!bias || matrix_memory(&e->bias, bias));
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (ops) dnnl_post_ops_destroy(ops);
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

static void entry_make(struct cache_entry *e, const struct product *p) {
    matrix_desc a, b, c, bias;
    memcpy(&e->key, p, sizeof *p);
    e->state = -1;
    if (!engine_start()) return;
    int a_made = matrix_describe(&a, p->m, p->k, p->a_row, p->a_col, p->ab_type);
    int b_made = matrix_describe(&b, p->k, p->n, p->b_row, p->b_col, p->ab_type);
    int c_made = matrix_describe(&c, p->m, p->n, p->n, 1, p->c_type);
    int bias_made = p->bias && matrix_describe(&bias, 1, p->n, p->n, 1, p->ab_type);
    if (a_made && b_made && c_made && bias_made == p->bias && primitive_make(e, &a, &b, p->bias ? &bias : NULL, &c))
        e->state = 1;
    if (a_made) matrix_forget(&a);
    if (b_made) matrix_forget(&b);
    if (c_made) matrix_forget(&c);
    if (bias_made) matrix_forget(&bias);
}

/* ---- the table ---- */

static uint64_t product_hash(const struct product *p) {
    uint64_t h = 1469598103934665603u;
    const unsigned char *bytes = (const unsigned char *)p;
    for (size_t i = 0; i < sizeof *p; i++) h = (h ^ bytes[i]) * 1099511628211u;
    return h ^ h >> 29;
}

/* The entry of a product (its padding bytes are zero: product_start). A full table is emptied: programs use some
   dozens of shapes. */
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
    /* oneDNN takes all operands as void *, but writes only the destination */
    dnnl_memory_set_data_handle(e->a, (void *)(uintptr_t)a);
    dnnl_memory_set_data_handle(e->b, (void *)(uintptr_t)b);
    dnnl_memory_set_data_handle(e->c, c);
    if (e->bias) dnnl_memory_set_data_handle(e->bias, (void *)(uintptr_t)bias);
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, e->a}, {DNNL_ARG_WEIGHTS, e->b}, {DNNL_ARG_DST, e->c}, {DNNL_ARG_BIAS, e->bias}};
    return dnnl_primitive_execute(e->primitive, gemm.stream, e->bias ? 4 : 3, args) == dnnl_success;
}

static void product_run(struct product *p, void *c, const void *a, const void *b, const void *bias) {
    if (p->m <= 0 || p->n <= 0) return;
    p->bias = bias != NULL;
    int done = 0;
    if (p->m * p->n * p->k > SMALL_PRODUCT) {
        pthread_mutex_lock(&gemm.lock);
        done = product_library(p, c, a, b, bias);
        pthread_mutex_unlock(&gemm.lock);
    }
    if (!done) product_loop(p, c, a, b, bias);
}

/* ---- linear layers ---- */

void linear_forward(elem *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta) {
    KERNEL_SCOPE;
    struct product p = product_start(n, dout, din, 0, 1, ELEM_DATA, ELEM_DATA, beta);
    product_run(&p, y, x, w, b);
}

void linear_forward_real(real *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    KERNEL_SCOPE;
    struct product p = product_start(n, dout, din, 0, 1, ELEM_DATA, dnnl_f32, 0);
    product_run(&p, y, x, w, b);
}

void linear_gelu_forward(elem *y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    linear_forward(pre, x, w, b, n, din, dout, 0);
    gelu_forward(y, pre, n * dout);
}

void linear_backward_input(elem *dx, const elem *dy, const elem *w, long n, long din, long dout, real beta) {
    KERNEL_SCOPE;
    struct product p = product_start(n, din, dout, 0, 0, ELEM_DATA, ELEM_DATA, beta);
    product_run(&p, dx, dy, w, NULL);
}

void linear_gelu_backward_input(elem *dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout) {
    linear_backward_input(dx, dy, w, n, din, dout, 0);
    gelu_backward(dx, dx, pre, n * din);
}

/* Column sums of dy [n, dout], columns first .. first + 63, added to db: four interleaved sums down the rows. */
static void column_sums(real *db, const elem *dy, long n, long dout) {
    enum { VECTORS = 4, SUMS = 4 };
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
    enum { WIDTH = 64 };
#pragma omp parallel for schedule(static)
    for (long first = 0; first < dout; first += WIDTH) {
        if (dout - first >= WIDTH) {
            column_sums(db + first, dy + first, n, dout);
        } else {
            float sum[WIDTH] = {0};
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
