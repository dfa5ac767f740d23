/* attention.c: dense attention by tiles with online softmax (Milakov and Gimelshein 2018; Dao 2022), forward and
   backward, all arithmetic in float. No S x K buffer.
   Lanes are queries: a tile of queries is kept transposed, [D][queries], so scores, their running maximum and sum, and
   the output need no sums across lanes, and keys and values are read as they lie, one broadcast number at a time.
   All six products of forward and backward are then one routine, C [m, n] += A B with A broadcast and B, C in rows of
   vectors. Widths are padded with zeros to a multiple of 16 in the tiles.
   The forward is split over samples, heads and query tiles, the backward over samples and heads; no two tasks write the
   same number, so the bits do not depend on the threads. */
#include <omp.h>
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/buffer.h"

enum { QUERIES = 64, KEYS = 64 };

/* ---- the product ---- */

/* `rows` x `vectors` vectors of C = add C + sum over l of A (i, l) = a[i a_row + l a_col] times row l of B; add: 0 or 1. */
SIMD void product_block(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                        long k, int rows, int vectors, int add) {
    vec sum[8][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) sum[i][j] = add ? vec_load(c + i * c_row + j * LANES) : vec_set(0);
    for (long l = 0; l < k; l++) {
        vec right[2];
        for (int j = 0; j < vectors; j++) right[j] = vec_load(b + l * b_row + j * LANES);
        for (int i = 0; i < rows; i++) {
            vec left = vec_set(a[i * a_row + l * a_col]);
            for (int j = 0; j < vectors; j++) sum[i][j] += left * right[j];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) vec_store(c + i * c_row + j * LANES, sum[i][j]);
}

SIMD void product_columns(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                          long m, long k, int vectors, int add) {
    long i = 0;
    for (; i + 8 <= m; i += 8)
        product_block(c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k, 8, vectors, add);
    for (; i + 4 <= m; i += 4)
        product_block(c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k, 4, vectors, add);
    for (; i < m; i++) product_block(c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k, 1, vectors, add);
}

SIMD void product(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row, long m,
                  long n, long k, int add) {
    long j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        product_columns(c + j, c_row, a, a_row, a_col, b + j, b_row, m, k, 2, add);
    if (j < n) product_columns(c + j, c_row, a, a_row, a_col, b + j, b_row, m, k, 1, add);
}
/* C [m, n] = A [m, k] B [k, n], n a multiple of 16; rows of B and C at b_row and c_row. */
static void product_set(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                        long m, long n, long k) {
    product(c, c_row, a, a_row, a_col, b, b_row, m, n, k, 0);
}
/* C += A B */
static void product_add(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                        long m, long n, long k) {
    product(c, c_row, a, a_row, a_col, b, b_row, m, n, k, 1);
}

/* ---- packing ---- */

static long padded(long n) { return (n + LANES - 1) / LANES * LANES; }

/* rows of D numbers, `pitch` elements apart, to packed rows of the padded width. */
static void pack_rows(float *to, const elem *from, long pitch, long rows, long D, float factor) {
    long width = padded(D);
    for (long i = 0; i < rows; i++)
        for (long d = 0; d < width; d += LANES)
            vec_store(to + i * width + d, elem_load_some(from + i * pitch + d, D - d) * factor);
}

/* The same transposed, [padded D][padded rows]; rows that are not there are zero. */
static void pack_columns(float *to, const elem *from, long pitch, long rows, long D, float factor) {
    long lanes = padded(rows);
    for (long i = 0; i < lanes; i += LANES)
        for (long d = 0; d < padded(D); d += LANES) {
            vec block[LANES];
            for (long r = 0; r < LANES; r++)
                block[r] = i + r < rows ? elem_load_some(from + (i + r) * pitch + d, D - d) * factor : vec_set(0);
            vec_transpose(block);
            for (long r = 0; r < LANES; r++) vec_store(to + (d + r) * lanes + i, block[r]);
        }
}

/* Back again: [padded D][padded rows] times a factor of each row, to rows of elem. */
static void unpack_columns(elem *to, long pitch, const float *from, const float *factor, long rows, long D) {
    long lanes = padded(rows);
    for (long i = 0; i < lanes; i += LANES)
        for (long d = 0; d < padded(D); d += LANES) {
            vec block[LANES];
            for (long r = 0; r < LANES; r++) block[r] = vec_load(from + (d + r) * lanes + i) * vec_load(factor + i);
            vec_transpose(block);
            for (long r = 0; r < LANES && i + r < rows; r++) {
                elem_store_some(to + (i + r) * pitch + d, block[r], D - d);
            }
        }
}

/* Sizes and strides that every tile needs. */
struct shape {
    const struct attention_range *ranges;
    int count;
    long B, S, H, D, width; /* width: D padded */
    long queries;           /* in a full tile */
    float scale;
};
static struct shape shape_of(const struct attention_range *ranges, int count, long B, long S, long H, long D,
                             float scale) {
    /* wide heads take narrow tiles, so that a tile stays in the cache */
    long queries = D <= 64 ? QUERIES : QUERIES / 2;
    return (struct shape){ranges, count, B, S, H, D, padded(D), queries, scale};
}

static int head_fits(long D) {
    if (D <= ATTENTION_HEAD_MAX) return 1;
    device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
    return 0;
}

/* ---- forward ---- */

struct forward_tile {
    float *q, *o;     /* [width][lanes] */
    float *k, *v;     /* [KEYS][width] */
    float *p;         /* [KEYS][lanes] */
    float *max, *sum; /* [lanes] */
};
static long forward_tile_take(struct forward_tile *t, const struct shape *s, float *base) {
    float *at = base;
    t->q = at, at += s->width * s->queries;
    t->o = at, at += s->width * s->queries;
    t->k = at, at += KEYS * s->width;
    t->v = at, at += KEYS * s->width;
    t->p = at, at += KEYS * s->queries;
    t->max = at, at += s->queries;
    t->sum = at, at += s->queries;
    return at - base;
}

/* Scores of `keys` keys (in bits: base-2 exponents) become probabilities relative to the new maximum; what was summed
   so far is scaled to it. */
static void softmax_step(const struct forward_tile *t, long keys, long lanes, long width) {
    for (long j = 0; j < lanes; j += LANES) {
        vec old = vec_load(t->max + j), max = old;
        for (long i = 0; i < keys; i++) max = vec_max(vec_load(t->p + i * lanes + j), max);
        vec shrink = vec_exp2(old - max), sum = vec_load(t->sum + j) * shrink;
        for (long i = 0; i < keys; i++) {
            vec p = vec_exp2(vec_load(t->p + i * lanes + j) - max);
            vec_store(t->p + i * lanes + j, p);
            sum += p;
        }
        vec_store(t->max + j, max);
        vec_store(t->sum + j, sum);
        for (long d = 0; d < width; d++) vec_store(t->o + d * lanes + j, vec_load(t->o + d * lanes + j) * shrink);
    }
}

static void forward_tile_run(const struct shape *s, const struct forward_tile *t, elem *o, real *lse, const elem *q,
                             long b, long h, long rows) {
    long lanes = padded(rows), pitch = s->H * s->D;
    pack_columns(t->q, q, pitch, rows, s->D, s->scale * LOG2_E);
    memset(t->o, 0, sizeof(float) * (size_t)(s->width * lanes));
    for (long j = 0; j < lanes; j++) t->max[j] = -1e30f, t->sum[j] = 0;
    for (int r = 0; r < s->count; r++) {
        const struct attention_range *range = &s->ranges[r];
        for (long first = 0; first < range->length; first += KEYS) {
            long keys = range->length - first < KEYS ? range->length - first : KEYS;
            pack_rows(t->k, range->k + b * range->k_stride + first * pitch + h * s->D, pitch, keys, s->D, 1);
            pack_rows(t->v, range->v + b * range->v_stride + first * pitch + h * s->D, pitch, keys, s->D, 1);
            product_set(t->p, lanes, t->k, s->width, 1, t->q, lanes, keys, lanes, s->width);
            softmax_step(t, keys, lanes, s->width);
            product_add(t->o, lanes, t->v, 1, s->width, t->p, lanes, s->width, lanes, keys);
        }
    }
    for (long j = 0; j < rows; j++) lse[j] = t->max[j] * LN_2 + logf(t->sum[j]);
    for (long j = 0; j < lanes; j++) t->sum[j] = 1 / t->sum[j];
    unpack_columns(o, pitch, t->o, t->sum, rows, s->D);
}

void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale) {
    KERNEL_SCOPE;
    struct shape s = shape_of(ranges, count, B, S, H, D, scale);
    struct forward_tile sizes;
    long each = forward_tile_take(&sizes, &s, NULL), tiles = (S + s.queries - 1) / s.queries, tasks = B * H * tiles;
    if (!head_fits(D)) return;
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct forward_tile tile;
        forward_tile_take(&tile, &s, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 4)
        for (long task = 0; task < tasks; task++) {
            long b = task / (H * tiles), h = task / tiles % H, first = task % tiles * s.queries;
            long rows = S - first < s.queries ? S - first : s.queries, at = ((b * S + first) * H + h) * D;
            forward_tile_run(&s, &tile, o + at, lse + (b * H + h) * S + first, q + at, b, h, rows);
        }
    }
    cpu_buffer_give();
}

/* ---- backward ----
   With P = softmax and delta = sum over d of dout o:  dV = P^T dout,  dP = dout V^T,  dS = P (dP - delta) scale,
   dQ = dS K,  dK = dS^T Q. A task is one head of one sample: keys, values and their gradients are unpacked once. */

struct backward_tile {
    float *k, *v, *dk, *dv;     /* [keys of all ranges][width] */
    float *q, *dout;            /* [lanes][width], q times scale */
    float *q_t, *dout_t, *dq_t; /* [width][lanes], q in bits */
    float *p, *ds;              /* [KEYS][lanes] */
    float *lse, *delta;         /* [lanes], lse in bits */
};
static long backward_tile_take(struct backward_tile *t, const struct shape *s, float *base) {
    float *at = base;
    long keys = 0;
    for (int r = 0; r < s->count; r++) keys += s->ranges[r].length;
    float **all[] = {&t->k, &t->v, &t->dk, &t->dv}, **rows[] = {&t->q, &t->dout, &t->q_t, &t->dout_t, &t->dq_t};
    for (int i = 0; i < 4; i++) *all[i] = at, at += keys * s->width;
    for (int i = 0; i < 5; i++) *rows[i] = at, at += s->queries * s->width;
    t->p = at, at += KEYS * s->queries;
    t->ds = at, at += KEYS * s->queries;
    t->lse = at, at += s->queries;
    t->delta = at, at += s->queries;
    return at - base;
}

static int keys_wanted(const struct attention_range *r) { return r->dk || r->dk_sum || r->dv || r->dv_sum; }

/* delta [padded rows] = sums over d of dout o, sixteen rows side by side. */
static void output_dot(float *delta, const elem *dout, const elem *o, long pitch, long rows, long D) {
    for (long i = 0; i < rows; i += LANES) {
        vec part[LANES];
        for (long r = 0; r < LANES; r++) {
            part[r] = vec_set(0);
            for (long d = 0; d < D && i + r < rows; d += LANES)
                part[r] +=
                    elem_load_some(dout + (i + r) * pitch + d, D - d) * elem_load_some(o + (i + r) * pitch + d, D - d);
        }
        vec_transpose(part);
        vec sum = part[0];
        for (long r = 1; r < LANES; r++) sum += part[r];
        vec_store(delta + i, sum);
    }
}

/* p: scores in bits, ds: dP. Become P and P (dP - delta). */
static void softmax_backward(const struct backward_tile *t, long keys, long lanes) {
    for (long j = 0; j < lanes; j += LANES) {
        vec lse = vec_load(t->lse + j), delta = vec_load(t->delta + j);
        for (long i = 0; i < keys; i++) {
            vec p = vec_exp2(vec_load(t->p + i * lanes + j) - lse);
            vec_store(t->p + i * lanes + j, p);
            vec_store(t->ds + i * lanes + j, p * (vec_load(t->ds + i * lanes + j) - delta));
        }
    }
}

/* One tile of queries against all keys: adds to dk and dv, leaves dq. Pointers are at the tile's first row. */
static void backward_queries(const struct shape *s, const struct backward_tile *t, elem *dq, const elem *dout,
                             const elem *o, const real *lse, const elem *q, long rows) {
    long lanes = padded(rows), pitch = s->H * s->D, width = s->width, base = 0;
    pack_columns(t->q_t, q, pitch, rows, s->D, s->scale * LOG2_E);
    pack_columns(t->dout_t, dout, pitch, rows, s->D, 1);
    pack_rows(t->q, q, pitch, rows, s->D, s->scale);
    pack_rows(t->dout, dout, pitch, rows, s->D, 1);
    output_dot(t->delta, dout, o, pitch, rows, s->D);
    for (long j = 0; j < lanes; j++) t->lse[j] = j < rows ? lse[j] * LOG2_E : 0;
    memset(t->dq_t, 0, sizeof(float) * (size_t)(width * lanes));
    for (int r = 0; r < s->count; r++) {
        const struct attention_range *range = &s->ranges[r];
        for (long first = 0; first < range->length; first += KEYS) {
            long keys = range->length - first < KEYS ? range->length - first : KEYS, at = (base + first) * width;
            product_set(t->p, lanes, t->k + at, width, 1, t->q_t, lanes, keys, lanes, width);
            product_set(t->ds, lanes, t->v + at, width, 1, t->dout_t, lanes, keys, lanes, width);
            softmax_backward(t, keys, lanes);
            if (keys_wanted(range)) {
                product_add(t->dv + at, width, t->p, lanes, 1, t->dout, width, keys, width, rows);
                product_add(t->dk + at, width, t->ds, lanes, 1, t->q, width, keys, width, rows);
            }
            if (dq) product_add(t->dq_t, lanes, t->k + at, 1, width, t->ds, lanes, width, lanes, keys);
        }
        base += range->length;
    }
    for (long j = 0; j < lanes; j++) t->delta[j] = s->scale;
    if (dq) unpack_columns(dq, pitch, t->dq_t, t->delta, rows, s->D);
}

/* Rows of the padded width to where a range wants them: assigned to elem, added to real. NULL: not wanted. */
static void gradient_store(elem *to, real *to_sum, const float *from, long pitch, long rows, long D) {
    for (long i = 0; i < rows; i++) {
        const float *row = from + i * padded(D);
        if (to)
            for (long d = 0; d < D; d++) to[i * pitch + d] = elem_store(row[d]);
        if (to_sum)
            for (long d = 0; d < D; d++) to_sum[i * pitch + d] += row[d];
    }
}

static void backward_head(const struct shape *s, const struct backward_tile *t, elem *dq, const elem *dout,
                          const elem *o, const real *lse, const elem *q, long b, long h) {
    long pitch = s->H * s->D, base = 0;
    for (int r = 0; r < s->count; base += s->ranges[r++].length) {
        const struct attention_range *range = &s->ranges[r];
        size_t bytes = sizeof(float) * (size_t)(range->length * s->width);
        pack_rows(t->k + base * s->width, range->k + b * range->k_stride + h * s->D, pitch, range->length, s->D, 1);
        pack_rows(t->v + base * s->width, range->v + b * range->v_stride + h * s->D, pitch, range->length, s->D, 1);
        memset(t->dk + base * s->width, 0, bytes);
        memset(t->dv + base * s->width, 0, bytes);
    }
    for (long first = 0; first < s->S; first += s->queries) {
        long rows = s->S - first < s->queries ? s->S - first : s->queries, at = ((b * s->S + first) * s->H + h) * s->D;
        backward_queries(s, t, dq ? dq + at : NULL, dout + at, o + at, lse + (b * s->H + h) * s->S + first, q + at,
                         rows);
    }
    base = 0;
    for (int r = 0; r < s->count; base += s->ranges[r++].length) {
        const struct attention_range *range = &s->ranges[r];
        long packed = (b * range->length * s->H + h) * s->D, k = b * range->k_stride + h * s->D,
             v = b * range->v_stride + h * s->D;
        gradient_store(range->dk ? range->dk + packed : NULL, range->dk_sum ? range->dk_sum + k : NULL,
                       t->dk + base * s->width, pitch, range->length, s->D);
        gradient_store(range->dv ? range->dv + packed : NULL, range->dv_sum ? range->dv_sum + v : NULL,
                       t->dv + base * s->width, pitch, range->length, s->D);
    }
}

void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale) {
    KERNEL_SCOPE;
    struct shape s = shape_of(ranges, count, B, S, H, D, scale);
    struct backward_tile sizes;
    long each = backward_tile_take(&sizes, &s, NULL);
    if (!head_fits(D)) return;
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct backward_tile tile;
        backward_tile_take(&tile, &s, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < B * H; task++) backward_head(&s, &tile, dq, dout, o, lse, q, task / H, task % H);
    }
    cpu_buffer_give();
}
