/* test_kernels_signal.c: windows, statistics and norms of channels, interpolation and the exact GELU against the
   oracle. */
#include "kernel_harness.h"

/* Sizes: rows, width, stride. Exact. */
static void unfold(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, (s[0] - 1) * s[2] + s[1]), *y = make(t, ELEM, OUTPUT, s[0] * s[1]);
    load(t);
    unfold_rows(dev(y), dev(x), s[0], s[1], s[2]);
    ref_unfold_rows(val(y), val(x), s[0], s[1], s[2]);
}

/* Sizes: rows, columns. Variant 0: alone; 1: merged. The mean of n numbers below 1.5 (columns off zero, so that one
   pass over the squares would lose digits) is off by slack(n); the variance by that of n squares below 1, where an
   error of the mean enters squared, and by the few operations of the merge with numbers up to 3. */
static void moments(struct trial *t, const long *s) {
    double weight = t->variant ? 0.25 : 1;
    struct buffer *x = make(t, REAL, INPUT, s[0] * s[1]);
    struct buffer *mean = make(t, REAL, t->variant ? UPDATED : OUTPUT, s[1]);
    struct buffer *variance = make(t, REAL, t->variant ? UPDATED : OUTPUT, s[1]);
    for (long i = 0; i < x->n; i++) put(x, i, 0.5 * x->value[i] + (double)(i % s[1] % 3) - 1);
    if (t->variant) spread(variance, 0, 2);
    for (long i = 0; i < s[1]; i++) {
        mean->noise[i] = 1.5 * slack(s[0]);
        variance->noise[i] = 3 * slack(s[0]);
    }
    load(t);
    channel_moments(dev(mean), dev(variance), dev(x), s[0], s[1], (real)weight);
    ref_channel_moments(val(mean), val(variance), val(x), s[0], s[1], weight);
}

/* Bit 0: no weight; bit 1: no bias. */
static void norm(struct trial *t, const long *s) {
    long n = s[0], d = s[1];
    struct buffer *x = make(t, REAL, INPUT, n * d), *y = make(t, ELEM, OUTPUT, n * d);
    struct buffer *mean = make(t, REAL, INPUT, d), *variance = make(t, REAL, INPUT, d);
    struct buffer *w = make_unless(t, 0, ELEM, INPUT, d), *b = make_unless(t, 1, ELEM, INPUT, d);
    spread(variance, 0, 2);
    put(variance, 0, 0);
    load(t);
    channel_norm(dev(y), dev(x), dev(mean), dev(variance), dev(w), dev(b), n, d, (real)1e-5);
    ref_channel_norm(val(y), val(x), val(mean), val(variance), val(w), val(b), n, d, (real)1e-5);
    for (long i = 0; i < n * d; i++) {
        long c = i % d;
        double size = (x->magnitude[i] + mean->magnitude[c]) / sqrt(variance->value[c] + 1e-5);
        y->noise[i] = slack(1) * (size * (w ? w->magnitude[c] : 1) + (b ? b->magnitude[c] : 0));
    }
}

/* Sizes: rows of x, rows of y, width. Positions before the start, past the end, on rows and between them; the share
   between rows is rounded once, the rows themselves are below 1. */
static void interpolate(struct trial *t, const long *s) {
    double first = t->variant == 2 ? -0.7 : 0;
    double step = t->variant == 1 ? 2 : t->variant == 2 ? 0.37 : s[1] > 1 ? (double)(s[0] - 1) / (double)(s[1] - 1) : 0;
    struct buffer *x = make(t, REAL, INPUT, s[0] * s[2]), *y = make(t, REAL, OUTPUT, s[1] * s[2]);
    load(t);
    interpolate_rows(dev(y), dev(x), s[0], s[1], s[2], first, step);
    ref_interpolate_rows(val(y), val(x), s[0], s[1], s[2], first, step);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(2);
    if (t->variant == 1)
        for (long i = 0; i < y->n; i++) y->noise[i] = 0; /* on the rows: exact */
}

/* The error function is good to 1.5e-7 of its own, some units at 1, times x. Variant 1: in place. */
static void gelu_erf(struct trial *t, const long *s) {
    static const double some[] = {0, -0.0, 30, -30, 5, -5, 1e-20, -1e-20, 1e4, -1e4};
    struct buffer *y = make(t, ELEM, t->variant ? UPDATED : OUTPUT, s[0]),
                  *x = t->variant ? y : make(t, ELEM, INPUT, s[0]);
    spread(x, -4, 4);
    for (long i = 0; i < 10 && i < x->n; i++) put(x, x->n - 1 - i, some[i]);
    for (long i = 0; i < s[0]; i++) y->noise[i] = (slack(1) + (unit(REAL) > 1e-12 ? 1e-7 : 0)) * fabs(x->value[i]);
    load(t);
    gelu_erf_forward(dev(y), dev(x), s[0]);
    ref_gelu_erf_forward(val(y), val(x), s[0]);
}

static const long windows[][CASE_SIZES] = {{1, 1, 1}, {7, 10, 5}, {33, 48, 16}, {5, 3, 7}, {64, 6, 6}, {0}};
static const long tables[][CASE_SIZES] = {{1, 1}, {300, 1}, {1, 33}, {7, 16}, {300, 31}, {65, 64}, {0}};
static const long ramps[][CASE_SIZES] = {{1, 1, 3}, {1, 4, 3}, {49, 25, 33}, {49, 24, 16}, {5, 17, 31}, {3, 1, 2}, {0}};
static const long lengths[][CASE_SIZES] = {{1}, {3}, {31}, {33}, {1000}, {0}};

static const struct kernel_case signals[] = {
    {"unfold_rows", unfold, 1, windows},        {"channel_moments", moments, 2, tables},
    {"channel_norm", norm, 4, tables},          {"interpolate_rows", interpolate, 3, ramps},
    {"gelu_erf_forward", gelu_erf, 2, lengths},
};

int main(void) { return RUN_CASES(signals); }
