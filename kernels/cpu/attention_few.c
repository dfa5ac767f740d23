/* attention_few.c: see attention_few.h. It takes LANES queries at a time (a block). The products of a block with one
   key are LANES vectors of partial sums, which a transposition turns into one vector with a lane for each query; from
   there on softmax and its gradient are plain arithmetic on a vector for each key. Formulas: those of attention.c. */
#include <math.h>
#include <omp.h>
#include "kernels/cpu/attention_few.h"
#include "kernels/cpu/buffer.h"
#include "kernels/cpu/tile.h"
#include "kernels/device.h"

enum { PIECE = 256 }; /* queries in a task of the forward */

struct few {
    const struct attention_range *ranges;
    int count;
    long S, H, D, pitch, width, keys; /* pitch: from one token to the next; width: D padded; keys: of all ranges */
    float scale;
};
/* Rows of floats, `width` apart. */
struct few_rows {
    float *k, *v, *dk, *dv; /* [keys] of all ranges, one after the other */
    float *q, *dout;        /* [LANES] rows of a block; rows past the end are zero */
};

int attention_is_few(const struct attention_range *ranges, int count) {
    long keys = 0;
    for (int r = 0; r < count; r++) keys += ranges[r].length;
    return keys > 0 && keys <= FEW_KEYS;
}

static struct few few_of(const struct attention_range *ranges, int count, long S, long H, long D, float scale) {
    struct few f = {ranges, count, S, H, D, H * D, padded(D), 0, scale};
    for (int r = 0; r < count; r++) f.keys += ranges[r].length;
    return f;
}

static long few_rows_take(struct few_rows *t, const struct few *f, float *base) {
    float *at = base;
    float **of_keys[] = {&t->k, &t->v, &t->dk, &t->dv}, **of_block[] = {&t->q, &t->dout};
    for (int i = 0; i < 4; i++) *of_keys[i] = at, at += f->keys * f->width;
    for (int i = 0; i < 2; i++) *of_block[i] = at, at += LANES * f->width;
    return at - base;
}

static void load_keys(const struct few *f, const struct few_rows *t, long b, long h) {
    long at = 0;
    for (int r = 0; r < f->count; r++) {
        const struct attention_range *range = &f->ranges[r];
        for (long i = 0; i < range->length; i++, at += f->width) {
            const elem *k = range->k + b * range->k_stride + i * f->pitch + h * f->D;
            const elem *v = range->v + b * range->v_stride + i * f->pitch + h * f->D;
            for (long d = 0; d < f->width; d += LANES) {
                vec_store(t->k + at + d, elem_load_some(k + d, f->D - d));
                vec_store(t->v + at + d, elem_load_some(v + d, f->D - d));
            }
        }
    }
}

static void load_block(const struct few *f, float *to, const elem *from, long rows) {
    for (long i = 0; i < LANES; i++)
        for (long d = 0; d < f->width; d += LANES)
            vec_store(to + i * f->width + d, i < rows ? elem_load_some(from + i * f->pitch + d, f->D - d) : vec_set(0));
}

/* Sums each of LANES vectors; the sum of vector i is lane i of the result. */
SIMD vec sums(vec part[LANES]) {
    vec_transpose(part);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

/* Dot products of a block's rows with one row. */
SIMD vec products(const float *block, const float *row, long width) {
    vec part[LANES];
    for (long i = 0; i < LANES; i++) {
        part[i] = vec_load(block + i * width) * vec_load(row);
        for (long d = LANES; d < width; d += LANES) part[i] += vec_load(block + i * width + d) * vec_load(row + d);
    }
    return sums(part);
}

/* Each row of a block = the sum over keys of weight [key][row] times the key's row. */
static void mix(const struct few *f, elem *to, float (*weight)[LANES], const float *of_keys, long rows) {
    for (long i = 0; i < rows; i++)
        for (long d = 0; d < f->width; d += LANES) {
            vec sum = vec_set(0);
            for (long k = 0; k < f->keys; k++) sum += weight[k][i] * vec_load(of_keys + k * f->width + d);
            elem_store_some(to + i * f->pitch + d, sum, f->D - d);
        }
}

/* ---- forward ---- */

static void forward_block(const struct few *f, const struct few_rows *t, elem *o, real *lse, const elem *q, long rows) {
    float weight[FEW_KEYS][LANES], log_sum[LANES], most[LANES];
    vec score[FEW_KEYS], max = vec_set(-1e30f), sum = vec_set(0);
    load_block(f, t->q, q, rows);
    for (long k = 0; k < f->keys; k++) {
        score[k] = products(t->q, t->k + k * f->width, f->width) * (f->scale * LOG2_E);
        max = vec_max(score[k], max);
    }
    for (long k = 0; k < f->keys; k++) score[k] = vec_exp2(score[k] - max), sum += score[k];
    for (long k = 0; k < f->keys; k++) vec_store(weight[k], score[k] / sum);
    vec_store(log_sum, sum);
    vec_store(most, max * LN_2);
    for (long i = 0; i < rows; i++) lse[i] = most[i] + logf(log_sum[i]);
    mix(f, o, weight, t->v, rows);
}

void attention_few_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                           long S, long H, long D, real scale) {
    struct few f = few_of(ranges, count, S, H, D, (float)scale);
    struct few_rows sizes;
    long each = few_rows_take(&sizes, &f, NULL), pieces = (S + PIECE - 1) / PIECE;
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct few_rows t;
        few_rows_take(&t, &f, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < B * H * pieces; task++) {
            long b = task / (H * pieces), h = task / pieces % H, first = task % pieces * PIECE;
            long last = first + PIECE < S ? first + PIECE : S;
            load_keys(&f, &t, b, h);
            for (long i = first; i < last; i += LANES) {
                long rows = last - i < LANES ? last - i : LANES, at = (b * S + i) * f.pitch + h * D;
                forward_block(&f, &t, o + at, lse + (b * H + h) * S + i, q + at, rows);
            }
        }
    }
    cpu_buffer_give();
}

/* ---- backward ---- */

/* Sums over d of dout o for each row of a block. */
static vec output_dots(const struct few *f, const float *dout, const elem *o, long rows) {
    vec part[LANES];
    for (long i = 0; i < LANES; i++) {
        part[i] = vec_set(0);
        for (long d = 0; d < f->width && i < rows; d += LANES)
            part[i] += vec_load(dout + i * f->width + d) * elem_load_some(o + i * f->pitch + d, f->D - d);
    }
    return sums(part);
}

/* Each key's row += the sum over a block's rows of weight [key][row] times the row. */
static void gather(const struct few *f, float *of_keys, float (*weight)[LANES], const float *block) {
    for (long k = 0; k < f->keys; k++)
        for (long d = 0; d < f->width; d += LANES) {
            vec sum = vec_load(of_keys + k * f->width + d);
            for (long i = 0; i < LANES; i++) sum += weight[k][i] * vec_load(block + i * f->width + d);
            vec_store(of_keys + k * f->width + d, sum);
        }
}

/* Computes a block's backward; pointers are at the block's first row. dq gets the factor `scale` here, dk later. */
static void backward_block(const struct few *f, const struct few_rows *t, elem *dq, const elem *dout, const elem *o,
                           const real *lse, const elem *q, long rows) {
    float p[FEW_KEYS][LANES], ds[FEW_KEYS][LANES], log_sum[LANES] = {0};
    load_block(f, t->q, q, rows);
    load_block(f, t->dout, dout, rows);
    for (long i = 0; i < rows; i++) log_sum[i] = lse[i] * LOG2_E;
    vec delta = output_dots(f, t->dout, o, rows), lse_bits = vec_load(log_sum);
    for (long k = 0; k < f->keys; k++) {
        vec score = products(t->q, t->k + k * f->width, f->width) * (f->scale * LOG2_E);
        vec weight = vec_exp2(score - lse_bits);
        vec_store(p[k], weight);
        vec_store(ds[k], weight * (products(t->dout, t->v + k * f->width, f->width) - delta));
    }
    gather(f, t->dv, p, t->dout);
    gather(f, t->dk, ds, t->q);
    if (!dq) return;
    for (long k = 0; k < f->keys; k++) vec_store(ds[k], vec_load(ds[k]) * f->scale);
    mix(f, dq, ds, t->k, rows);
}

static void store_gradients(const struct few *f, const struct few_rows *t, long b, long h) {
    long at = 0;
    for (int r = 0; r < f->count; at += f->ranges[r++].length * f->width) {
        const struct attention_range *range = &f->ranges[r];
        long packed = (b * range->length * f->H + h) * f->D, k = b * range->k_stride + h * f->D,
             v = b * range->v_stride + h * f->D;
        unpack_gradient(range->dk ? range->dk + packed : NULL, range->dk_sum ? range->dk_sum + k : NULL, t->dk + at,
                        f->scale, f->pitch, range->length, f->D);
        unpack_gradient(range->dv ? range->dv + packed : NULL, range->dv_sum ? range->dv_sum + v : NULL, t->dv + at, 1,
                        f->pitch, range->length, f->D);
    }
}

void attention_few_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                            const struct attention_range *ranges, int count, long B, long S, long H, long D,
                            real scale) {
    struct few f = few_of(ranges, count, S, H, D, (float)scale);
    struct few_rows sizes;
    long each = few_rows_take(&sizes, &f, NULL);
    float *buffer = cpu_buffer_take(omp_get_max_threads(), &each);
    if (!buffer) return;
#pragma omp parallel
    {
        struct few_rows t;
        few_rows_take(&t, &f, buffer + omp_get_thread_num() * each);
#pragma omp for schedule(dynamic, 1)
        for (long task = 0; task < B * H; task++) {
            long b = task / H, h = task % H;
            load_keys(&f, &t, b, h);
            memset(t.dk, 0, sizeof(float) * (size_t)(2 * f.keys * f.width)); /* dv follows dk */
            for (long i = 0; i < S; i += LANES) {
                long rows = S - i < LANES ? S - i : LANES, at = (b * S + i) * f.pitch + h * D;
                backward_block(&f, &t, dq ? dq + at : NULL, dout + at, o + at, lse + (b * H + h) * S + i, q + at, rows);
            }
            store_gradients(&f, &t, b, h);
        }
    }
    cpu_buffer_give();
}
