/* test_kernel_gradients.c: every backward of kernels.h against central differences, in double.
   A case has inputs and outputs; L = sum of the outputs times fixed random weights (the outputs' gradients). For each
   input and random direction u, (L(x + h u) - L(x - h u)) / 2h must equal the dot product of gradient and u. One step
   of Richardson's extrapolation, from h and h/2, leaves h^4 of L's fifth derivative: about 1e-12 at h = 1e-3 and inputs
   of order 1, where rounding is about 1e-13. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

#define TOLERANCE 1e-6
enum { IN_MAX = 8, OUT_MAX = 3, SAVED_MAX = 4, DIRECTIONS = 3 };

/* All pointers are device pointers. Sizes of 0: not there. */
struct problem {
    long in_n[IN_MAX], out_n[OUT_MAX], saved_n[SAVED_MAX];
    double *in[IN_MAX], *grad[IN_MAX], *out[OUT_MAX], *dout[OUT_MAX], *saved[SAVED_MAX];
};

struct gradient_case {
    const char *name;
    void (*forward)(struct problem *p);
    void (*backward)(struct problem *p); /* grad starts as zero */
    long in_n[IN_MAX], out_n[OUT_MAX], saved_n[SAVED_MAX];
};

static uint32_t drawn;
static double draw(void) {
    struct random_address address = {.seed = 11, .purpose = RANDOM_TEST};
    return 2 * random_uniform(&address, drawn++) - 1;
}

/* Device copy of n draws kept away from zero, where relu has its corner. */
static double *draws_on_device(long n) {
    double *device = device_alloc(sizeof(double) * (size_t)n), *host = malloc(sizeof(double) * (size_t)n);
    assert_true(device && host);
    for (long i = 0; i < n; i++) {
        host[i] = draw();
        host[i] += host[i] < 0 ? -0.1 : 0.1;
    }
    mem_upload(device, host, sizeof(double) * (size_t)n);
    free(host);
    return device;
}

static double *download(const double *device, long n) {
    double *host = malloc(sizeof(double) * (size_t)n);
    assert_non_null(host);
    mem_download(host, device, sizeof(double) * (size_t)n);
    return host;
}

static double weighted_outputs(const struct gradient_case *c, struct problem *p) {
    double sum = 0;
    for (int k = 0; k < OUT_MAX; k++)
        if (p->out[k]) mem_zero(p->out[k], sizeof(double) * (size_t)p->out_n[k]); /* losses are added to */
    c->forward(p);
    for (int k = 0; k < OUT_MAX && p->out[k]; k++) {
        double *out = download(p->out[k], p->out_n[k]), *weight = download(p->dout[k], p->out_n[k]);
        for (long i = 0; i < p->out_n[k]; i++) sum += out[i] * weight[i];
        free(out), free(weight);
    }
    return sum;
}

/* L at input k moved by `step` along u. */
static double moved(const struct gradient_case *c, struct problem *p, int k, const double *x, const double *u,
                    double step) {
    double *at = malloc(sizeof(double) * (size_t)p->in_n[k]);
    for (long i = 0; i < p->in_n[k]; i++) at[i] = x[i] + step * u[i];
    mem_upload(p->in[k], at, sizeof(double) * (size_t)p->in_n[k]);
    double value = weighted_outputs(c, p);
    mem_upload(p->in[k], x, sizeof(double) * (size_t)p->in_n[k]);
    free(at);
    return value;
}

/* Relative error of input k's gradient along one random direction. */
static double direction_error(const struct gradient_case *c, struct problem *p, int k) {
    double *x = download(p->in[k], p->in_n[k]), *grad = download(p->grad[k], p->in_n[k]);
    double *u = malloc(sizeof(double) * (size_t)p->in_n[k]), dot = 0, size = 0, h = 1e-3;
    for (long i = 0; i < p->in_n[k]; i++) {
        u[i] = draw();
        dot += grad[i] * u[i];
        size += fabs(grad[i] * u[i]);
    }
    double wide = (moved(c, p, k, x, u, h) - moved(c, p, k, x, u, -h)) / (2 * h);
    double narrow = (moved(c, p, k, x, u, h / 2) - moved(c, p, k, x, u, -h / 2)) / h;
    double difference = (4 * narrow - wide) / 3;
    free(x), free(grad), free(u);
    /* relative to the result, unless its terms happen to cancel */
    return fabs(difference - dot) / fmax(fmax(fabs(dot), fabs(difference)), fmax(1e-3 * size, 1e-30));
}

static double worst_error(const struct gradient_case *c) {
    struct problem p = {0};
    double worst = 0;
    memcpy(p.in_n, c->in_n, sizeof p.in_n);
    memcpy(p.out_n, c->out_n, sizeof p.out_n);
    memcpy(p.saved_n, c->saved_n, sizeof p.saved_n);
    for (int k = 0; k < IN_MAX && p.in_n[k]; k++) {
        p.in[k] = draws_on_device(p.in_n[k]);
        p.grad[k] = draws_on_device(p.in_n[k]);
        mem_zero(p.grad[k], sizeof(double) * (size_t)p.in_n[k]);
    }
    for (int k = 0; k < OUT_MAX && p.out_n[k]; k++) {
        p.out[k] = draws_on_device(p.out_n[k]);
        p.dout[k] = draws_on_device(p.out_n[k]);
    }
    for (int k = 0; k < SAVED_MAX && p.saved_n[k]; k++) p.saved[k] = draws_on_device(p.saved_n[k]);
    weighted_outputs(c, &p);
    c->backward(&p);
    for (int k = 0; k < IN_MAX && p.in[k]; k++)
        for (int i = 0; i < DIRECTIONS; i++) {
            double error = direction_error(c, &p, k);
            if (!(error < TOLERANCE)) print_message("%s: input %d: relative error %g\n", c->name, k, error);
            worst = error > worst || error != error ? error : worst;
        }
    assert_int_equal(device_sync(), OK);
    for (int k = 0; k < IN_MAX; k++) device_free(p.in[k]), device_free(p.grad[k]);
    for (int k = 0; k < OUT_MAX; k++) device_free(p.out[k]), device_free(p.dout[k]);
    for (int k = 0; k < SAVED_MAX; k++) device_free(p.saved[k]);
    return worst;
}

/* ---- the cases ---- */

static void gelu(struct problem *p) { gelu_forward(p->out[0], p->in[0], p->in_n[0]); }
static void gelu_back(struct problem *p) { gelu_backward(p->grad[0], p->dout[0], p->in[0], p->in_n[0]); }
static void silu(struct problem *p) { silu_forward(p->out[0], p->in[0], p->in_n[0]); }
static void silu_back(struct problem *p) { silu_backward(p->grad[0], p->dout[0], p->in[0], p->in_n[0]); }
static void relu(struct problem *p) { relu_forward(p->out[0], p->in[0], p->in_n[0]); }
static void relu_back(struct problem *p) { relu_backward(p->grad[0], p->dout[0], p->out[0], p->in_n[0]); }

enum { N = 7, DIN = 5, DOUT = 6 };
static void linear(struct problem *p) {
    linear_forward(p->out[0], p->in[0], p->in[1], p->in[2], N, DIN, DOUT, 0);
    linear_forward_real(p->out[1], p->in[0], p->in[1], p->in[2], N, DIN, DOUT);
}
/* The second output's gradient through the "+=" and beta 1 forms. */
static void linear_back(struct problem *p) {
    linear_backward_input(p->grad[0], p->dout[0], p->in[1], N, DIN, DOUT, 0);
    linear_backward_input(p->grad[0], p->dout[1], p->in[1], N, DIN, DOUT, 1);
    linear_backward_weight(p->grad[1], p->grad[2], p->dout[0], p->in[0], N, DIN, DOUT);
    linear_backward_weight(p->grad[1], p->grad[2], p->dout[1], p->in[0], N, DIN, DOUT);
}

/* A feed-forward layer: x, w1 [DOUT, DIN], b1, w2 [DIN, DOUT]; saved: pre, y, dpre. */
static void feed_forward(struct problem *p) {
    linear_gelu_forward(p->saved[1], p->saved[0], p->in[0], p->in[1], p->in[2], N, DIN, DOUT);
    linear_forward(p->out[0], p->saved[1], p->in[3], NULL, N, DOUT, DIN, 0);
}
static void feed_forward_back(struct problem *p) {
    linear_backward_weight(p->grad[3], NULL, p->dout[0], p->saved[1], N, DOUT, DIN);
    linear_gelu_backward_input(p->saved[2], p->dout[0], p->in[3], p->saved[0], N, DOUT, DIN);
    linear_backward_weight(p->grad[1], p->grad[2], p->saved[2], p->in[0], N, DIN, DOUT);
    linear_backward_input(p->grad[0], p->saved[2], p->in[1], N, DIN, DOUT, 0);
}

enum { ROWS = 6, WIDTH = 9, PER_GROUP = 3, STRIDE = 11, VECTORS = (ROWS / PER_GROUP - 1) * STRIDE + WIDTH };
static void norm_modulate(struct problem *p) {
    layernorm_modulate_forward(p->out[0], p->saved[0], p->saved[1], p->in[0], p->in[1], p->in[2], ROWS, WIDTH,
                               PER_GROUP, STRIDE, 1e-6);
}
static void norm_modulate_back(struct problem *p) {
    layernorm_modulate_backward(p->grad[0], p->grad[1], p->grad[2], p->dout[0], p->in[0], p->saved[0], p->saved[1],
                                p->in[2], ROWS, WIDTH, PER_GROUP, STRIDE);
}
static void norm_affine(struct problem *p) {
    layernorm_forward(p->out[0], p->saved[0], p->saved[1], p->in[0], p->in[1], p->in[2], ROWS, WIDTH, 1e-6);
}
static void norm_affine_back(struct problem *p) {
    layernorm_backward(p->grad[0], p->grad[1], p->grad[2], p->dout[0], p->in[0], p->saved[0], p->saved[1], p->in[1],
                       ROWS, WIDTH);
}
static void norm_rms(struct problem *p) {
    rmsnorm_forward(p->out[0], p->saved[0], p->in[0], p->in[1], ROWS, WIDTH, 1e-6);
}
static void norm_rms_back(struct problem *p) {
    rmsnorm_backward(p->grad[0], p->grad[1], p->dout[0], p->in[0], p->saved[0], p->in[1], ROWS, WIDTH);
}

static void modulation(struct problem *p) { modulation_forward(p->out[0], p->in[0], p->in[1], 4, WIDTH); }
static void modulation_back(struct problem *p) { modulation_backward(p->grad[0], p->grad[1], p->dout[0], 4, WIDTH); }

/* The gradient of x is the output's own. */
static void residual(struct problem *p) {
    residual_forward(p->out[0], p->in[0], p->in[1], p->in[2], ROWS, WIDTH, PER_GROUP, STRIDE);
    residual_forward(p->out[1], p->in[0], p->in[1], NULL, ROWS, WIDTH, 1, 0);
}
static void residual_back(struct problem *p) {
    residual_backward(p->grad[1], p->grad[2], NULL, p->dout[0], p->in[1], p->in[2], ROWS, WIDTH, PER_GROUP, STRIDE);
    residual_backward(p->saved[0], NULL, NULL, p->dout[1], p->in[1], NULL, ROWS, WIDTH, 1, 0);
    real_axpby(p->grad[1], 1, p->saved[0], 1, ROWS * WIDTH);
    real_axpby(p->grad[0], 1, p->dout[0], 0, ROWS * WIDTH);
    real_axpby(p->grad[0], 1, p->dout[1], 1, ROWS * WIDTH);
}

/* Saved: cosines and sines of a table, so that the rotation is one. */
enum { B = 2, F = 3, H = 2, D = 8, TOKENS = F * 2 * 2, TABLE = TOKENS * D / 2, PACKED = B * TOKENS * H * D };
static void rope(struct problem *p) {
    static const int position[] = {0, 4, 9};
    struct rope_axes axes = {D, 2, 1, 1, 1e4, 100};
    rope_table(p->saved[0], p->saved[1], &axes, position, F, 2, 2);
    rope_apply(p->out[0], p->in[0], p->saved[0], p->saved[1], B, TOKENS, H, D, PACKED / B, PACKED / B, 1);
    rope_apply(p->out[1], p->in[0], p->saved[0], p->saved[1], B, TOKENS, H, D, PACKED / B, PACKED / B, 1);
}
static void rope_back(struct problem *p) {
    rope_apply(p->grad[0], p->dout[0], p->saved[0], p->saved[1], B, TOKENS, H, D, PACKED / B, PACKED / B, -1);
    rope_add_inverse(p->grad[0], p->dout[1], p->saved[0], p->saved[1], B, TOKENS, H, D, PACKED / B, PACKED / B);
}
static void norm_rope(struct problem *p) {
    static const int position[] = {0, 4, 9};
    struct rope_axes axes = {D, 2, 1, 1, 1e4, 100};
    rope_table(p->saved[0], p->saved[1], &axes, position, F, 2, 2);
    rmsnorm_rope_forward(p->out[0], NULL, p->saved[2], p->in[0], p->in[1], p->saved[0], p->saved[1], B, TOKENS, H, D,
                         PACKED / B, 0, 1e-6);
}
static void norm_rope_back(struct problem *p) {
    rmsnorm_rope_backward(p->grad[0], H * D, p->grad[1], p->dout[0], p->in[0], p->saved[2], p->in[1], p->saved[0],
                          p->saved[1], B, TOKENS, H, D);
}

/* Inputs q, then k and v of ranges of 3, 2 and 4 tokens; the gradients in all the ways that a range can ask for
   them. */
enum { S = 5, K0 = 3, K1 = 2, K2 = 4, TOKEN = H * D, GAP = 3 };
static void make_ranges(struct problem *p, struct attention_range *r) {
    r[0] = (struct attention_range){p->in[1], p->in[2], K0, K0 * TOKEN, K0 * TOKEN, p->grad[1], p->grad[2], NULL, NULL};
    r[1] = (struct attention_range){p->in[3], p->in[4], K1,         K1 * TOKEN + GAP, K1 * TOKEN,
                                    NULL,     NULL,     p->grad[3], p->grad[4]};
    r[2] = (struct attention_range){p->in[5], p->in[6], K2, K2 * TOKEN, K2 * TOKEN, p->grad[5], NULL, NULL, p->grad[6]};
}
static void attention(struct problem *p) {
    struct attention_range ranges[3];
    make_ranges(p, ranges);
    attention_forward(p->out[0], p->saved[0], p->in[0], ranges, 3, B, S, H, D, 0.7);
}
static void attention_back(struct problem *p) {
    struct attention_range ranges[3];
    make_ranges(p, ranges);
    attention_backward(p->grad[0], p->dout[0], p->out[0], p->saved[0], p->in[0], ranges, 3, B, S, H, D, 0.7);
}

enum { C = 3, LH = 4, LW = 6, LATENT = F * C * LH * LW, LSTRIDE = LATENT + 5, LATENTS = LSTRIDE + LATENT };
static void patches(struct problem *p) { patchify(p->out[0], p->in[0], B, F, C, LH, LW, LSTRIDE); }
static void patches_back(struct problem *p) { patchify_backward(p->grad[0], p->dout[0], B, F, C, LH, LW, LSTRIDE); }
static void unpatches(struct problem *p) { unpatchify(p->out[0], p->in[0], B, F, C, LH, LW, LSTRIDE); }
static void unpatches_back(struct problem *p) { unpatchify_backward(p->grad[0], p->dout[0], B, F, C, LH, LW, LSTRIDE); }
/* in: clean latents, noisy latents; saved: t of two frames of 15, below and above the floor */
static const double clean_t[2] = {100, 700};
static void clean_velocity(struct problem *p) {
    mem_upload(p->saved[0], clean_t, sizeof clean_t);
    mem_copy(p->out[0], p->in[0], sizeof(double) * 30);
    clean_to_velocity(p->out[0], 30, p->in[1], 30, p->saved[0], 0.3, 1, 2, 15);
}
static void clean_velocity_back(struct problem *p) {
    clean_to_velocity_backward(p->grad[0], p->grad[1], 30, p->dout[0], 30, p->saved[0], 0.3, 1, 2, 15);
}

/* in: clean latents, gates of two frames of 15, the reference. The backward works in the place of clean's gradient. */
static void open_gate(struct problem *p) {
    mem_copy(p->out[0], p->in[0], sizeof(double) * 30);
    reference_gate_forward(p->out[0], 30, p->in[1], p->in[2], 15, 1, 2, 15);
}
static void open_gate_back(struct problem *p) {
    mem_copy(p->grad[0], p->dout[0], sizeof(double) * 30);
    mem_copy(p->grad[1], p->dout[0], sizeof(double) * 30);
    reference_gate_backward(p->grad[1], p->grad[2], 15, p->in[1], p->in[2], 15, 1, 2, 15);
}

/* in: x, w, b; strided, grouped, padded unevenly; the second output takes the beta 1 form of the input's gradient. */
static const struct conv_shape uneven = {2, 4, 6, 2, {3, 4, 5}, {2, 3, 2}, {1, 2, 1}, {1, 1, 0}, {0, 0, 1}};
enum { CONV_X = 2 * 3 * 4 * 5 * 4, CONV_W = 6 * 2 * 3 * 2 * 2, CONV_Y = 2 * 3 * 2 * 5 * 6 };
static void convolution(struct problem *p) {
    conv_forward(p->out[0], p->in[0], p->in[1], p->in[2], &uneven, 0);
    conv_forward(p->out[1], p->in[0], p->in[1], NULL, &uneven, 1); /* outputs start as zero */
    conv_forward_real(p->out[2], p->in[0], p->in[1], p->in[2], &uneven);
}
static void convolution_back(struct problem *p) {
    conv_backward_input(p->grad[0], p->dout[0], p->in[1], &uneven, 0);
    conv_backward_input(p->grad[0], p->dout[1], p->in[1], &uneven, 1);
    conv_backward_weight(p->grad[1], p->grad[2], p->dout[0], p->in[0], &uneven);
    conv_backward_weight(p->grad[1], NULL, p->dout[1], p->in[0], &uneven);
    conv_backward_input(p->grad[0], p->dout[2], p->in[1], &uneven, 1);
    conv_backward_weight(p->grad[1], p->grad[2], p->dout[2], p->in[0], &uneven);
}

enum { BLOCK = 2 * 3 * 2 * 5 * 8 }; /* t 2, h 3, w 2, C 5, blocks of 2 x 2 x 2 */
static const struct block_order block_order = {{2, 2, 2}, 8, {4, 1, 2}};
static void block_layout(struct problem *p) {
    depth_to_block(p->out[0], p->in[0], 2, 3, 2, 5, &block_order);
    block_to_depth(p->out[1], p->in[1], 2, 3, 2, 5, &block_order);
}
static void block_layout_back(struct problem *p) {
    block_to_depth(p->grad[0], p->dout[0], 2, 3, 2, 5, &block_order);
    depth_to_block(p->grad[1], p->dout[1], 2, 3, 2, 5, &block_order);
}
static void planes(struct problem *p) {
    planes_from_depth(p->out[0], p->in[0], 2, 3, 2, 5, &block_order);
    depth_from_planes(p->out[1], p->in[1], 2, 3, 2, 5, &block_order);
}
static void planes_back(struct problem *p) {
    depth_from_planes(p->grad[0], p->dout[0], 2, 3, 2, 5, &block_order);
    planes_from_depth(p->grad[1], p->dout[1], 2, 3, 2, 5, &block_order);
}
static void upsample(struct problem *p) { upsample_nearest(p->out[0], p->in[0], 2, 3, 2, 5, 2); }
static void upsample_back(struct problem *p) { upsample_nearest_backward(p->grad[0], p->dout[0], 2, 3, 2, 5, 2); }

/* Losses give the gradient of the loss itself; it is scaled by the loss's weight in L here. */
static void scale_by_loss(struct problem *p, int k) {
    double weight;
    mem_download(&weight, p->dout[0], sizeof weight);
    real_axpby(p->grad[k], 0, p->grad[k], (real)weight, p->in_n[k]);
}

/* in: prediction; saved: target, weights of the groups */
static void mse(struct problem *p) { mse_loss(p->out[0], NULL, p->in[0], p->saved[0], p->saved[1], 3, 10); }
static void mse_back(struct problem *p) {
    mse_loss(p->saved[2], p->grad[0], p->in[0], p->saved[0], p->saved[1], 3, 10);
    scale_by_loss(p, 0);
}

/* Of pictures of 3 planes, with weights of their places. */
static void absolute(struct problem *p) { abs_loss(p->out[0], NULL, p->in[0], p->saved[0], p->saved[2], 3, 0.7, 6, 5); }
static void absolute_back(struct problem *p) {
    abs_loss(p->saved[1], p->grad[0], p->in[0], p->saved[0], p->saved[2], 3, 0.7, 6, 5);
    scale_by_loss(p, 0);
}
static void gradient_difference(struct problem *p) {
    gradient_difference_loss(p->out[0], NULL, p->in[0], p->saved[0], p->saved[2], 1, 0.7, 2, 3, 4);
}
static void gradient_difference_back(struct problem *p) {
    gradient_difference_loss(p->saved[1], p->grad[0], p->in[0], p->saved[0], p->saved[2], 1, 0.7, 2, 3, 4);
    scale_by_loss(p, 0);
}

/* in: x, r, f; saved: norm */
static void sid(struct problem *p) {
    sid_gradients(NULL, NULL, NULL, p->out[0], p->in[0], p->in[1], p->in[2], p->saved[0], 1.2, 2, 15);
}
static void sid_back(struct problem *p) {
    sid_gradients(p->grad[1], p->grad[2], p->grad[0], p->saved[1], p->in[0], p->in[1], p->in[2], p->saved[0], 1.2, 2,
                  15);
    for (int k = 0; k < 3; k++) scale_by_loss(p, k);
}

static void relativistic(struct problem *p) {
    relativistic_loss(p->out[0], NULL, NULL, p->in[0], p->in[1], 0.5, p->in_n[0]);
}
static void relativistic_back(struct problem *p) {
    relativistic_loss(p->saved[0], p->grad[0], p->grad[1], p->in[0], p->in[1], 0.5, p->in_n[0]);
    scale_by_loss(p, 0);
    scale_by_loss(p, 1);
}

static void penalty(struct problem *p) {
    finite_difference_penalty(p->out[0], NULL, NULL, p->in[0], p->in[1], 0.25, 3, p->in_n[0]);
}
static void penalty_back(struct problem *p) {
    finite_difference_penalty(p->saved[0], p->grad[0], p->grad[1], p->in[0], p->in[1], 0.25, 3, p->in_n[0]);
    scale_by_loss(p, 0);
    scale_by_loss(p, 1);
}

/* A gradient that is wrong by one part in 10000 at one element. */
static void gelu_back_wrong(struct problem *p) {
    gelu_back(p);
    real_axpby(p->grad[0] + 4, 1e-4, p->grad[0] + 4, 1, 1);
}

static const struct gradient_case cases[] = {
    {"gelu", gelu, gelu_back, {31}, {31}, {0}},
    {"silu", silu, silu_back, {31}, {31}, {0}},
    {"relu", relu, relu_back, {31}, {31}, {0}},
    {"linear", linear, linear_back, {N * DIN, DOUT *DIN, DOUT}, {N * DOUT, N *DOUT}, {0}},
    {"linear_gelu",
     feed_forward,
     feed_forward_back,
     {N * DIN, DOUT *DIN, DOUT, DIN *DOUT},
     {N * DIN},
     {N * DOUT, N *DOUT, N *DOUT}},
    {"layernorm_modulate",
     norm_modulate,
     norm_modulate_back,
     {ROWS * WIDTH, VECTORS, VECTORS},
     {ROWS * WIDTH},
     {ROWS, ROWS}},
    {"layernorm", norm_affine, norm_affine_back, {ROWS * WIDTH, WIDTH, WIDTH}, {ROWS * WIDTH}, {ROWS, ROWS}},
    {"rmsnorm", norm_rms, norm_rms_back, {ROWS * WIDTH, WIDTH}, {ROWS * WIDTH}, {ROWS}},
    {"modulation", modulation, modulation_back, {WIDTH, 4 * WIDTH}, {4 * WIDTH}, {0}},
    {"residual",
     residual,
     residual_back,
     {ROWS * WIDTH, ROWS *WIDTH, VECTORS},
     {ROWS * WIDTH, ROWS *WIDTH},
     {ROWS * WIDTH}},
    {"rope", rope, rope_back, {PACKED}, {PACKED, PACKED}, {TABLE, TABLE}},
    {"rmsnorm_rope", norm_rope, norm_rope_back, {PACKED, H *D}, {PACKED}, {TABLE, TABLE, B *TOKENS}},
    {"attention",
     attention,
     attention_back,
     {B * S * TOKEN, B *K0 *TOKEN, B *K0 *TOKEN, B *(K1 *TOKEN + GAP), B *K1 *TOKEN, B *K2 *TOKEN, B *K2 *TOKEN},
     {B * S * TOKEN},
     {B * H * S}},
    {"patchify", patches, patches_back, {LATENTS}, {B * LATENT}, {0}},
    {"unpatchify", unpatches, unpatches_back, {B * LATENT}, {LATENTS}, {0}},
    {"conv", convolution, convolution_back, {CONV_X, CONV_W, 6}, {CONV_Y, CONV_Y, CONV_Y}, {0}},
    {"depth_to_block", block_layout, block_layout_back, {BLOCK, BLOCK}, {BLOCK, BLOCK}, {0}},
    {"planes_from_depth", planes, planes_back, {BLOCK, BLOCK}, {BLOCK, BLOCK}, {0}},
    {"upsample_nearest", upsample, upsample_back, {60}, {240}, {0}},
    {"clean_to_velocity", clean_velocity, clean_velocity_back, {30, 30}, {30}, {2}},
    {"reference_gate", open_gate, open_gate_back, {30, 30, 15}, {30}, {0}},
    {"mse_loss", mse, mse_back, {30}, {1}, {30, 3, 1}},
    {"abs_loss", absolute, absolute_back, {30}, {1}, {30, 1, 10}},
    {"gradient_difference_loss", gradient_difference, gradient_difference_back, {24}, {1}, {24, 1, 24}},
    {"sid_gradients", sid, sid_back, {30, 30, 30}, {1}, {2, 1}},
    {"relativistic_loss", relativistic, relativistic_back, {13, 13}, {1}, {1}},
    {"finite_difference_penalty", penalty, penalty_back, {13, 13}, {1}, {1}},
};
enum { CASES = sizeof cases / sizeof *cases };

static void gradient_is_exact(void **state) {
    const struct gradient_case *c = *state;
    assert_true(worst_error(c) < TOLERANCE);
}

static void notices_a_wrong_gradient(void **state) {
    (void)state;
    static const struct gradient_case wrong = {"made wrong on purpose", gelu, gelu_back_wrong, {31}, {31}, {0}};
    assert_true(worst_error(&wrong) > TOLERANCE);
}

int main(void) {
    struct CMUnitTest tests[CASES + 1];
    for (int i = 0; i < CASES; i++)
        tests[i] = (struct CMUnitTest){
            .name = cases[i].name, .test_func = gradient_is_exact, .initial_state = (void *)&cases[i]};
    tests[CASES] = (struct CMUnitTest)cmocka_unit_test(notices_a_wrong_gradient);
    if (device_init(2)) return fprintf(stderr, "%s\n", error_text()), 1;
    return _cmocka_run_group_tests("kernel gradients", tests, CASES + 1, NULL, NULL);
}
