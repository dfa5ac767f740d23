/* test_kernels_norms.c: LayerNorm and RMSNorm against the oracle.
   xh = (x - mean) rstd is off by up to slack (|x| + |mean|) rstd, called the spread of xh below; rstd itself by
   slack (1 + largest spread), because the variance sums (x - mean)^2. Rows far from zero (variant bit 0) make
   that the measure: a variance taken as mean(x^2) - mean^2 fails it. */
#include "kernel_harness.h"

enum { N, D, ROWS_PER_GROUP, STRIDE };
#define EPS 1e-6

struct norm {
    struct buffer *x, *mean, *rstd;
};

/* Bit 0 of the variant: rows far from zero. The rows' own offsets differ. */
static struct norm make_norm(struct trial *t, const long *s, enum role statistics) {
    struct norm m = {make(t, RESID, INPUT, s[N] * s[D]), make(t, REAL, statistics, s[N]),
                     make(t, REAL, statistics, s[N])};
    for (long i = 0; i < m.x->n && t->variant & 1; i++) put(m.x, i, m.x->value[i] + 50 + (double)(i / s[D] % 3));
    return m;
}

static double spread_of(const struct norm *m, long at, long d) {
    return (m->x->magnitude[at] + fabs(m->mean->value[at / d])) * m->rstd->value[at / d];
}

static double largest_spread(const struct norm *m, long row, long d) {
    double largest = 0;
    for (long i = row * d; i < (row + 1) * d; i++) largest = fmax(largest, spread_of(m, i, d));
    return largest;
}

static void allow_statistics(struct norm *m, long d) {
    for (long r = 0; r < m->mean->n; r++) {
        for (long i = r * d; i < (r + 1) * d; i++) m->mean->noise[r] += slack(d) * m->x->magnitude[i] / (double)d;
        m->rstd->noise[r] = slack(d) * m->rstd->value[r] * (1 + largest_spread(m, r, d));
    }
}

/* What xh at `at` may be off by. */
static double noise_of_xh(const struct norm *m, long at, long d) {
    double xh = fabs(m->x->value[at] - m->mean->value[at / d]) * m->rstd->value[at / d];
    return slack(d) * (spread_of(m, at, d) + xh * (1 + largest_spread(m, at / d, d)));
}

static void modulate_forward(struct trial *t, const long *s) {
    long groups = (s[N] + s[ROWS_PER_GROUP] - 1) / s[ROWS_PER_GROUP];
    struct norm m = make_norm(t, s, OUTPUT);
    struct buffer *shift = make(t, REAL, INPUT, groups * s[STRIDE]), *scale = make(t, REAL, INPUT, groups * s[STRIDE]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[N] * s[D]);
    load(t);
    layernorm_modulate_forward(dev(y), dev(m.mean), dev(m.rstd), dev(m.x), dev(shift), dev(scale), s[N], s[D],
                               s[ROWS_PER_GROUP], s[STRIDE], (real)EPS);
    ref_layernorm_modulate_forward(val(y), val(m.mean), val(m.rstd), val(m.x), val(shift), val(scale), s[N], s[D],
                                   s[ROWS_PER_GROUP], s[STRIDE], EPS);
    allow_statistics(&m, s[D]);
    for (long i = 0; i < y->n; i++) {
        long at = i / s[D] / s[ROWS_PER_GROUP] * s[STRIDE] + i % s[D];
        y->noise[i] = (1 + scale->magnitude[at]) * noise_of_xh(&m, i, s[D]) + slack(1) * shift->magnitude[at];
    }
}

static void affine_forward(struct trial *t, const long *s) {
    struct norm m = make_norm(t, s, OUTPUT);
    struct buffer *w = make(t, ELEM, INPUT, s[D]), *b = make(t, ELEM, INPUT, s[D]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[N] * s[D]);
    load(t);
    layernorm_forward(dev(y), dev(m.mean), dev(m.rstd), dev(m.x), dev(w), dev(b), s[N], s[D], (real)EPS);
    ref_layernorm_forward(val(y), val(m.mean), val(m.rstd), val(m.x), val(w), val(b), s[N], s[D], EPS);
    allow_statistics(&m, s[D]);
    for (long i = 0; i < y->n; i++)
        y->noise[i] = w->magnitude[i % s[D]] * noise_of_xh(&m, i, s[D]) + slack(1) * b->magnitude[i % s[D]];
}

/* The residual in front of a norm; bit 1: no gate. Its result is the norm's input, made of terms as large as both. The
   gates lie further apart than shift and scale. */
enum { GATES_APART = 8 };
struct residual {
    struct buffer *x, *branch, *gate, *out;
};
static struct residual make_residual(struct trial *t, const long *s, struct norm *m) {
    long groups = (s[N] + s[ROWS_PER_GROUP] - 1) / s[ROWS_PER_GROUP];
    *m = make_norm(t, s, OUTPUT);
    struct residual r = {m->x, make(t, ELEM, INPUT, s[N] * s[D]),
                         make_unless(t, 1, REAL, INPUT, groups * (s[STRIDE] + GATES_APART)),
                         make(t, RESID, OUTPUT, s[N] * s[D])};
    m->x = r.out;
    return r;
}

static void allow_residual(struct residual *r, const long *s) {
    for (long i = 0; i < r->out->n; i++) {
        double gate =
            r->gate ? r->gate->magnitude[i / s[D] / s[ROWS_PER_GROUP] * (s[STRIDE] + GATES_APART) + i % s[D]] : 1;
        r->out->magnitude[i] = r->x->magnitude[i] + r->branch->magnitude[i] * gate;
    }
    allow(r->out, 2);
}

static void residual_modulate(struct trial *t, const long *s) {
    long groups = (s[N] + s[ROWS_PER_GROUP] - 1) / s[ROWS_PER_GROUP];
    struct norm m;
    struct residual r = make_residual(t, s, &m);
    struct buffer *shift = make(t, REAL, INPUT, groups * s[STRIDE]), *scale = make(t, REAL, INPUT, groups * s[STRIDE]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[N] * s[D]);
    load(t);
    residual_modulate_forward(dev(y), dev(m.mean), dev(m.rstd), dev(r.out), dev(r.x), dev(r.branch), dev(r.gate),
                              s[STRIDE] + GATES_APART, dev(shift), dev(scale), s[N], s[D], s[ROWS_PER_GROUP], s[STRIDE],
                              (real)EPS);
    ref_residual_modulate_forward(val(y), val(m.mean), val(m.rstd), val(r.out), val(r.x), val(r.branch), val(r.gate),
                                  s[STRIDE] + GATES_APART, val(shift), val(scale), s[N], s[D], s[ROWS_PER_GROUP],
                                  s[STRIDE], EPS);
    allow_residual(&r, s);
    allow_statistics(&m, s[D]);
    for (long i = 0; i < y->n; i++) {
        long at = i / s[D] / s[ROWS_PER_GROUP] * s[STRIDE] + i % s[D];
        y->noise[i] = (1 + scale->magnitude[at]) * noise_of_xh(&m, i, s[D]) + slack(1) * shift->magnitude[at];
    }
}

static void residual_affine(struct trial *t, const long *s) {
    struct norm m;
    struct residual r = make_residual(t, s, &m);
    struct buffer *w = make(t, ELEM, INPUT, s[D]), *b = make(t, ELEM, INPUT, s[D]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[N] * s[D]);
    load(t);
    residual_layernorm_forward(dev(y), dev(m.mean), dev(m.rstd), dev(r.out), dev(r.x), dev(r.branch), dev(r.gate),
                               s[STRIDE] + GATES_APART, dev(w), dev(b), s[N], s[D], s[ROWS_PER_GROUP], (real)EPS);
    ref_residual_layernorm_forward(val(y), val(m.mean), val(m.rstd), val(r.out), val(r.x), val(r.branch), val(r.gate),
                                   s[STRIDE] + GATES_APART, val(w), val(b), s[N], s[D], s[ROWS_PER_GROUP], EPS);
    allow_residual(&r, s);
    allow_statistics(&m, s[D]);
    for (long i = 0; i < y->n; i++)
        y->noise[i] = w->magnitude[i % s[D]] * noise_of_xh(&m, i, s[D]) + slack(1) * b->magnitude[i % s[D]];
}

/* Statistics for a backward: the oracle's, rounded to what the device holds. */
static void give_statistics(struct norm *m, long d) {
    for (long r = 0; r < m->mean->n; r++) {
        double sum = 0, squares = 0;
        for (long i = r * d; i < (r + 1) * d; i++) sum += m->x->value[i];
        for (long i = r * d; i < (r + 1) * d; i++) squares += pow(m->x->value[i] - sum / (double)d, 2);
        put(m->mean, r, sum / (double)d);
        put(m->rstd, r, 1 / sqrt(squares / (double)d + EPS));
    }
}

/* With dxh given: noise of dx = slack rstd (|dxh| + mean |dxh| + spread mean(|dxh| spread)) + slack |dx before|. */
static void allow_dx(struct buffer *dx, const struct norm *m, const double *dxh, long d) {
    for (long r = 0; dx && r < m->mean->n; r++) {
        double sum = 0, product = 0;
        for (long i = r * d; i < (r + 1) * d; i++) {
            sum += fabs(dxh[i]) / (double)d;
            product += fabs(dxh[i]) * spread_of(m, i, d) / (double)d;
        }
        for (long i = r * d; i < (r + 1) * d; i++)
            dx->noise[i] =
                slack(d) * (m->rstd->value[r] * (fabs(dxh[i]) + sum + spread_of(m, i, d) * product) + dx->magnitude[i]);
    }
}

/* Adds the terms of the sums over rows to the magnitudes of dshift (|dy|) and dscale (|dy| spread). */
static void allow_sums(struct buffer *dshift, struct buffer *dscale, const struct buffer *dy, const struct norm *m,
                       long d, long rows_per_group, long stride) {
    for (long i = 0; i < dy->n; i++) {
        long at = i / d / rows_per_group * stride + i % d;
        if (dshift) dshift->magnitude[at] += dy->magnitude[i];
        if (dscale) dscale->magnitude[at] += dy->magnitude[i] * spread_of(m, i, d);
    }
    allow(dshift, rows_per_group);
    allow(dscale, rows_per_group);
}

/* Bits 1 to 3: dx, dshift, dscale not wanted. */
static void modulate_backward(struct trial *t, const long *s) {
    long groups = (s[N] + s[ROWS_PER_GROUP] - 1) / s[ROWS_PER_GROUP];
    struct norm m = make_norm(t, s, INPUT);
    struct buffer *scale = make(t, REAL, INPUT, groups * s[STRIDE]), *dy = make(t, ELEM, INPUT, s[N] * s[D]);
    struct buffer *dx = make_unless(t, 1, RESID, UPDATED, s[N] * s[D]);
    struct buffer *dshift = make_unless(t, 2, REAL, UPDATED, groups * s[STRIDE]);
    struct buffer *dscale = make_unless(t, 3, REAL, UPDATED, groups * s[STRIDE]);
    give_statistics(&m, s[D]);
    load(t);
    layernorm_modulate_backward(dev(dx), dev(dshift), dev(dscale), dev(dy), dev(m.x), dev(m.mean), dev(m.rstd),
                                dev(scale), s[N], s[D], s[ROWS_PER_GROUP], s[STRIDE]);
    ref_layernorm_modulate_backward(val(dx), val(dshift), val(dscale), val(dy), val(m.x), val(m.mean), val(m.rstd),
                                    val(scale), s[N], s[D], s[ROWS_PER_GROUP], s[STRIDE]);
    double *dxh = malloc(sizeof(double) * (size_t)dy->n);
    for (long i = 0; i < dy->n; i++)
        dxh[i] = dy->value[i] * (1 + scale->magnitude[i / s[D] / s[ROWS_PER_GROUP] * s[STRIDE] + i % s[D]]);
    allow_dx(dx, &m, dxh, s[D]);
    allow_sums(dshift, dscale, dy, &m, s[D], s[ROWS_PER_GROUP], s[STRIDE]);
    free(dxh);
}

/* Bits 1 to 3: dx, dw, db not wanted. */
static void affine_backward(struct trial *t, const long *s) {
    struct norm m = make_norm(t, s, INPUT);
    struct buffer *w = make(t, ELEM, INPUT, s[D]), *dy = make(t, ELEM, INPUT, s[N] * s[D]);
    struct buffer *dx = make_unless(t, 1, RESID, UPDATED, s[N] * s[D]);
    struct buffer *dw = make_unless(t, 2, REAL, UPDATED, s[D]), *db = make_unless(t, 3, REAL, UPDATED, s[D]);
    give_statistics(&m, s[D]);
    load(t);
    layernorm_backward(dev(dx), dev(dw), dev(db), dev(dy), dev(m.x), dev(m.mean), dev(m.rstd), dev(w), s[N], s[D]);
    ref_layernorm_backward(val(dx), val(dw), val(db), val(dy), val(m.x), val(m.mean), val(m.rstd), val(w), s[N], s[D]);
    double *dxh = malloc(sizeof(double) * (size_t)dy->n);
    for (long i = 0; i < dy->n; i++) dxh[i] = dy->value[i] * w->value[i % s[D]];
    allow_dx(dx, &m, dxh, s[D]);
    allow_sums(db, dw, dy, &m, s[D], s[N], 0);
    free(dxh);
}

/* The residual's side of a backward: the branch (NULL where nothing of it is read), its gate and what goes back.
   Variant bits: 0 dbranch is dy; 1 no gate, nor its gradient; 2 the gate's gradient, 3 the bias's and the norm's sums
   not wanted. */
struct behind {
    struct buffer *branch, *gate, *dbranch, *dgate, *dbias;
    long gate_stride;
};
static struct behind make_behind(struct trial *t, const long *s, struct buffer **dy) {
    long groups = (s[N] + s[ROWS_PER_GROUP] - 1) / s[ROWS_PER_GROUP], stride = s[STRIDE] + GATES_APART;
    struct behind b = {.branch = make(t, ELEM, INPUT, s[N] * s[D]),
                       .gate = make_unless(t, 1, REAL, INPUT, groups * stride),
                       .gate_stride = stride};
    *dy = t->variant & 1 ? make(t, ELEM, UPDATED, s[N] * s[D]) : make(t, ELEM, INPUT, s[N] * s[D]);
    b.dbranch = t->variant & 1 ? *dy : make(t, ELEM, OUTPUT, s[N] * s[D]);
    b.dgate = b.gate ? make_unless(t, 2, REAL, UPDATED, groups * stride) : NULL;
    b.dbias = make_unless(t, 3, REAL, UPDATED, s[D]);
    return b;
}

/* The magnitudes of dx are those of all its terms: what was there, and as allow_dx has it. Then as for a residual,
   whose gradient is dx with its own noise. */
static void allow_behind(struct behind *b, const struct buffer *dx, const double *size, const long *s) {
    long d = s[D];
    for (long i = 0; i < dx->n; i++) {
        long at = i / d / s[ROWS_PER_GROUP] * b->gate_stride + i % d;
        double gate = b->gate ? b->gate->magnitude[at] : 1;
        b->dbranch->noise[i] = gate * (dx->noise[i] + slack(1) * size[i]);
        if (b->dgate)
            b->dgate->noise[at] += b->branch->magnitude[i] * (dx->noise[i] + slack(s[ROWS_PER_GROUP]) * size[i]);
        if (b->dbias) b->dbias->noise[i % d] += gate * (dx->noise[i] + slack(s[N]) * size[i]);
    }
    for (long i = 0; b->dgate && i < b->dgate->n; i++)
        b->dgate->noise[i] += slack(s[ROWS_PER_GROUP]) * b->dgate->magnitude[i];
    for (long i = 0; b->dbias && i < d; i++) b->dbias->noise[i] += slack(s[N]) * b->dbias->magnitude[i];
}

/* Sizes of dx's terms, of dxh in size; what allow_dx takes slack(d) of. */
static double *sizes_of_dx(const struct buffer *dx, double slack_d) {
    double *size = malloc(sizeof(double) * (size_t)dx->n);
    for (long i = 0; i < dx->n; i++) size[i] = dx->noise[i] / slack_d;
    return size;
}

static void affine_residual_backward(struct trial *t, const long *s) {
    struct norm m = make_norm(t, s, INPUT);
    struct buffer *w = make(t, ELEM, INPUT, s[D]), *dx = make(t, RESID, UPDATED, s[N] * s[D]), *dy;
    struct buffer *dw = make_unless(t, 3, REAL, UPDATED, s[D]), *db = make_unless(t, 3, REAL, UPDATED, s[D]);
    struct behind b = make_behind(t, s, &dy);
    double *dxh = malloc(sizeof(double) * (size_t)dy->n);
    for (long i = 0; i < dy->n; i++) dxh[i] = dy->value[i] * w->value[i % s[D]];
    give_statistics(&m, s[D]);
    allow_sums(db, dw, dy, &m, s[D], s[N], 0);
    load(t);
    residual_layernorm_backward(dev(dx), dev(dw), dev(db), dev(b.dbranch), dev(b.dgate), dev(b.dbias), dev(dy),
                                dev(m.x), dev(m.mean), dev(m.rstd), dev(w), dev(b.branch), dev(b.gate), b.gate_stride,
                                s[N], s[D], s[ROWS_PER_GROUP]);
    ref_residual_layernorm_backward(val(dx), val(dw), val(db), val(b.dbranch), val(b.dgate), val(b.dbias), val(dy),
                                    val(m.x), val(m.mean), val(m.rstd), val(w), val(b.branch), val(b.gate),
                                    b.gate_stride, s[N], s[D], s[ROWS_PER_GROUP]);
    allow_dx(dx, &m, dxh, s[D]);
    double *size = sizes_of_dx(dx, slack(s[D]));
    allow_behind(&b, dx, size, s);
    free(size), free(dxh);
}

static void modulate_residual_backward(struct trial *t, const long *s) {
    long groups = (s[N] + s[ROWS_PER_GROUP] - 1) / s[ROWS_PER_GROUP];
    struct norm m = make_norm(t, s, INPUT);
    struct buffer *scale = make(t, REAL, INPUT, groups * s[STRIDE]), *dx = make(t, RESID, UPDATED, s[N] * s[D]), *dy;
    struct buffer *dshift = make_unless(t, 3, REAL, UPDATED, groups * s[STRIDE]);
    struct buffer *dscale = make_unless(t, 3, REAL, UPDATED, groups * s[STRIDE]);
    struct behind b = make_behind(t, s, &dy);
    double *dxh = malloc(sizeof(double) * (size_t)dy->n);
    for (long i = 0; i < dy->n; i++)
        dxh[i] = dy->value[i] * (1 + scale->magnitude[i / s[D] / s[ROWS_PER_GROUP] * s[STRIDE] + i % s[D]]);
    give_statistics(&m, s[D]);
    allow_sums(dshift, dscale, dy, &m, s[D], s[ROWS_PER_GROUP], s[STRIDE]);
    load(t);
    residual_modulate_backward(dev(dx), dev(dshift), dev(dscale), dev(b.dbranch), dev(b.dgate), dev(b.dbias), dev(dy),
                               dev(m.x), dev(m.mean), dev(m.rstd), dev(scale), dev(b.branch), dev(b.gate),
                               b.gate_stride, s[N], s[D], s[ROWS_PER_GROUP], s[STRIDE]);
    ref_residual_modulate_backward(val(dx), val(dshift), val(dscale), val(b.dbranch), val(b.dgate), val(b.dbias),
                                   val(dy), val(m.x), val(m.mean), val(m.rstd), val(scale), val(b.branch), val(b.gate),
                                   b.gate_stride, s[N], s[D], s[ROWS_PER_GROUP], s[STRIDE]);
    allow_dx(dx, &m, dxh, s[D]);
    double *size = sizes_of_dx(dx, slack(s[D]));
    allow_behind(&b, dx, size, s);
    free(size), free(dxh);
}

static void rms_forward(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[N] * s[D]), *w = make(t, ELEM, INPUT, s[D]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[N] * s[D]), *rstd = make(t, REAL, OUTPUT, s[N]);
    load(t);
    rmsnorm_forward(dev(y), dev(rstd), dev(x), dev(w), s[N], s[D], (real)EPS);
    ref_rmsnorm_forward(val(y), val(rstd), val(x), val(w), s[N], s[D], EPS);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(s[D]) * fabs(y->value[i]);
    for (long i = 0; i < rstd->n; i++) rstd->noise[i] = slack(s[D]) * fabs(rstd->value[i]);
}

/* Bit 0: dx is dy; bit 1: dw not wanted. */
static void rms_backward(struct trial *t, const long *s) {
    long n = s[N], d = s[D];
    struct buffer *x = make(t, ELEM, INPUT, n * d), *w = make(t, ELEM, INPUT, d), *rstd = make(t, REAL, INPUT, n);
    struct buffer *dx = make(t, ELEM, t->variant & 1 ? UPDATED : OUTPUT, n * d);
    struct buffer *dy = t->variant & 1 ? dx : make(t, ELEM, INPUT, n * d);
    struct buffer *dw = make_unless(t, 1, REAL, UPDATED, d);
    for (long r = 0; r < n; r++) {
        double squares = 0, product = 0;
        for (long i = r * d; i < (r + 1) * d; i++) squares += x->value[i] * x->value[i];
        put(rstd, r, 1 / sqrt(squares / (double)d + EPS));
        for (long i = r * d; i < (r + 1) * d; i++) {
            double xh = x->magnitude[i] * rstd->value[r];
            product += dy->magnitude[i] * w->magnitude[i % d] * xh / (double)d;
            if (dw) dw->magnitude[i % d] += dy->magnitude[i] * xh;
        }
        for (long i = r * d; i < (r + 1) * d; i++)
            dx->noise[i] = slack(d) * rstd->value[r] *
                           (dy->magnitude[i] * w->magnitude[i % d] + x->magnitude[i] * rstd->value[r] * product);
    }
    allow(dw, n);
    load(t);
    rmsnorm_backward(dev(dx), dev(dw), dev(dy), dev(x), dev(rstd), dev(w), n, d);
    ref_rmsnorm_backward(val(dx), val(dw), val(dy), val(x), val(rstd), val(w), n, d);
}

static const long shapes[][CASE_SIZES] = {
    {1, 1, 1, 1}, {6, 3, 3, 3}, {12, 31, 4, 200}, {7, 33, 3, 33}, {64, 96, 16, 576}, {5, 256, 5, 256}, {0}};

static const long few[][CASE_SIZES] = {{6, 3, 3, 3}, {7, 33, 3, 33}, {12, 64, 4, 192}, {0}};

static const struct kernel_case norms[] = {
    {"layernorm_modulate_forward", modulate_forward, 2, shapes},
    {"layernorm_modulate_backward", modulate_backward, 16, shapes},
    {"layernorm_forward", affine_forward, 2, shapes},
    {"layernorm_backward", affine_backward, 16, shapes},
    {"residual_modulate_forward", residual_modulate, 4, shapes},
    {"residual_layernorm_forward", residual_affine, 4, shapes},
    {"residual_layernorm_backward", affine_residual_backward, 16, few},
    {"residual_modulate_backward", modulate_residual_backward, 16, few},
    {"rmsnorm_forward", rms_forward, 1, shapes},
    {"rmsnorm_backward", rms_backward, 4, shapes},
};

int main(void) { return RUN_CASES(norms); }
