/* test_cuda_graphs.c: what the graphs say that cuDNN is asked for, evaluated on the host (evaluate.h) against the
   double oracle: the backward of attention in parts, the convolutions with their epilogues, the weights' gradient.
   Types are not looked at: the sums of both are exact to the last places of a double, so a missing factor, a
   transposition or a wrong stride shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/kernels.h"
#include "kernels/oracle.h"
#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/convolution/conv_cudnn.h"
#include "tests/cuda/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A few thousand products and sums of numbers up to 1, in another order: 2^-52 each, and a wide margin. */
#define NEAR 1e-11

static void fill(double *x, long n, unsigned seed) {
    for (long i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (double)(seed >> 8) / (1 << 23) - 1;
    }
}

static double *made(long n, unsigned seed) {
    double *x = malloc(sizeof *x * (size_t)n);
    fill(x, n, seed);
    return x;
}

static void bind(const struct evaluation *e, int64_t uid, const double *x, long n) {
    memcpy(evaluation_memory(e, uid), x, sizeof *x * (size_t)n);
}

static void near(const struct evaluation *e, int64_t uid, const double *wanted, long n) {
    const double *got = evaluation_memory(e, uid);
    double worst = 0;
    for (long i = 0; i < n; i++) worst = fmax(worst, fabs(got[i] - wanted[i]) + (isnan(got[i]) ? INFINITY : 0));
    if (!(worst <= NEAR)) print_error("%s: tensor %ld is off by %g\n", e->graph->name, (long)uid, worst);
    assert_true(worst <= NEAR);
}

/* ---- attention ---- */

struct sizes {
    long B, S, K, H, D, gap; /* gap: between the samples' keys, in elements */
};

static void backward_of(const struct sizes *s, cudnn_builder *build) {
    long queries = s->B * s->S * s->H * s->D, packed = s->K * s->H * s->D, stride = packed + s->gap;
    long keys = (s->B - 1) * stride + packed, sums = s->B * s->H * s->S;
    double *q = made(queries, 1), *k = made(keys, 2), *v = made(keys, 3), *dout = made(queries, 4);
    double *o = made(queries, 5), *lse = made(sums, 6), *dq = made(queries, 7);
    double *dk = made(s->B * packed, 8), *dv = made(s->B * packed, 9), scale = 0.37, one = 1;
    struct ref_attention_range range = {.k = k, .v = v, .length = s->K, .k_stride = stride, .v_stride = stride};
    ref_attention_forward(o, lse, q, &range, 1, s->B, s->S, s->H, s->D, scale);
    for (long i = 0; i < sums; i++)
        lse[i] += 0.3; /* the statistics cover all ranges: pretend that there are more keys elsewhere */
    range.dk = dk, range.dv = dv;
    ref_attention_backward(dq, dout, o, lse, q, &range, 1, s->B, s->S, s->H, s->D, scale);

    struct attention a = {.B = s->B, .S = s->S, .H = s->H, .D = s->D};
    struct attention_range shape = {.length = s->K, .k_stride = stride, .v_stride = stride};
    struct cudnn_key key = cudnn_attention_key(&a, &shape);
    struct cudnn_graph graph = {.nodes = 0};
    struct evaluation e;
    build(&graph, &key);
    evaluation_open(&e, &graph);
    bind(&e, ATTENTION_Q, q, queries), bind(&e, ATTENTION_O, o, queries), bind(&e, ATTENTION_DO, dout, queries);
    bind(&e, ATTENTION_K, k, keys), bind(&e, ATTENTION_V, v, keys);
    bind(&e, ATTENTION_STATISTICS, lse, sums), bind(&e, ATTENTION_SCALE, &scale, 1), bind(&e, ATTENTION_ONE, &one, 1);
    assert_true(evaluate(&e));
    near(&e, ATTENTION_DQ, dq, queries);
    near(&e, ATTENTION_DK, dk, s->B * packed);
    near(&e, ATTENTION_DV, dv, s->B * packed);
    evaluation_close(&e);
    double *all[] = {q, k, v, dout, o, lse, dq, dk, dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static void attention_backward_graphs(void **state) {
    (void)state;
    static const struct sizes sizes[] = {
        {1, 5, 7, 1, 8, 0}, {2, 5, 7, 3, 8, 0}, {2, 9, 4, 2, 16, 24}, {3, 1, 13, 2, 8, 8}, {1, 17, 1, 4, 8, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        backward_of(&sizes[i], cudnn_attention_backward_parts);
        backward_of(&sizes[i], cudnn_attention_backward_ordered);
    }
}

/* Determinism is a property of the form, not of an engine's notes. */
static void forms_of_attention(void **state) {
    (void)state;
    cudnn_builder *form[CUDNN_BACKWARD_FORMS];
    assert_int_equal(cudnn_attention_backward_forms(form, 91900, 0), 1);
    assert_ptr_equal(form[0], cudnn_attention_backward_parts);
    assert_int_equal(cudnn_attention_backward_forms(form, 92800, 0), 2);
    assert_ptr_equal(form[0], cudnn_attention_backward_whole);
    for (size_t version = 91900; version <= 92800; version += 900) {
        assert_int_equal(cudnn_attention_backward_forms(form, version, 1), 1);
        assert_ptr_equal(form[0], cudnn_attention_backward_ordered);
    }
}

/* ---- convolutions ---- */

/* Operands of a convolution and what the oracle makes of them. */
struct convolution {
    struct conv_shape shape;
    long in, out, places; /* numbers of x, y, w */
    double *x, *w, *y, *bias;
};

static struct convolution convolution(const struct conv_shape *s) {
    struct convolution c = {.shape = *s};
    c.in = s->samples * s->in[0] * s->in[1] * s->in[2] * s->ci;
    c.out = s->samples * conv_out(s, 0) * conv_out(s, 1) * conv_out(s, 2) * s->co;
    c.places = s->co * s->kernel[0] * s->kernel[1] * s->kernel[2] * (s->ci / s->groups);
    c.x = made(c.in, 1), c.w = made(c.places, 2), c.y = made(c.out, 3), c.bias = made(s->co, 4);
    return c;
}

static void convolution_free(struct convolution *c) { free(c->x), free(c->w), free(c->y), free(c->bias); }

static void begin(struct evaluation *e, struct cudnn_graph *graph, const struct convolution *c, cudnn_builder *build,
                  double beta) {
    struct cudnn_key key = cudnn_conv_key(&c->shape, (real)beta, 0);
    memset(graph, 0, sizeof *graph);
    build(graph, &key);
    evaluation_open(e, graph);
}

static void forward_of(const struct convolution *c, double beta, int biased) {
    struct cudnn_graph graph;
    struct evaluation e;
    double *y = made(c->out, 3);
    ref_conv_forward(y, c->x, c->w, biased ? c->bias : NULL, &c->shape, beta);
    begin(&e, &graph, c, biased ? cudnn_conv_bias_graph : cudnn_conv_forward_graph, beta);
    bind(&e, CONV_X, c->x, c->in), bind(&e, CONV_W, c->w, c->places), bind(&e, CONV_Y, c->y, c->out);
    if (biased) bind(&e, CONV_BIAS, c->bias, c->shape.co);
    if (biased && beta != 0) bind(&e, CONV_OLD_Y, c->y, c->out);
    assert_true(evaluate(&e));
    near(&e, CONV_Y, y, c->out);
    evaluation_close(&e);
    free(y);
}

static void input_of(const struct convolution *c, double beta) {
    struct cudnn_graph graph;
    struct evaluation e;
    double *dx = made(c->in, 1);
    ref_conv_backward_input(dx, c->y, c->w, &c->shape, beta);
    begin(&e, &graph, c, cudnn_conv_input_graph, beta);
    bind(&e, CONV_X, c->x, c->in), bind(&e, CONV_W, c->w, c->places), bind(&e, CONV_Y, c->y, c->out);
    assert_true(evaluate(&e));
    near(&e, CONV_X, dx, c->in);
    evaluation_close(&e);
    free(dx);
}

static void weight_of(const struct convolution *c, cudnn_builder *form) {
    struct cudnn_graph graph;
    struct evaluation e;
    double *dw = made(c->places, 2), *zero = calloc((size_t)c->places, sizeof *zero);
    int apart = form == cudnn_conv_weight_narrow;
    begin(&e, &graph, c, form, 0);
    bind(&e, CONV_X, c->x, c->in), bind(&e, CONV_Y, c->y, c->out);
    if (!apart) bind(&e, CONV_W, c->w, c->places);
    if (form == cudnn_conv_weight_added) bind(&e, CONV_OLD_DW, c->w, c->places);
    ref_conv_backward_weight(apart ? zero : dw, NULL, c->y, c->x, &c->shape);
    assert_true(evaluate(&e));
    near(&e, apart ? CONV_DW_PART : CONV_W, apart ? zero : dw, c->places);
    evaluation_close(&e);
    free(dw), free(zero);
}

static void convolution_graphs(void **state) {
    (void)state;
    static const struct conv_shape shapes[] = {
        {1, 2, 3, 1, {3, 4, 5}, {3, 3, 3}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}},
        {2, 3, 2, 1, {1, 5, 4}, {1, 3, 3}, {1, 2, 2}, {0, 0, 0}, {0, 1, 1}},
        {2, 4, 2, 1, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},
        {1, 4, 6, 2, {1, 1, 9}, {1, 1, 4}, {1, 1, 1}, {0, 0, 2}, {0, 0, 1}},
        {1, 3, 2, 1, {4, 2, 2}, {2, 1, 1}, {2, 1, 1}, {0, 0, 0}, {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct convolution c = convolution(&shapes[i]);
        for (int beta = 0; beta < 2; beta++) {
            forward_of(&c, beta, 0), forward_of(&c, beta, 1);
            input_of(&c, beta);
        }
        weight_of(&c, cudnn_conv_weight_direct);
        weight_of(&c, cudnn_conv_weight_added);
        weight_of(&c, cudnn_conv_weight_narrow);
        convolution_free(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_backward_graphs),
                                       cmocka_unit_test(forms_of_attention), cmocka_unit_test(convolution_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
