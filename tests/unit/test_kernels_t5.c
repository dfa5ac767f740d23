/* test_kernels_t5.c: the text encoder's kernels against the oracle. */
#include "kernel_harness.h"

static void norm(struct trial *t, const long *s) {
    struct buffer *x = make(t, RESID, INPUT, s[0] * s[1]), *w = make(t, ELEM, INPUT, s[1]);
    struct buffer *y = make(t, ELEM, OUTPUT, s[0] * s[1]);
    load(t);
    rmsnorm_resid_forward(dev(y), dev(x), dev(w), s[0], s[1], (real)1e-6);
    ref_rmsnorm_resid_forward(val(y), val(x), val(w), s[0], s[1], 1e-6);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(s[1]) * fabs(y->value[i]);
}

/* Bit 0: in place of the gate, bit 1: of the other factor. Far below zero gelu is the difference of nearly equal
   numbers: its error is one of x/2. */
static void gate(struct trial *t, const long *s) {
    struct buffer *a = make(t, ELEM, t->variant & 1 ? UPDATED : INPUT, s[0]);
    struct buffer *b = make(t, ELEM, t->variant & 2 ? UPDATED : INPUT, s[0]);
    struct buffer *y = t->variant & 1 ? a : t->variant & 2 ? b : make(t, ELEM, OUTPUT, s[0]);
    spread(a, -6, 6);
    for (long i = 0; i < y->n; i++) y->noise[i] = slack(1) * a->magnitude[i] * b->magnitude[i];
    load(t);
    gelu_gate_forward(dev(y), dev(a), dev(b), s[0]);
    ref_gelu_gate_forward(val(y), val(a), val(b), s[0]);
}

enum { S, H, D, BEYOND }; /* reach = S + BEYOND */

/* A score is off by at most delta = slack(D) scale sum |q||k| + slack(1) |bias|, a weight by 2 delta + slack(S) of
   itself; a backend may round it to elem. */
static void attend(struct trial *t, const long *s) {
    long n = s[S] * s[H] * s[D], reach = s[S] + s[BEYOND], row = 2 * reach - 1;
    struct buffer *q = make(t, ELEM, INPUT, n), *k = make(t, ELEM, INPUT, n), *v = make(t, ELEM, INPUT, n);
    struct buffer *bias = make(t, REAL, INPUT, s[H] * row), *o = make(t, ELEM, OUTPUT, n);
    double scale = t->variant ? 0.37 : 1;
    spread(q, -2, 2);
    spread(bias, -3, 3);
    load(t);
    attention_relative_forward(dev(o), dev(q), dev(k), dev(v), dev(bias), s[S], s[H], s[D], reach, (real)scale);
    ref_attention_relative_forward(val(o), val(q), val(k), val(v), val(bias), s[S], s[H], s[D], reach, (real)scale);
    double *weight = malloc(sizeof(double) * (size_t)s[S]);
    assert_non_null(weight);
    for (long i = 0; i < s[S] * s[H]; i++) {
        long h = i % s[H];
        double total = 0, delta = 0;
        for (long j = 0; j < s[S]; j++) {
            double score = 0, size = 0, b = bias->value[h * row + i / s[H] - j + reach - 1];
            for (long d = 0; d < s[D]; d++) {
                double term = scale * q->value[i * s[D] + d] * k->value[(j * s[H] + h) * s[D] + d];
                score += term;
                size += fabs(term);
            }
            total += weight[j] = exp(score + b);
            delta = fmax(delta, slack(s[D]) * size + slack(1) * (fabs(b) + fabs(score + b)));
        }
        for (long j = 0; j < s[S]; j++)
            for (long d = 0; d < s[D]; d++)
                o->noise[i * s[D] + d] += (2 * delta + slack(s[S]) + unit(ELEM)) * weight[j] / total *
                                          v->magnitude[(j * s[H] + h) * s[D] + d];
    }
    free(weight);
}

static const long rows[][CASE_SIZES] = {{1, 1}, {3, 17}, {5, 256}, {33, 100}, {0}};
static const long lengths[][CASE_SIZES] = {{1}, {17}, {64}, {1000}, {0}};
static const long sequences[][CASE_SIZES] = {
    {1, 1, 1, 0}, {5, 2, 8, 0}, {17, 3, 12, 4}, {64, 1, 16, 0}, {70, 2, 64, 9}, {131, 1, 40, 0}, {0}};

static const struct kernel_case t5[] = {
    {"rmsnorm_resid_forward", norm, 1, rows},
    {"gelu_gate_forward", gate, 3, lengths},
    {"attention_relative_forward", attend, 2, sequences},
};

int main(void) { return RUN_CASES(t5); }
