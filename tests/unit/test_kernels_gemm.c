/* test_kernels_gemm.c: linear layers and real matrix products against the oracle. Sizes: n, din, dout. */
#include "kernel_harness.h"

static double beta_of(const struct trial *t) { return t->variant >> 1 == 0 ? 0 : t->variant >> 1 == 1 ? 1 : 0.5; }
static enum role role_of(const struct trial *t) { return beta_of(t) == 0 ? OUTPUT : UPDATED; }

/* Bit 0: no bias; above it: beta 0, 1, 0.5. */
static void forward(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0] * s[1]), *w = make(t, ELEM, INPUT, s[2] * s[1]);
    struct buffer *b = make_unless(t, 0, ELEM, INPUT, s[2]), *y = make(t, ELEM, role_of(t), s[0] * s[2]);
    double beta = beta_of(t);
    load(t);
    linear_forward(dev(y), dev(x), dev(w), dev(b), s[0], s[1], s[2], (real)beta);
    ref_linear_forward(val(y), val(x), val(w), val(b), s[0], s[1], s[2], beta);
    ref_linear_forward(mag(y), mag(x), mag(w), mag(b), s[0], s[1], s[2], beta);
    allow(y, s[1]);
}

static void forward_real(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0] * s[1]), *w = make(t, ELEM, INPUT, s[2] * s[1]);
    struct buffer *b = make_unless(t, 0, ELEM, INPUT, s[2]), *y = make(t, REAL, OUTPUT, s[0] * s[2]);
    load(t);
    linear_forward_real(dev(y), dev(x), dev(w), dev(b), s[0], s[1], s[2]);
    ref_linear_forward_real(val(y), val(x), val(w), val(b), s[0], s[1], s[2]);
    ref_linear_forward_real(mag(y), mag(x), mag(w), mag(b), s[0], s[1], s[2]);
    allow(y, s[1]);
}

enum { PARTS = 3, APART = 8 }; /* between one layer's result and the next one's */
static void parts_forward(struct trial *t, const long *s) {
    long each = s[2] * s[1];
    struct buffer *x = make(t, ELEM, INPUT, s[0] * s[1]), *w = make(t, ELEM, INPUT, PARTS * each);
    struct buffer *b = make(t, ELEM, INPUT, PARTS * s[2]);
    long y_stride = s[0] * s[2] + t->variant * APART; /* between the results nothing changes */
    struct buffer *y = make(t, ELEM, UPDATED, PARTS * y_stride);
    load(t);
    linear_parts_forward(dev(y), dev(x), dev(w), dev(b), PARTS, y_stride, s[0], s[1], s[2]);
    ref_linear_parts_forward(val(y), val(x), val(w), val(b), PARTS, y_stride, s[0], s[1], s[2]);
    for (long i = 0; i < PARTS; i++) { /* its part of the buffer, which is what was there before */
        double *size = mag(y) + i * y_stride;
        ref_linear_forward(size, mag(x), mag(w) + i * each, mag(b) + i * s[2], s[0], s[1], s[2], 0);
        for (long j = 0; j < s[0] * s[2]; j++) y->noise[i * y_stride + j] = slack(s[1]) * size[j];
    }
}

/* Bit 0: no bias; bit 1: pre is not kept. gelu's slope is at most 1.13, so y inherits the error of pre, its rounding to
   elem included. */
static void forward_gelu(struct trial *t, const long *s) {
    struct buffer *x = make(t, ELEM, INPUT, s[0] * s[1]), *w = make(t, ELEM, INPUT, s[2] * s[1]);
    struct buffer *b = make_unless(t, 0, ELEM, INPUT, s[2]);
    struct buffer *pre = make_unless(t, 1, ELEM, OUTPUT, s[0] * s[2]), *y = make(t, ELEM, OUTPUT, s[0] * s[2]);
    double *sum = malloc(sizeof *sum * (size_t)y->n), *size = malloc(sizeof *size * (size_t)y->n);
    load(t);
    linear_gelu_forward(dev(y), dev(pre), dev(x), dev(w), dev(b), s[0], s[1], s[2]);
    ref_linear_gelu_forward(val(y), val(pre), val(x), val(w), val(b), s[0], s[1], s[2]);
    ref_linear_forward(sum, val(x), val(w), val(b), s[0], s[1], s[2], 0);
    ref_linear_forward(size, mag(x), mag(w), mag(b), s[0], s[1], s[2], 0);
    for (long i = 0; i < y->n; i++) {
        if (pre) pre->noise[i] = slack(s[1]) * size[i];
        y->noise[i] = 1.13 * (slack(s[1]) * size[i] + unit(ELEM) * fabs(sum[i])) + slack(1) * fabs(sum[i]);
    }
    free(sum);
    free(size);
}

static void backward_input(struct trial *t, const long *s) {
    struct buffer *dy = make(t, ELEM, INPUT, s[0] * s[2]), *w = make(t, ELEM, INPUT, s[2] * s[1]);
    struct buffer *dx = make(t, ELEM, role_of(t), s[0] * s[1]);
    double beta = beta_of(t);
    load(t);
    linear_backward_input(dev(dx), dev(dy), dev(w), s[0], s[1], s[2], (real)beta);
    ref_linear_backward_input(val(dx), val(dy), val(w), s[0], s[1], s[2], beta);
    ref_linear_backward_input(mag(dx), mag(dy), mag(w), s[0], s[1], s[2], beta);
    allow(dx, s[2]);
}

/* The sum may be rounded to elem before the slope (below 1.13) is applied. */
static void gelu_backward_input(struct trial *t, const long *s) {
    struct buffer *dy = make(t, ELEM, INPUT, s[0] * s[2]), *w = make(t, ELEM, INPUT, s[2] * s[1]);
    struct buffer *pre = make(t, ELEM, INPUT, s[0] * s[1]), *dx = make(t, ELEM, OUTPUT, s[0] * s[1]);
    spread(pre, -4, 4);
    load(t);
    linear_gelu_backward_input(dev(dx), dev(dy), dev(w), dev(pre), s[0], s[1], s[2]);
    ref_linear_gelu_backward_input(val(dx), val(dy), val(w), val(pre), s[0], s[1], s[2]);
    ref_linear_backward_input(mag(dx), mag(dy), mag(w), s[0], s[1], s[2], 0);
    struct buffer sum = *dx;
    sum.value = malloc(sizeof(double) * (size_t)dx->n);
    ref_linear_backward_input(sum.value, val(dy), val(w), s[0], s[1], s[2], 0);
    for (long i = 0; i < dx->n; i++)
        dx->noise[i] = (1.13 * slack(s[2]) + slack(1) * (1 + fabs(pre->value[i]))) * dx->magnitude[i] +
                       1.13 * unit(ELEM) * fabs(sum.value[i]);
    free(sum.value);
}

/* Bit 0: no gradient of the bias. */
static void backward_weight(struct trial *t, const long *s) {
    struct buffer *dy = make(t, ELEM, INPUT, s[0] * s[2]), *x = make(t, ELEM, INPUT, s[0] * s[1]);
    struct buffer *dw = make(t, REAL, UPDATED, s[2] * s[1]), *db = make_unless(t, 0, REAL, UPDATED, s[2]);
    load(t);
    linear_backward_weight(dev(dw), dev(db), dev(dy), dev(x), s[0], s[1], s[2]);
    ref_linear_backward_weight(val(dw), val(db), val(dy), val(x), s[0], s[1], s[2]);
    ref_linear_backward_weight(mag(dw), mag(db), mag(dy), mag(x), s[0], s[1], s[2]);
    allow(dw, s[0]);
    allow(db, s[0]);
}

static void products(struct trial *t, const long *s) {
    long m = s[0], k = s[1], n = s[2];
    struct buffer *a = make(t, REAL, INPUT, m * k), *b = make(t, REAL, INPUT, k * n), *c = make(t, REAL, OUTPUT, m * n);
    load(t);
    void (*const products[])(real *, const real *, const real *, long, long, long) = {matmul_real, matmul_real_nt,
                                                                                      matmul_real_tn};
    void (*const oracles[])(double *, const double *, const double *, long, long,
                            long) = {ref_matmul_real, ref_matmul_real_nt, ref_matmul_real_tn};
    products[t->variant](dev(c), dev(a), dev(b), m, k, n);
    oracles[t->variant](val(c), val(a), val(b), m, k, n);
    oracles[t->variant](mag(c), mag(a), mag(b), m, k, n);
    allow(c, k);
}

static const long shapes[][CASE_SIZES] = {{1, 1, 1},   {3, 1, 33},    {33, 31, 3},   {31, 96, 33},
                                          {1, 64, 31}, {64, 32, 128}, {70, 130, 40}, {0}};

static const struct kernel_case gemm[] = {
    {"linear_forward", forward, 6, shapes},
    {"linear_forward_real", forward_real, 2, shapes},
    {"linear_parts_forward", parts_forward, 2, shapes},
    {"linear_gelu_forward", forward_gelu, 4, shapes},
    {"linear_backward_input", backward_input, 6, shapes},
    {"linear_gelu_backward_input", gelu_backward_input, 1, shapes},
    {"linear_backward_weight", backward_weight, 2, shapes},
    {"matmul_real, _nt, _tn", products, 3, shapes},
};

int main(void) { return RUN_CASES(gemm); }
