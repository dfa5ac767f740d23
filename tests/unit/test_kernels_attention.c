/* test_kernels_attention.c: rotary positions and attention against the oracle.
   Attention's tolerance follows the formulas at the top of kernels/ref/attention.c. A score is off by at most
   delta = slack(D) scale sum |q||k| + slack(1) |lse|; so p by 2 delta + slack(keys) of itself, and a backend may round
   p and ds to elem. Every sum then adds slack(terms) of the sum of its terms' magnitudes. */
#include "kernel_harness.h"

enum { B, S, H, D, LENGTHS }; /* then the lengths of up to three ranges */

/* ---- rope ---- */

/* Noise of a rotation with |cos|, |sin| <= 1: slack (|u| + |v|) of the pair, and of what was there. */
static void allow_rotation(struct buffer *y, const double *x, const long *s, long x_stride, long y_stride, int adds) {
    for (long b = 0; b < s[B]; b++)
        for (long i = 0; i < s[S] * s[H] * s[D]; i++) {
            const double *pair = x + b * x_stride + i / 2 * 2;
            y->noise[b * y_stride + i] = slack(2) * (fabs(pair[0]) + fabs(pair[1]));
            if (adds) y->noise[b * y_stride + i] += slack(2) * y->magnitude[b * y_stride + i];
        }
}

/* Bit 0: backwards; bit 1: in place; bit 2: samples further apart than they need to be. */
static void rotate(struct trial *t, const long *s) {
    long packed = s[S] * s[H] * s[D], apart = t->variant & 4, in_place = t->variant & 2;
    long x_stride = packed + (apart ? 6 : 0), y_stride = in_place ? x_stride : packed + (apart ? 10 : 0);
    struct buffer *c = make(t, REAL, INPUT, s[S] * s[D] / 2), *sn = make(t, REAL, INPUT, s[S] * s[D] / 2);
    struct buffer *y = make(t, ELEM, apart || in_place ? UPDATED : OUTPUT, s[B] * y_stride);
    struct buffer *x = in_place ? y : make(t, ELEM, INPUT, s[B] * x_stride);
    allow_rotation(y, x->magnitude, s, x_stride, y_stride, 0);
    load(t);
    int sign = t->variant & 1 ? -1 : 1;
    rope_apply(dev(y), dev(x), dev(c), dev(sn), s[B], s[S], s[H], s[D], x_stride, y_stride, sign);
    ref_rope_apply(val(y), val(x), val(c), val(sn), s[B], s[S], s[H], s[D], x_stride, y_stride, sign);
}

static void rotate_back(struct trial *t, const long *s) {
    long x_stride = s[S] * s[H] * s[D] + 6, y_stride = s[S] * s[H] * s[D] + 10;
    struct buffer *c = make(t, REAL, INPUT, s[S] * s[D] / 2), *sn = make(t, REAL, INPUT, s[S] * s[D] / 2);
    struct buffer *y = make(t, REAL, UPDATED, s[B] * y_stride), *x = make(t, REAL, INPUT, s[B] * x_stride);
    allow_rotation(y, x->magnitude, s, x_stride, y_stride, 1);
    load(t);
    rope_add_inverse(dev(y), dev(x), dev(c), dev(sn), s[B], s[S], s[H], s[D], x_stride, y_stride);
    ref_rope_add_inverse(val(y), val(x), val(c), val(sn), s[B], s[S], s[H], s[D], x_stride, y_stride);
}

/* Sizes: pairs t, h, w, frames, ph, pw. Angles in double: a unit of the result. */
static void table(struct trial *t, const long *s) {
    static const int position[] = {0, 7, 3, 1000, 9};
    struct rope_axes axes = {2 * (int)(s[0] + s[1] + s[2]), (int)s[0], (int)s[1], (int)s[2], 1e4, 500};
    long n = s[3] * s[4] * s[5] * (s[0] + s[1] + s[2]);
    struct buffer *c = make(t, REAL, OUTPUT, n), *sn = make(t, REAL, OUTPUT, n);
    load(t);
    rope_table(dev(c), dev(sn), &axes, position, (int)s[3], (int)s[4], (int)s[5]);
    ref_rope_table(val(c), val(sn), &axes, position, (int)s[3], (int)s[4], (int)s[5]);
    for (long i = 0; i < n; i++) c->noise[i] = sn->noise[i] = 2 * unit(REAL);
}

/* ---- attention ---- */

struct problem {
    int count;
    long keys;
    double scale;
    struct buffer *q, *k[3], *v[3], *dk[3], *dv[3], *dk_sum[3], *dv_sum[3];
    long length[3], k_stride[3], v_stride[3];
};

/* Ranges with distances between samples that differ; scores from small to |8|. */
static struct problem make_problem(struct trial *t, const long *s) {
    struct problem p = {.scale = 1 / sqrt((double)s[D]), .count = s[LENGTHS + 1] || s[LENGTHS + 2] ? 3 : 1};
    p.q = make(t, ELEM, INPUT, s[B] * s[S] * s[H] * s[D]);
    spread(p.q, -4, 4);
    for (int r = 0; r < p.count; r++) {
        p.length[r] = s[LENGTHS + r];
        p.keys += p.length[r];
        p.k_stride[r] = p.length[r] * s[H] * s[D] + 5 * r;
        p.v_stride[r] = p.length[r] * s[H] * s[D] + 3 * r;
        p.k[r] = make(t, ELEM, INPUT, s[B] * p.k_stride[r]);
        p.v[r] = make(t, ELEM, INPUT, s[B] * p.v_stride[r]);
        spread(p.k[r], -4, 4);
    }
    return p;
}

static void fill_ranges(const struct problem *p, struct attention_range *a, struct ref_attention_range *o) {
    for (int r = 0; r < p->count; r++) {
        a[r] =
            (struct attention_range){dev(p->k[r]),  dev(p->v[r]),  p->length[r],      p->k_stride[r],   p->v_stride[r],
                                     dev(p->dk[r]), dev(p->dv[r]), dev(p->dk_sum[r]), dev(p->dv_sum[r])};
        o[r] = (struct ref_attention_range){val(p->k[r]),   val(p->v[r]),      p->length[r],
                                            p->k_stride[r], p->v_stride[r],    val(p->dk[r]),
                                            val(p->dv[r]),  val(p->dk_sum[r]), val(p->dv_sum[r])};
    }
}

static double dot(const double *a, const double *b, long d) {
    double sum = 0;
    for (long i = 0; i < d; i++) sum += a[i] * b[i];
    return sum;
}

static double dot_magnitude(const double *a, const double *b, long d) {
    double sum = 0;
    for (long i = 0; i < d; i++) sum += fabs(a[i] * b[i]);
    return sum;
}

static void attend(struct trial *t, const long *s) {
    struct problem p = make_problem(t, s);
    struct buffer *o = make(t, ELEM, OUTPUT, p.q->n), *lse = make(t, REAL, OUTPUT, s[B] * s[H] * s[S]);
    struct attention_range ranges[3];
    struct ref_attention_range oracle[3];
    load(t);
    fill_ranges(&p, ranges, oracle);
    attention_forward(dev(o), dev(lse), dev(p.q), ranges, p.count, s[B], s[S], s[H], s[D], (real)p.scale);
    ref_attention_forward(val(o), val(lse), val(p.q), oracle, p.count, s[B], s[S], s[H], s[D], (real)p.scale);
    for (long i = 0; i < s[B] * s[S] * s[H]; i++) {
        long b = i / (s[S] * s[H]), h = i % s[H], at_lse = (b * s[H] + h) * s[S] + i / s[H] % s[S];
        double delta = 0;
        const double *q = val(p.q) + i * s[D];
        for (int r = 0; r < p.count; r++)
            for (long k = 0; k < p.length[r]; k++)
                delta =
                    fmax(delta, slack(s[D]) * p.scale *
                                    dot_magnitude(q, val(p.k[r]) + b * p.k_stride[r] + (k * s[H] + h) * s[D], s[D]));
        lse->noise[at_lse] = delta + slack(p.keys) + slack(1) * fabs(lse->value[at_lse]);
        double relative = 2 * delta + slack(p.keys) + slack(1) * fabs(lse->value[at_lse]) + unit(ELEM);
        for (int r = 0; r < p.count; r++)
            for (long k = 0; k < p.length[r]; k++) {
                long at = (k * s[H] + h) * s[D];
                double weight =
                    exp((real)p.scale * dot(q, val(p.k[r]) + b * p.k_stride[r] + at, s[D]) - val(lse)[at_lse]);
                for (long d = 0; d < s[D]; d++)
                    o->noise[i * s[D] + d] += relative * weight * mag(p.v[r])[b * p.v_stride[r] + at + d];
            }
    }
}

/* Adds to the noises of all gradients what query i (sample, token, head) and key k of range r bring. */
static void allow_pair(const struct problem *p, const long *s, struct buffer *dq, const double *dout, const double *o,
                       const double *lse, long i, int r, long k) {
    long b = i / (s[S] * s[H]), h = i % s[H], at_q = i * s[D], at_k = b * p->k_stride[r] + (k * s[H] + h) * s[D];
    long at_v = b * p->v_stride[r] + (k * s[H] + h) * s[D], packed = ((b * p->length[r] + k) * s[H] + h) * s[D];
    const double *q = val(p->q) + at_q, *key = val(p->k[r]) + at_k, *value = val(p->v[r]) + at_v;
    double log_sum = lse[(b * s[H] + h) * s[S] + i / s[H] % s[S]];
    double weight = exp((real)p->scale * dot(q, key, s[D]) - log_sum);
    double delta = slack(s[D]) * p->scale * dot_magnitude(q, key, s[D]) + slack(1) * (1 + fabs(log_sum));
    double ds =
        weight * p->scale * (dot_magnitude(dout + at_q, value, s[D]) + dot_magnitude(dout + at_q, o + at_q, s[D]));
    double relative = 2 * delta + slack(s[D]) + slack(p->keys > s[S] ? p->keys : s[S]) + 2 * unit(ELEM);
    for (long d = 0; d < s[D]; d++) {
        double noise_dk = relative * ds * fabs(q[d]), noise_dv = relative * weight * fabs(dout[at_q + d]);
        if (dq) dq->noise[at_q + d] += relative * ds * fabs(key[d]);
        if (p->dk[r]) p->dk[r]->noise[packed + d] += noise_dk;
        if (p->dv[r]) p->dv[r]->noise[packed + d] += noise_dv;
        if (p->dk_sum[r]) p->dk_sum[r]->noise[at_k + d] += noise_dk;
        if (p->dv_sum[r]) p->dv_sum[r]->noise[at_v + d] += noise_dv;
    }
}

/* Bit 0: dq not wanted; bit 1: no dk, dv; bit 2: no sums. Else range 0 has dk and dv, range 1 (or a single range) the
   sums, range 2 dk and the sum of dv. */
static void attend_backward(struct trial *t, const long *s) {
    struct problem p = make_problem(t, s);
    struct buffer *dout = make(t, ELEM, INPUT, p.q->n), *o = make(t, ELEM, INPUT, p.q->n);
    struct buffer *lse = make(t, REAL, INPUT, s[B] * s[H] * s[S]), *dq = make_unless(t, 0, ELEM, OUTPUT, p.q->n);
    for (int r = 0; r < p.count; r++) {
        long packed = s[B] * p.length[r] * s[H] * s[D];
        if (r != 1) p.dk[r] = make_unless(t, 1, ELEM, OUTPUT, packed);
        if (r == 0) p.dv[r] = make_unless(t, 1, ELEM, OUTPUT, packed);
        if (r == 1 || p.count == 1) p.dk_sum[r] = make_unless(t, 2, REAL, UPDATED, s[B] * p.k_stride[r]);
        if (r != 0 || p.count == 1) p.dv_sum[r] = make_unless(t, 2, REAL, UPDATED, s[B] * p.v_stride[r]);
        allow(p.dk_sum[r], 1);
        allow(p.dv_sum[r], 1);
    }
    struct attention_range ranges[3];
    struct ref_attention_range oracle[3];
    memset(ranges, 0, sizeof ranges);
    memset(oracle, 0, sizeof oracle);
    for (int r = 0; r < p.count; r++)
        oracle[r] = (struct ref_attention_range){.k = val(p.k[r]),
                                                 .v = val(p.v[r]),
                                                 .length = p.length[r],
                                                 .k_stride = p.k_stride[r],
                                                 .v_stride = p.v_stride[r]};
    ref_attention_forward(val(o), val(lse), val(p.q), oracle, p.count, s[B], s[S], s[H], s[D], (real)p.scale);
    for (long i = 0; i < o->n; i++) put(o, i, o->value[i]);
    for (long i = 0; i < lse->n; i++) put(lse, i, lse->value[i]);
    load(t);
    fill_ranges(&p, ranges, oracle);
    attention_backward(dev(dq), dev(dout), dev(o), dev(lse), dev(p.q), ranges, p.count, s[B], s[S], s[H], s[D],
                       (real)p.scale);
    ref_attention_backward(val(dq), val(dout), val(o), val(lse), val(p.q), oracle, p.count, s[B], s[S], s[H], s[D],
                           (real)p.scale);
    for (long i = 0; i < s[B] * s[S] * s[H]; i++)
        for (int r = 0; r < p.count; r++)
            for (long k = 0; k < p.length[r]; k++) allow_pair(&p, s, dq, val(dout), val(o), val(lse), i, r, k);
}

/* A head that is too wide is refused, not computed wrongly. */
static void too_wide(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[D]), *o = make(t, ELEM, UPDATED, s[D]), *lse = make(t, REAL, UPDATED, 1);
    load(t);
    struct attention_range range = {.k = dev(x), .v = dev(x), .length = 1, .k_stride = s[D], .v_stride = s[D]};
    attention_forward(dev(o), dev(lse), dev(x), &range, 1, 1, 1, 1, s[D], 1);
    if (device_sync() != ERR_DEVICE) complain(t, -1, "not refused", 0, 0, 0, 0);
    attention_backward(dev(o), dev(x), dev(x), dev(lse), dev(x), &range, 1, 1, 1, 1, s[D], 1);
    if (device_sync() != ERR_DEVICE) complain(t, -1, "not refused", 0, 0, 0, 0);
}

static const long heads[][CASE_SIZES] = {{1, 1, 1, 2}, {2, 3, 3, 8}, {3, 31, 2, 12}, {2, 33, 1, 32}, {0}};
static const long attentions[][CASE_SIZES] = {
    {1, 1, 1, 1, 1},         {2, 3, 3, 12, 31},        {2, 31, 2, 16, 3, 33, 1}, {1, 33, 1, 32, 20, 0, 31},
    {2, 9, 2, 64, 17, 5, 8}, {2, 1, 1, 128, 1, 65, 3}, {1, 70, 1, 24, 70},       {1, 33, 1, 72, 5},
    {2, 300, 2, 48, 4},      {2, 17, 3, 20, 2, 4, 1},  {1, 40, 1, 16, 1, 2, 5},  {0}};

static const struct kernel_case attention[] = {
    {"rope_table", table, 1,
     (const long[][CASE_SIZES]){{1, 1, 1, 1, 1, 1}, {4, 3, 3, 5, 3, 2}, {22, 21, 21, 2, 1, 5}, {0}}},
    {"rope_apply", rotate, 8, heads},
    {"rope_add_inverse", rotate_back, 1, heads},
    {"attention_forward", attend, 1, attentions},
    {"attention_backward", attend_backward, 8, attentions},
    {"attention: width of a head", too_wide, 1, (const long[][CASE_SIZES]){{1, 1, 1, ATTENTION_HEAD_MAX + 2}, {0}}},
};

int main(void) { return RUN_CASES(attention); }
