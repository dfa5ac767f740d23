/* test_kernels_length_norm.c: the norm by a row's length, with and without SiLU, and softmax, against the oracle. */
#include "kernel_harness.h"

enum { N, D };

/* Variant bit 0: rows of very different lengths, one of zeros; bit 1: in place. A length sums squares of one sign, so
   the factor is off by slack(d) of itself at most; SiLU's slope is at most 1.1, and it rounds in some steps of its
   own. */
static void norm(struct trial *t, const long *s, int silu) {
    int in_place = t->variant >> 1 & 1;
    struct buffer *x = make(t, ELEM, in_place ? UPDATED : INPUT, s[N] * s[D]), *w = make(t, ELEM, INPUT, s[D]);
    struct buffer *y = in_place ? x : make(t, ELEM, OUTPUT, s[N] * s[D]);
    for (long i = 0; i < x->n && t->variant & 1; i++)
        put(x, i, i / s[D] == 1 ? 0 : x->value[i] * exp2((double)(i / s[D] % 5) * 7 - 14));
    double *before = malloc(sizeof(double) * (size_t)x->n), *v = malloc(sizeof(double) * (size_t)x->n);
    assert_true(before && v);
    memcpy(before, x->value, sizeof(double) * (size_t)x->n);
    load(t);
    (silu ? length_norm_silu : length_norm)(dev(y), dev(x), dev(w), s[N], s[D]);
    ref_length_norm(v, before, val(w), s[N], s[D]);
    (silu ? ref_length_norm_silu : ref_length_norm)(val(y), before, val(w), s[N], s[D]);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(s[D]) * fabs(v[i]) * (silu ? 1.1 : 1) + slack(4) * fabs(v[i]);
    free(before);
    free(v);
}
static void plain(struct trial *t, const long *s) { norm(t, s, 0); }
static void with_silu(struct trial *t, const long *s) { norm(t, s, 1); }

/* Variant bit 0: scores far from zero and apart. The exponent is off by its own rounding, the sum by slack(d). */
static void softmax(struct trial *t, const long *s) {
    double scale = 0.37, far = t->variant & 1 ? 40 : 1;
    struct buffer *x = make(t, REAL, INPUT, s[N] * s[D]), *p = make(t, ELEM, OUTPUT, s[N] * s[D]);
    for (long i = 0; i < x->n && t->variant & 1; i++) put(x, i, far * x->value[i] - 100);
    load(t);
    softmax_forward(dev(p), dev(x), (real)scale, s[N], s[D]);
    ref_softmax_forward(val(p), val(x), (double)(real)scale, s[N], s[D]);
    for (long i = 0; i < p->n; i++) p->noise[i] = p->value[i] * (slack(s[D]) + slack(1) * 2 * far * scale);
}

static const long sizes[][CASE_SIZES] = {{1, 1}, {5, 3}, {7, 16}, {6, 33}, {3, 640}, {40, 96}, {0}};

int main(void) {
    static const struct kernel_case length_norms[] = {
        {"length_norm", plain, 4, sizes},
        {"length_norm_silu", with_silu, 4, sizes},
        {"softmax_forward", softmax, 2, sizes},
    };
    return RUN_CASES(length_norms);
}
