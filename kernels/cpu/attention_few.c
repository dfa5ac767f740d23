/* attention_few.c: see attention_few.h. Queries go through in blocks of two vectors of lanes. A block of a head is
   copied once, in rows and in columns (transposed), and everything after that is a product of small matrices in the
   first cache (tile.h, in float) or arithmetic on a vector for each key. Heads are the inner loop, so that memory is
   read row by row: a head's part of a row is only two cache lines, too little for the processor's prefetching.
   Formulas: those of attention.c. */
#include <math.h>
#include <omp.h>
#include "kernels/cpu/attention_few.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/tile.h"
#include "kernels/device.h"

enum { BLOCK = 2 * LANES }; /* queries of a block */
enum { PIECE = 256 };       /* queries in a task of the forward */

struct few {
    const struct attention_range *ranges;
    int count;
    long S, H, D, pitch, width, keys; /* pitch: from one token to the next; width: D padded; keys: of all ranges */
    long heads;                       /* heads of a task */
    float scale;
};
/* Rows of keys and gradients of a task's heads, and what a block of one head needs. */
struct few_rows {
    float *k, *v, *dk, *dv; /* [heads][keys][width]; keys of all ranges, one after the other */
    float *q, *dout, *out;  /* [BLOCK][width]; rows past the end are zero up to a whole vector of lanes */
    float *q_t, *dout_t;    /* [width][lanes] */
    float *s, *dp;          /* [keys][lanes]: scores, then probabilities; their gradients, then those of scores */
};

int attention_is_few(const struct attention_range *ranges, int count) {
    long keys = 0;
    for (int r = 0; r < count; r++) keys += ranges[r].length;
    return keys > 0 && keys <= FEW_KEYS;
}

/* Splits the heads into tasks so that every thread has several; which heads a task has changes no number. `others`:
   tasks there are for each head. */
static long heads_of_task(long H, long others) {
    enum { TASKS = 4 };
    long groups = (TASKS * omp_get_max_threads() + others - 1) / others;
    return groups >= H ? 1 : (H + groups - 1) / groups;
}

static struct few few_of(const struct attention_range *ranges, int count, long S, long H, long D, float scale,
                         long others) {
    struct few f = {ranges, count, S, H, D, H * D, padded(D), 0, heads_of_task(H, others), scale};
    for (int r = 0; r < count; r++) f.keys += ranges[r].length;
    return f;
}

static long few_rows_take(struct few_rows *t, const struct few *f, float *base) {
    float *at = base;
    float **of_keys[] = {&t->k, &t->v, &t->dk, &t->dv}, **of_scores[] = {&t->s, &t->dp};
    float **of_block[] = {&t->q, &t->dout, &t->out, &t->q_t, &t->dout_t};
    for (int i = 0; i < 4; i++) *of_keys[i] = at, at += f->heads * f->keys * f->width;
    for (int i = 0; i < 5; i++) *of_block[i] = at, at += BLOCK * f->width;
    for (int i = 0; i < 2; i++) *of_scores[i] = at, at += BLOCK * f->keys;
    return at - base;
}

/* ---- rows between memory and the first cache ---- */

/* Asks for the same part of the row that is a block further on, which the next block, or the next sample, wants. Past
   the end of memory this does nothing. */
SIMD void fetch_ahead(const elem *row, long pitch, long D) {
    enum { LINE = 64 };
    const char *at = (const char *)row + BLOCK * pitch * (long)sizeof *row;
    for (long byte = 0; byte < D * (long)sizeof *row; byte += LINE) __builtin_prefetch(at + byte);
}

static void load_rows(float *to, const elem *from, long pitch, long rows, long D) {
    long width = padded(D), whole = D / LANES * LANES;
    for (long i = 0; i < rows; i++) {
        fetch_ahead(from + i * pitch, pitch, D);
        for (long d = 0; d < whole; d += LANES) vec_store(to + i * width + d, elem_load_vec(from + i * pitch + d));
        if (whole < width) vec_store(to + i * width + whole, elem_load_some(from + i * pitch + whole, D - whole));
    }
}

static void store_rows(elem *to, const float *from, long pitch, long rows, long D) {
    long width = padded(D), whole = D / LANES * LANES;
    for (long i = 0; i < rows; i++) {
        for (long d = 0; d < whole; d += LANES) elem_store_vec(to + i * pitch + d, vec_load(from + i * width + d));
        if (whole < width) elem_store_some(to + i * pitch + whole, vec_load(from + i * width + whole), D - whole);
    }
}

/* Loads a block: rows, zeros up to a whole vector of lanes, and the same in columns. */
static void load_block(const struct few *f, float *to, float *columns, const elem *from, long rows) {
    long lanes = padded(rows), width = f->width;
    load_rows(to, from, f->pitch, rows, f->D);
    memset(to + rows * width, 0, sizeof *to * (size_t)((lanes - rows) * width));
    for (long i = 0; i < lanes; i += LANES)
        for (long d = 0; d < width; d += LANES) {
            vec block[LANES];
            for (long r = 0; r < LANES; r++) block[r] = vec_load(to + (i + r) * width + d);
            vec_transpose(block);
            for (long r = 0; r < LANES; r++) vec_store(columns + (d + r) * lanes + i, block[r]);
        }
}

static void load_keys(const struct few *f, const struct few_rows *t, long b, long h0, long heads) {
    float *k = t->k, *v = t->v;
    for (long h = h0; h < h0 + heads; h++)
        for (int r = 0; r < f->count; r++) {
            const struct attention_range *range = &f->ranges[r];
            load_rows(k, range->k + b * range->k_stride + h * f->D, f->pitch, range->length, f->D);
            load_rows(v, range->v + b * range->v_stride + h * f->D, f->pitch, range->length, f->D);
            k += range->length * f->width, v += range->length * f->width;
        }
}

/* ---- forward ---- */

/* Turns scores into probabilities. */
static void softmax(const struct few *f, float *s, real *lse, long rows) {
    long lanes = padded(rows);
    float most[BLOCK], total[BLOCK];
    for (long j = 0; j < lanes; j += LANES) {
        vec max = vec_set(-1e30f), sum = vec_set(0);
        for (long k = 0; k < f->keys; k++) max = vec_max(vec_load(s + k * lanes + j), max);
        max *= f->scale * LOG2_E;
        for (long k = 0; k < f->keys; k++) {
            vec p = vec_exp2(vec_load(s + k * lanes + j) * (f->scale * LOG2_E) - max);
            vec_store(s + k * lanes + j, p);
            sum += p;
        }
        vec share = 1.0f / sum;
        for (long k = 0; k < f->keys; k++) vec_store(s + k * lanes + j, vec_load(s + k * lanes + j) * share);
        vec_store(most + j, max * LN_2);
        vec_store(total + j, sum);
    }
    for (long i = 0; i < rows; i++) lse[i] = most[i] + logf(total[i]);
}

static void forward_block(const struct few *f, const struct few_rows *t, long h, elem *o, real *lse, const elem *q,
                          long rows) {
    long lanes = padded(rows), width = f->width, at = h * f->keys * width;
    load_block(f, t->q, t->q_t, q, rows);
    product_floats_set(t->s, lanes, t->k + at, width, 1, t->q_t, lanes, f->keys, lanes, width);
    softmax(f, t->s, lse, rows);
    product_floats_set(t->out, width, t->s, 1, lanes, t->v + at, width, rows, width, f->keys);
    store_rows(o, t->out, f->pitch, rows, f->D);
}

void attention_few_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                           long S, long H, long D, real scale) {
    long pieces = (S + PIECE - 1) / PIECE;
    struct few f = few_of(ranges, count, S, H, D, (float)scale, B * pieces);
    struct few_rows sizes;
    long each = few_rows_take(&sizes, &f, NULL), groups = (H + f.heads - 1) / f.heads;
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct few_rows t;
        few_rows_take(&t, &f, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < B * groups * pieces; task++) {
            long b = task / (groups * pieces), h0 = task / pieces % groups * f.heads, first = task % pieces * PIECE;
            long last = first + PIECE < S ? first + PIECE : S, heads = H - h0 < f.heads ? H - h0 : f.heads;
            load_keys(&f, &t, b, h0, heads);
            for (long i = first; i < last; i += BLOCK)
                for (long h = 0; h < heads; h++) {
                    long rows = last - i < BLOCK ? last - i : BLOCK, at = (b * S + i) * f.pitch + (h0 + h) * D;
                    forward_block(&f, &t, h, o + at, lse + (b * H + h0 + h) * S + i, q + at, rows);
                }
        }
    }
    cpu_buffer_give();
}

/* ---- backward ---- */

/* Sums over d of dout o for LANES rows from row i on, of which those past `rows` are not read. */
static vec output_dots(const struct few *f, const float *dout, const elem *o, long i, long rows) {
    vec part[LANES];
    for (long r = 0; r < LANES; r++) {
        part[r] = vec_set(0);
        fetch_ahead(o + (i + r) * f->pitch, f->pitch, f->D);
        for (long d = 0; d < f->width && i + r < rows; d += LANES)
            part[r] += vec_load(dout + (i + r) * f->width + d) * elem_load_some(o + (i + r) * f->pitch + d, f->D - d);
    }
    vec_transpose(part);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int r = 0; r < half; r++) part[r] += part[r + half];
    return part[0];
}

/* Turns scores into probabilities and dp into gradients at scores. */
static void softmax_backward(const struct few *f, const struct few_rows *t, const elem *o, const real *lse, long rows) {
    long lanes = padded(rows);
    float log_sum[BLOCK] = {0};
    for (long i = 0; i < rows; i++) log_sum[i] = lse[i] * LOG2_E;
    for (long j = 0; j < lanes; j += LANES) {
        vec delta = output_dots(f, t->dout, o, j, rows), bits = vec_load(log_sum + j);
        for (long k = 0; k < f->keys; k++) {
            long at = k * lanes + j;
            vec p = vec_exp2(vec_load(t->s + at) * (f->scale * LOG2_E) - bits);
            vec_store(t->dp + at, p * (vec_load(t->dp + at) - delta) * f->scale);
            vec_store(t->s + at, p);
        }
    }
}

/* Takes a block of a task's head h; pointers are at the block's first row. */
static void backward_block(const struct few *f, const struct few_rows *t, long h, elem *dq, const elem *dout,
                           const elem *o, const real *lse, const elem *q, long rows) {
    long lanes = padded(rows), width = f->width, at = h * f->keys * width;
    load_block(f, t->q, t->q_t, q, rows);
    load_block(f, t->dout, t->dout_t, dout, rows);
    product_floats_set(t->s, lanes, t->k + at, width, 1, t->q_t, lanes, f->keys, lanes, width);
    product_floats_set(t->dp, lanes, t->v + at, width, 1, t->dout_t, lanes, f->keys, lanes, width);
    softmax_backward(f, t, o, lse, rows);
    product_floats_add(t->dv + at, width, t->s, lanes, 1, t->dout, width, f->keys, width, rows);
    product_floats_add(t->dk + at, width, t->dp, lanes, 1, t->q, width, f->keys, width, rows);
    if (!dq) return;
    product_floats_set(t->out, width, t->dp, 1, lanes, t->k + at, width, rows, width, f->keys);
    store_rows(dq, t->out, f->pitch, rows, f->D);
}

static void store_gradients(const struct few *f, const struct few_rows *t, long b, long h0, long heads) {
    long at = 0;
    for (long h = h0; h < h0 + heads; h++)
        for (int r = 0; r < f->count; at += f->ranges[r++].length * f->width) {
            const struct attention_range *range = &f->ranges[r];
            long packed = (b * range->length * f->H + h) * f->D, k = b * range->k_stride + h * f->D,
                 v = b * range->v_stride + h * f->D;
            unpack_gradient(range->dk ? range->dk + packed : NULL, range->dk_sum ? range->dk_sum + k : NULL, t->dk + at,
                            1, f->pitch, range->length, f->D);
            unpack_gradient(range->dv ? range->dv + packed : NULL, range->dv_sum ? range->dv_sum + v : NULL, t->dv + at,
                            1, f->pitch, range->length, f->D);
        }
}

void attention_few_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                            const struct attention_range *ranges, int count, long B, long S, long H, long D,
                            real scale) {
    struct few f = few_of(ranges, count, S, H, D, (float)scale, B);
    struct few_rows sizes;
    long each = few_rows_take(&sizes, &f, NULL), groups = (H + f.heads - 1) / f.heads;
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct few_rows t;
        few_rows_take(&t, &f, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < B * groups; task++) {
            long b = task / groups, h0 = task % groups * f.heads, heads = H - h0 < f.heads ? H - h0 : f.heads;
            load_keys(&f, &t, b, h0, heads);
            memset(t.dk, 0, sizeof(float) * (size_t)(2 * f.heads * f.keys * f.width)); /* dv follows dk */
            for (long i = 0; i < S; i += BLOCK)
                for (long h = 0; h < heads; h++) {
                    long rows = S - i < BLOCK ? S - i : BLOCK, at = (b * S + i) * f.pitch + (h0 + h) * D;
                    backward_block(&f, &t, h, dq ? dq + at : NULL, dout + at, o + at, lse + (b * H + h0 + h) * S + i,
                                   q + at, rows);
                }
            store_gradients(&f, &t, b, h0, heads);
        }
    }
    cpu_buffer_give();
}
