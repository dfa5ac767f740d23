/* test_kernels_norm_rope.c: RMSNorm and rotation in one against the oracle. Sizes: B, n, H, D, distances beyond the
   packed one of the norm that is kept and of the result. Backends that make two passes round to elem in between, so
   every pair carries e = (unit(elem) + slack) (|first| + |second|) into what follows. */
#include "kernel_harness.h"

enum { B, N, HEADS, D, APART, RESULT_APART };
#define EPS 1e-6

static double pair_size(const double *x, long i) { return fabs(x[i / 2 * 2]) + fabs(x[i / 2 * 2 + 1]); }

/* Bit 0: the norm is not kept. */
static void forward(struct trial *t, const long *s) {
    long width = s[HEADS] * s[D], n = s[B] * s[N], stride = s[N] * width + s[APART];
    long y_stride = s[N] * width + s[RESULT_APART];
    struct buffer *x = make(t, ELEM, INPUT, n * width), *w = make(t, ELEM, INPUT, width);
    struct buffer *c = make(t, REAL, INPUT, s[N] * s[D] / 2), *sn = make(t, REAL, INPUT, s[N] * s[D] / 2);
    struct buffer *rstd = make(t, REAL, OUTPUT, n);
    /* between samples nothing changes */
    struct buffer *y = make(t, ELEM, UPDATED, s[B] * y_stride);
    struct buffer *normed = make_unless(t, 0, ELEM, UPDATED, s[B] * stride);
    double *norm = malloc(sizeof(double) * (size_t)(n * width));
    load(t);
    rmsnorm_rope_forward(dev(y), dev(normed), dev(rstd), dev(x), dev(w), dev(c), dev(sn), s[B], s[N], s[HEADS], s[D],
                         y_stride, stride, (real)EPS);
    ref_rmsnorm_rope_forward(val(y), val(normed), val(rstd), val(x), val(w), val(c), val(sn), s[B], s[N], s[HEADS],
                             s[D], y_stride, stride, EPS);
    ref_rmsnorm_forward(norm, val(rstd), val(x), val(w), n, width, EPS);
    for (long i = 0; i < n; i++) rstd->noise[i] = slack(width) * fabs(rstd->value[i]);
    for (long i = 0; i < n * width; i++) {
        long row = i / (s[N] * width), at = i % (s[N] * width);
        y->noise[row * y_stride + at] = (slack(width) + slack(2) + unit(ELEM)) * pair_size(norm, i);
        if (normed) normed->noise[row * stride + at] = slack(width) * fabs(norm[i]);
    }
    free(norm);
}

/* Bit 0: dx is dy; bit 1: dw not wanted. Where dx is not dy its rows lie two widths apart and a bit. */
static void backward(struct trial *t, const long *s) {
    long d = s[HEADS] * s[D], n = s[B] * s[N];
    struct buffer *x = make(t, ELEM, INPUT, n * d), *w = make(t, ELEM, INPUT, d), *rstd = make(t, REAL, INPUT, n);
    struct buffer *c = make(t, REAL, INPUT, s[N] * s[D] / 2), *sn = make(t, REAL, INPUT, s[N] * s[D] / 2);
    long apart = t->variant & 1 ? d : 2 * d + s[APART];
    struct buffer *dx = make(t, ELEM, UPDATED, n * apart); /* between rows nothing changes */
    struct buffer *dy = t->variant & 1 ? dx : make(t, ELEM, INPUT, n * d), *dw = make_unless(t, 1, REAL, UPDATED, d);
    double off = unit(ELEM) + slack(2);
    for (long r = 0; r < n; r++) {
        double squares = 0, product = 0;
        for (long i = r * d; i < (r + 1) * d; i++) squares += x->value[i] * x->value[i];
        put(rstd, r, 1 / sqrt(squares / (double)d + EPS));
        for (long i = r * d; i < (r + 1) * d; i++) {
            double xh = x->magnitude[i] * rstd->value[r], g = pair_size(val(dy), i);
            product += g * w->magnitude[i % d] * xh / (double)d;
            if (dw) dw->noise[i % d] += (off + slack(n)) * g * xh;
        }
        for (long i = r * d; i < (r + 1) * d; i++)
            dx->noise[r * apart + i - r * d] =
                (off + slack(d)) * rstd->value[r] *
                (pair_size(val(dy), i / 2 * 2) * w->magnitude[i % d] + x->magnitude[i] * rstd->value[r] * product);
    }
    for (long i = 0; i < d && dw; i++) dw->noise[i] += slack(n) * dw->magnitude[i];
    load(t);
    rmsnorm_rope_backward(dev(dx), apart, dev(dw), dev(dy), dev(x), dev(rstd), dev(w), dev(c), dev(sn), s[B], s[N],
                          s[HEADS], s[D]);
    ref_rmsnorm_rope_backward(val(dx), apart, val(dw), val(dy), val(x), val(rstd), val(w), val(c), val(sn), s[B], s[N],
                              s[HEADS], s[D]);
}

static const long shapes[][CASE_SIZES] = {
    {1, 1, 1, 2, 0, 0},   {2, 3, 3, 8, 5, 3},     {3, 5, 2, 12, 0, 4}, {2, 33, 1, 32, 8, 0},
    {1, 9, 4, 64, 16, 0}, {2, 2, 24, 128, 8, 24}, {2, 3, 3, 8, 8, 16}, {0}};

static const struct kernel_case norm_rope[] = {
    {"rmsnorm_rope_forward", forward, 2, shapes},
    {"rmsnorm_rope_backward", backward, 4, shapes},
};

int main(void) { return RUN_CASES(norm_rope); }
