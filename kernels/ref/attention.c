/* attention.c: dense attention over a list of key ranges, as the definition. q, o [B, S, H, D]. A query's scores are
   computed anew wherever they are needed, so there is no buffer of scores at all. With p = exp(scale q.k - lse),
   dp = dout.v, delta = dout.o and ds = p (dp - delta) scale:  dq = sum ds k,  dk = sum ds q,  dv = sum p dout. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

static real dot(const elem *a, const elem *b, long D) {
    real sum = 0;
    for (long d = 0; d < D; d++) sum += elem_load(a[d]) * elem_load(b[d]);
    return sum;
}

static void add_scaled(real *sum, real factor, const elem *x, long D) {
    for (long d = 0; d < D; d++) sum[d] += factor * elem_load(x[d]);
}

static int head_fits(long D) {
    if (D <= ATTENTION_HEAD_MAX) return 1;
    device_fail("attention: heads of width %ld, at most %d are built", D, ATTENTION_HEAD_MAX);
    return 0;
}

/* Computes one query: first the largest score and the sum of exponentials, then the weighted values. */
static void forward_query(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long b,
                          long h, long H, long D, real scale) {
    real largest = -INFINITY, total = 0, sum[ATTENTION_HEAD_MAX] = {0};
    for (int r = 0; r < count; r++) {
        for (long t = 0; t < ranges[r].length; t++) {
            real score = scale * dot(q, ranges[r].k + b * ranges[r].k_stride + (t * H + h) * D, D);
            if (score > largest) {
                total *= (real)exp(largest - score);
                largest = score;
            }
            total += (real)exp(score - largest);
        }
    }
    *lse = largest + (real)log(total);
    for (int r = 0; r < count; r++) {
        for (long t = 0; t < ranges[r].length; t++) {
            long at = (t * H + h) * D;
            real score = scale * dot(q, ranges[r].k + b * ranges[r].k_stride + at, D);
            add_scaled(sum, (real)exp(score - *lse), ranges[r].v + b * ranges[r].v_stride + at, D);
        }
    }
    for (long d = 0; d < D; d++) o[d] = elem_store(sum[d]);
}

void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale) {
    KERNEL_SCOPE;
    if (!head_fits(D)) return;
#pragma omp parallel for
    for (long i = 0; i < B * S; i++) {
        for (long h = 0; h < H; h++) {
            long b = i / S, s = i % S, at = (i * H + h) * D;
            forward_query(o + at, lse + (b * H + h) * S + s, q + at, ranges, count, b, h, H, D, scale);
        }
    }
}

static void backward_query(elem *dq, const elem *dout, const elem *o, real lse, const elem *q,
                           const struct attention_range *ranges, int count, long b, long h, long H, long D,
                           real scale) {
    real sum[ATTENTION_HEAD_MAX] = {0}, delta = dot(dout, o, D);
    for (int r = 0; r < count; r++) {
        for (long t = 0; t < ranges[r].length; t++) {
            const elem *k = ranges[r].k + b * ranges[r].k_stride + (t * H + h) * D;
            const elem *v = ranges[r].v + b * ranges[r].v_stride + (t * H + h) * D;
            real p = (real)exp(scale * dot(q, k, D) - lse);
            add_scaled(sum, p * (dot(dout, v, D) - delta) * scale, k, D);
        }
    }
    for (long d = 0; d < D; d++) dq[d] = elem_store(sum[d]);
}

/* Computes the gradients of one key and value of a range: token t, head h, sample b. */
static void backward_key(const struct attention_range *range, const elem *dout, const elem *o, const real *lse,
                         const elem *q, long b, long t, long h, long S, long H, long D, real scale) {
    real dk[ATTENTION_HEAD_MAX] = {0}, dv[ATTENTION_HEAD_MAX] = {0};
    long k_at = b * range->k_stride + (t * H + h) * D, v_at = b * range->v_stride + (t * H + h) * D;
    for (long s = 0; s < S; s++) {
        long at = ((b * S + s) * H + h) * D;
        real p = (real)exp(scale * dot(q + at, range->k + k_at, D) - lse[(b * H + h) * S + s]);
        real dp = dot(dout + at, range->v + v_at, D), delta = dot(dout + at, o + at, D);
        add_scaled(dk, p * (dp - delta) * scale, q + at, D);
        add_scaled(dv, p, dout + at, D);
    }
    long packed = ((b * range->length + t) * H + h) * D;
    for (long d = 0; d < D; d++) {
        if (range->dk) range->dk[packed + d] = elem_store(dk[d]);
        if (range->dv) range->dv[packed + d] = elem_store(dv[d]);
        if (range->dk_sum) range->dk_sum[k_at + d] += dk[d];
        if (range->dv_sum) range->dv_sum[v_at + d] += dv[d];
    }
}

void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale) {
    KERNEL_SCOPE;
    if (!head_fits(D)) return;
    for (int r = 0; r < count; r++) {
        const struct attention_range *range = &ranges[r];
        if (!range->dk && !range->dv && !range->dk_sum && !range->dv_sum) continue;
#pragma omp parallel for
        for (long i = 0; i < B * range->length; i++)
            for (long h = 0; h < H; h++)
                backward_key(range, dout, o, lse, q, i / range->length, i % range->length, h, S, H, D, scale);
    }
    if (!dq) return;
#pragma omp parallel for
    for (long i = 0; i < B * S; i++) {
        for (long h = 0; h < H; h++) {
            long b = i / S, at = (i * H + h) * D;
            backward_query(dq + at, dout + at, o + at, lse[(b * H + h) * S + i % S], q + at, ranges, count, b, h, H, D,
                           scale);
        }
    }
}
