/* attention.c: dense attention by tiles with online softmax (Milakov and Gimelshein 2018; Dao 2022), forward and
   backward. No S x K buffer. Products are those of tile.h: of floats, or of bf16 with sums in float, the probabilities
   and their gradients rounded to it; softmax and its statistics are always float.
   Lanes are queries: a tile of queries is kept transposed, so scores [keys][queries], their running maximum and sum,
   and the output [D][queries] need no sums across lanes.
   A few keys have a kernel of their own (attention_few.c), which this file calls.
   The forward is split over samples, heads and query tiles, the backward over samples and heads; no two tasks write the
   same number, so the bits do not depend on the threads. */
#include <math.h>
#include <omp.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/attention_few.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/tile.h"

enum { QUERIES = 64, KEYS = 64 };

/* Sizes and strides that every tile needs. */
struct shape {
    const struct attention_range *ranges;
    int count;
    long B, S, H, D, width; /* width: D, padded */
    long queries;           /* queries of a full tile */
    float scale, bits;      /* bits: scale in units of base-2 exponents */
};
static struct shape shape_of(const struct attention_range *ranges, int count, long B, long S, long H, long D,
                             float scale) {
    /* wide heads take narrow tiles, so that a tile stays in the cache */
    long queries = D <= 64 ? QUERIES : QUERIES / 2;
    return (struct shape){ranges, count, B, S, H, D, padded(D), queries, scale, scale * LOG2_E};
}

static int head_fits(long D) {
    if (D <= ATTENTION_HEAD_MAX) return 1;
    device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
    return 0;
}

/* ---- forward ---- */

/* Tiles of queries that one task takes side by side, so that keys and values are packed once for all of them. */
enum { GROUP = 4 };

struct forward_tile {
    float *q, *o;     /* columns, in cells and in floats */
    float *k, *v;     /* rows, pairs */
    float *s, *p;     /* scores [KEYS][lanes]; probabilities, pairs; the same memory where cells are floats */
    float *max, *sum; /* [lanes], max in bits */
};
/* The memory of GROUP tiles, which share what only one of them needs at a time. */
static long forward_tiles_take(struct forward_tile t[GROUP], const struct shape *s, float *base) {
    float *at = base;
    struct forward_tile shared = {0};
    shared.k = at, at += KEYS * s->width;
    shared.v = at, at += KEYS * s->width;
    shared.s = shared.p = at, at += KEYS * s->queries;
    if (CELL > 1) shared.p = at, at += KEYS * s->queries;
    for (int i = 0; i < GROUP; i++) {
        t[i] = shared;
        t[i].q = at, at += s->width * s->queries;
        t[i].o = at, at += s->width * s->queries;
        t[i].max = at, at += s->queries;
        t[i].sum = at, at += s->queries;
    }
    return at - base;
}

/* Turns the scores of `keys` keys into probabilities relative to the new maximum, and scales the sums so far to it. */
static void softmax_step(const struct shape *s, const struct forward_tile *t, long keys, long lanes) {
    for (long j = 0; j < lanes; j += LANES) {
        vec old = vec_load(t->max + j), max = old;
        for (long i = 0; i < keys; i++) max = vec_max(vec_load(t->s + i * lanes + j) * s->bits, max);
        vec shrink = vec_exp2(old - max), sum = vec_load(t->sum + j) * shrink;
        for (long i = 0; i < keys; i += CELL) {
            vec p[CELL];
            for (long c = 0; c < CELL; c++) {
                p[c] = i + c < keys ? vec_exp2(vec_load(t->s + (i + c) * lanes + j) * s->bits - max) : vec_set(0);
                sum += p[c];
            }
            vec_store(t->p + i / CELL * lanes + j, cell_join(p));
        }
        vec_store(t->max + j, max);
        vec_store(t->sum + j, sum);
        for (long d = 0; d < s->width; d++) vec_store(t->o + d * lanes + j, vec_load(t->o + d * lanes + j) * shrink);
    }
}

static void forward_begin(const struct shape *s, const struct forward_tile *t, const elem *q, long rows) {
    long lanes = padded(rows);
    pack_columns(t->q, q, s->H * s->D, rows, s->D);
    memset(t->o, 0, sizeof(float) * (size_t)(s->width * lanes));
    for (long j = 0; j < lanes; j++) t->max[j] = -1e30f, t->sum[j] = 0;
}

/* Takes a tile's queries against the keys and values that are packed. */
static void forward_keys(const struct shape *s, const struct forward_tile *t, long keys, long rows) {
    long lanes = padded(rows), width = s->width;
    product_set(t->s, lanes, t->k, width / CELL, 1, t->q, lanes, keys, lanes, width / CELL);
    softmax_step(s, t, keys, lanes);
    product_add(t->o, lanes, t->v, 1, width, t->p, lanes, width, lanes, cells(keys));
}

static void forward_end(const struct shape *s, const struct forward_tile *t, elem *o, real *lse, long rows) {
    for (long j = 0; j < rows; j++) lse[j] = t->max[j] * LN_2 + logf(t->sum[j]);
    for (long j = 0; j < padded(rows); j++) t->sum[j] = 1 / t->sum[j];
    unpack_columns(o, s->H * s->D, t->o, t->sum, rows, s->D);
}

/* Number of queries in the tile that begins at `first` of `all`; 0: there is none. */
static long tile_rows(const struct shape *s, long first, long all) {
    long rows = all - first < s->queries ? all - first : s->queries;
    return rows > 0 ? rows : 0;
}

/* Computes the queries of a group's tiles; pointers are at the first of `all` rows. */
static void forward_group(const struct shape *s, const struct forward_tile t[GROUP], elem *o, real *lse, const elem *q,
                          long b, long h, long all) {
    long pitch = s->H * s->D, tile = s->queries;
    for (int i = 0; i * tile < all; i++) forward_begin(s, &t[i], q + i * tile * pitch, tile_rows(s, i * tile, all));
    for (int r = 0; r < s->count; r++) {
        const struct attention_range *range = &s->ranges[r];
        for (long first = 0; first < range->length; first += KEYS) {
            long keys = range->length - first < KEYS ? range->length - first : KEYS;
            pack_rows(t->k, range->k + b * range->k_stride + first * pitch + h * s->D, pitch, keys, s->D);
            pack_pairs(t->v, range->v + b * range->v_stride + first * pitch + h * s->D, pitch, keys, s->D);
            for (int i = 0; i * tile < all; i++) forward_keys(s, &t[i], keys, tile_rows(s, i * tile, all));
        }
    }
    for (int i = 0; i * tile < all; i++)
        forward_end(s, &t[i], o + i * tile * pitch, lse + i * tile, tile_rows(s, i * tile, all));
}

/* Number of tiles in a group, such that every thread has some groups; it changes no number. */
static long tiles_of_group(long tiles, long others) {
    enum { TASKS = 3 };
    long most = others * tiles / (TASKS * omp_get_max_threads());
    most = most < tiles ? most : tiles;
    return most < 1 ? 1 : most < GROUP ? most : GROUP;
}

void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale) {
    KERNEL_SCOPE;
    struct shape s = shape_of(ranges, count, B, S, H, D, scale);
    struct forward_tile sizes[GROUP];
    long each = forward_tiles_take(sizes, &s, NULL), tiles = (S + s.queries - 1) / s.queries;
    long step = tiles_of_group(tiles, B * H) * s.queries, groups = (S + step - 1) / step;
    if (!head_fits(D)) return;
    if (attention_is_few(ranges, count)) {
        attention_few_forward(o, lse, q, ranges, count, B, S, H, D, scale);
        return;
    }
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct forward_tile group[GROUP];
        forward_tiles_take(group, &s, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < B * H * groups; task++) {
            long b = task / (H * groups), h = task / groups % H, first = task % groups * step;
            long rows = S - first < step ? S - first : step, at = ((b * S + first) * H + h) * D;
            forward_group(&s, group, o + at, lse + (b * H + h) * S + first, q + at, b, h, rows);
        }
    }
    cpu_buffer_give();
}

/* ---- backward ----
   With P = softmax and delta = sum over d of dout o:  dV = P^T dout,  dP = dout V^T,  dS = P (dP - delta),
   dQ = scale dS K,  dK = scale dS^T Q. A task is one head of one sample: its keys and values are packed once. */

struct backward_tile {
    float *k, *k_pairs, *v, *dk, *dv; /* all ranges' keys, each range padded to cells; k, v: rows; dk, dv: floats */
    float *q, *dout;                  /* a tile of queries and of dout, in pairs */
    float *q_t, *dout_t, *dq_t;       /* columns, in cells, cells and floats */
    float *s, *dp;                    /* [KEYS][lanes] floats, which become P and dS: */
    number *p_rows, *ds_rows;         /* [KEYS][lanes] */
    float *ds_pairs;                  /* [KEYS / CELL][lanes]; all three in place where cells are floats */
    float *lse, *delta;               /* [lanes], lse in bits */
};
static long backward_tile_take(struct backward_tile *t, const struct shape *s, float *base) {
    float *at = base;
    long keys = 0, tile = KEYS * s->queries;
    for (int r = 0; r < s->count; r++) keys += cells(s->ranges[r].length) * CELL;
    float **all[] = {&t->k, &t->v, &t->dk, &t->dv}, **rows[] = {&t->q, &t->dout, &t->q_t, &t->dout_t, &t->dq_t};
    for (int i = 0; i < 4; i++) *all[i] = at, at += keys * s->width;
    for (int i = 0; i < 5; i++) *rows[i] = at, at += s->queries * s->width;
    t->s = at, at += tile;
    t->dp = t->ds_pairs = at, at += tile;
    t->k_pairs = t->k;
    if (CELL > 1) {
        t->k_pairs = at, at += keys * s->width / CELL;
        t->ds_pairs = at, at += tile / CELL;
        t->p_rows = (number *)(void *)at, at += tile / CELL;
        t->ds_rows = (number *)(void *)at, at += tile / CELL;
    } else {
        t->p_rows = (number *)(void *)t->s;
        t->ds_rows = (number *)(void *)t->dp;
    }
    t->lse = at, at += s->queries;
    t->delta = at, at += s->queries;
    return at - base;
}

static int keys_wanted(const struct attention_range *r) { return r->dk || r->dk_sum || r->dv || r->dv_sum; }

/* delta [padded rows] = sums over d of dout o, LANES rows side by side. */
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

/* Turns s and dp into P and dS. */
static void softmax_backward(const struct shape *s, const struct backward_tile *t, long keys, long lanes) {
    for (long j = 0; j < lanes; j += LANES) {
        vec lse = vec_load(t->lse + j), delta = vec_load(t->delta + j);
        for (long i = 0; i < keys; i += CELL) {
            vec ds[CELL];
            for (long c = 0; c < CELL; c++) {
                long at = (i + c) * lanes + j;
                ds[c] = vec_set(0);
                if (i + c >= keys) break;
                vec p = vec_exp2(vec_load(t->s + at) * s->bits - lse);
                ds[c] = p * (vec_load(t->dp + at) - delta);
                number_store(t->p_rows + at, p);
                if (CELL > 1) number_store(t->ds_rows + at, ds[c]);
            }
            vec_store(t->ds_pairs + i / CELL * lanes + j, cell_join(ds));
        }
    }
}

/* Takes one tile of queries against all keys: adds to dk and dv, and assigns dq. Pointers
   are at the tile's first row. */
static void backward_queries(const struct shape *s, const struct backward_tile *t, elem *dq, const elem *dout,
                             const elem *o, const real *lse, const elem *q, long rows) {
    long lanes = padded(rows), pitch = s->H * s->D, width = s->width, base = 0;
    const float *p = (const float *)(const void *)t->p_rows, *ds = (const float *)(const void *)t->ds_rows;
    pack_columns(t->q_t, q, pitch, rows, s->D);
    pack_columns(t->dout_t, dout, pitch, rows, s->D);
    pack_pairs(t->q, q, pitch, rows, s->D);
    pack_pairs(t->dout, dout, pitch, rows, s->D);
    output_dot(t->delta, dout, o, pitch, rows, s->D);
    for (long j = 0; j < lanes; j++) t->lse[j] = j < rows ? lse[j] * LOG2_E : 0;
    memset(t->dq_t, 0, sizeof(float) * (size_t)(width * lanes));
    for (int r = 0; r < s->count; r++) {
        const struct attention_range *range = &s->ranges[r];
        for (long first = 0; first < range->length; first += KEYS) {
            long keys = range->length - first < KEYS ? range->length - first : KEYS, at = (base + first) * width;
            product_set(t->s, lanes, t->k + at / CELL, width / CELL, 1, t->q_t, lanes, keys, lanes, width / CELL);
            product_set(t->dp, lanes, t->v + at / CELL, width / CELL, 1, t->dout_t, lanes, keys, lanes, width / CELL);
            softmax_backward(s, t, keys, lanes);
            if (keys_wanted(range)) {
                product_add(t->dv + at, width, p, lanes / CELL, 1, t->dout, width, keys, width, cells(rows));
                product_add(t->dk + at, width, ds, lanes / CELL, 1, t->q, width, keys, width, cells(rows));
            }
            if (dq)
                product_add(t->dq_t, lanes, t->k_pairs + at / CELL, 1, width, t->ds_pairs, lanes, width, lanes,
                            cells(keys));
        }
        base += cells(range->length) * CELL;
    }
    for (long j = 0; j < lanes; j++) t->delta[j] = s->scale;
    if (dq) unpack_columns(dq, pitch, t->dq_t, t->delta, rows, s->D);
}

static void backward_head(const struct shape *s, const struct backward_tile *t, elem *dq, const elem *dout,
                          const elem *o, const real *lse, const elem *q, long b, long h) {
    long pitch = s->H * s->D, base = 0;
    for (int r = 0; r < s->count; base += cells(s->ranges[r++].length) * CELL) {
        const struct attention_range *range = &s->ranges[r];
        const elem *k = range->k + b * range->k_stride + h * s->D, *v = range->v + b * range->v_stride + h * s->D;
        size_t bytes = sizeof(float) * (size_t)(range->length * s->width);
        pack_rows(t->k + base * s->width / CELL, k, pitch, range->length, s->D);
        pack_rows(t->v + base * s->width / CELL, v, pitch, range->length, s->D);
        if (CELL > 1) pack_pairs(t->k_pairs + base * s->width / CELL, k, pitch, range->length, s->D);
        memset(t->dk + base * s->width, 0, bytes);
        memset(t->dv + base * s->width, 0, bytes);
    }
    for (long first = 0; first < s->S; first += s->queries) {
        long rows = s->S - first < s->queries ? s->S - first : s->queries, at = ((b * s->S + first) * s->H + h) * s->D;
        backward_queries(s, t, dq ? dq + at : NULL, dout + at, o + at, lse + (b * s->H + h) * s->S + first, q + at,
                         rows);
    }
    base = 0;
    for (int r = 0; r < s->count; base += cells(s->ranges[r++].length) * CELL) {
        const struct attention_range *range = &s->ranges[r];
        long packed = (b * range->length * s->H + h) * s->D, k = b * range->k_stride + h * s->D,
             v = b * range->v_stride + h * s->D;
        unpack_gradient(range->dk ? range->dk + packed : NULL, range->dk_sum ? range->dk_sum + k : NULL,
                        t->dk + base * s->width, s->scale, pitch, range->length, s->D);
        unpack_gradient(range->dv ? range->dv + packed : NULL, range->dv_sum ? range->dv_sum + v : NULL,
                        t->dv + base * s->width, 1, pitch, range->length, s->D);
    }
}

void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale) {
    KERNEL_SCOPE;
    struct shape s = shape_of(ranges, count, B, S, H, D, scale);
    struct backward_tile sizes;
    long each = backward_tile_take(&sizes, &s, NULL);
    if (!head_fits(D)) return;
    if (attention_is_few(ranges, count)) {
        attention_few_backward(dq, dout, o, lse, q, ranges, count, B, S, H, D, scale);
        return;
    }
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
