/* wav2vec2_forward.c: the passes of the speech encoder. See wav2vec2.h.
   Rows are time, columns channels, so a convolution over time is a linear layer on overlapping windows of rows
   (unfold_rows), with its weight as [out, kernel, in]. So is each group of the positional convolution, on its own
   columns. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"
#include "model/audio/wav2vec2.h"

enum { POSITION_ROWS = 256 }; /* rows of the positional convolution that are unfolded at once */
static const double SIGNAL_EPS = 1e-7, CONV_EPS = 1e-5;

/* Number of rows that n samples leave after convolutions 0 .. i. */
static long conv_rows(const struct wav2vec2_config *c, int i, long n) {
    for (int k = 0; k <= i; k++) n = n < c->conv_kernel[k] ? 0 : (n - c->conv_kernel[k]) / c->conv_stride[k] + 1;
    return n;
}

static long larger(long a, long b) { return a > b ? a : b; }

static void layout_convs(struct wav2vec2_buffers *b, const struct wav2vec2 *net, struct arena *arena) {
    const struct wav2vec2_config *c = &net->config;
    long samples = wav2vec2_samples(net, b->block), wave = 0, unfolded = 0, pre = 0, rows = 0;
    for (int i = 0; i < c->convs; i++) {
        long n = conv_rows(c, i, samples), in = i ? c->conv_dim[i - 1] : 1;
        wave = larger(wave, n * c->conv_dim[i]);
        unfolded = larger(unfolded, n * c->conv_kernel[i] * in);
        if (c->norm_every || !i) pre = larger(pre, n * c->conv_dim[i]);
        rows = larger(rows, n);
    }
    b->pcm = ARENA_TAKE(arena, "samples", real, samples);
    b->signal = ARENA_TAKE(arena, "signal", elem, samples);
    b->mean = ARENA_TAKE(arena, "statistics", real, 1);
    b->variance = ARENA_TAKE(arena, "statistics", real, 1);
    b->first_mean = ARENA_TAKE(arena, "statistics", real, c->conv_dim[0]);
    b->first_variance = ARENA_TAKE(arena, "statistics", real, c->conv_dim[0]);
    for (int k = 0; k < 2; k++) b->wave[k] = ARENA_TAKE(arena, "convolutions", elem, wave);
    b->unfolded = ARENA_TAKE(arena, "unfolded", elem, unfolded);
    b->pre = ARENA_TAKE(arena, "convolutions before their norm", real, pre);
    b->row_mean = ARENA_TAKE(arena, "row statistics", real, larger(rows, b->rows));
    b->row_rstd = ARENA_TAKE(arena, "row statistics", real, larger(rows, b->rows));
}

void wav2vec2_layout(struct wav2vec2_buffers *b, const struct wav2vec2 *net, long block, long rows,
                     struct arena *arena) {
    const struct wav2vec2_config *c = &net->config;
    long n = rows, d = c->dim, wide = c->conv_dim[c->convs - 1], each = d / c->position_groups;
    long piece = n < POSITION_ROWS ? n : POSITION_ROWS;
    b->block = block;
    b->rows = rows;
    layout_convs(b, net, arena);
    b->x = ARENA_TAKE(arena, "residual", resid, n * d);
    b->h = ARENA_TAKE(arena, "normed", elem, n * larger(d, wide));
    b->q = ARENA_TAKE(arena, "attention", elem, n * d);
    b->k = ARENA_TAKE(arena, "attention", elem, n * d);
    b->v = ARENA_TAKE(arena, "attention", elem, n * d);
    b->o = ARENA_TAKE(arena, "attention", elem, n * d);
    b->inner = ARENA_TAKE(arena, "feed-forward", elem, n * c->ffn_dim);
    b->lse = ARENA_TAKE(arena, "attention", real, n * c->heads);
    b->group = ARENA_TAKE(arena, "positions", elem, (n + c->position_kernel) * each);
    b->group_unfolded = ARENA_TAKE(arena, "positions", elem, piece * c->position_kernel * each);
    b->group_out = ARENA_TAKE(arena, "positions", elem, n * each);
}

void wav2vec2_take(struct wav2vec2_buffers *b, const float *pcm, long samples) {
    transfer_to_real(b->pcm, pcm, samples);
}

void wav2vec2_measure_signal(struct wav2vec2_buffers *b, long samples, double weight) {
    channel_moments(b->mean, b->variance, b->pcm, samples, 1, (real)weight);
}

static void make_signal(const struct wav2vec2 *net, struct wav2vec2_buffers *b, long samples) {
    if (net->config.normalise)
        channel_norm(b->signal, b->pcm, b->mean, b->variance, NULL, NULL, samples, 1, (real)SIGNAL_EPS);
    else
        elem_from_real(b->signal, b->pcm, samples);
}

/* Runs convolution i over the n rows of x, into b->pre. */
static void conv_real(const struct wav2vec2 *net, const elem *weights, struct wav2vec2_buffers *b, int i, const elem *x,
                      long n) {
    const struct wav2vec2_config *c = &net->config;
    long in = i ? c->conv_dim[i - 1] : 1, width = c->conv_kernel[i] * in;
    unfold_rows(b->unfolded, x, n, width, c->conv_stride[i] * in);
    linear_forward_real(b->pre, b->unfolded, weights + net->conv[i].w, c->conv_bias ? weights + net->conv[i].b : NULL,
                        n, width, c->conv_dim[i]);
}

void wav2vec2_measure_first(const struct wav2vec2 *net, const struct params *params, struct wav2vec2_buffers *b,
                            long samples, long rows, double weight) {
    if (net->config.norm_every) return;
    make_signal(net, b, samples);
    const elem *weights = params_acquire(params, 0);
    conv_real(net, weights, b, 0, b->signal, rows);
    params_release(params, 0);
    channel_moments(b->first_mean, b->first_variance, b->pre, rows, net->config.conv_dim[0], (real)weight);
}

/* Runs convolution i, norm and GELU, which make n rows of y. */
static void conv_layer(const struct wav2vec2 *net, const elem *weights, struct wav2vec2_buffers *b, int i, elem *y,
                       const elem *x, long n) {
    const struct wav2vec2_config *c = &net->config;
    long in = i ? c->conv_dim[i - 1] : 1, width = c->conv_kernel[i] * in, out = c->conv_dim[i];
    const elem *bias = c->conv_bias ? weights + net->conv[i].b : NULL;
    const elem *norm_w = weights + net->conv[i].norm_w, *norm_b = weights + net->conv[i].norm_b;
    if (c->norm_every) {
        conv_real(net, weights, b, i, x, n);
        layernorm_forward(y, b->row_mean, b->row_rstd, b->pre, norm_w, norm_b, n, out, (real)CONV_EPS);
    } else if (i == 0) {
        conv_real(net, weights, b, i, x, n);
        channel_norm(y, b->pre, b->first_mean, b->first_variance, norm_w, norm_b, n, out, (real)CONV_EPS);
    } else {
        unfold_rows(b->unfolded, x, n, width, c->conv_stride[i] * in);
        linear_forward(y, b->unfolded, weights + net->conv[i].w, bias, n, width, out, 0);
    }
    gelu_erf_forward(y, y, n * out);
}

void wav2vec2_features(const struct wav2vec2 *net, const struct params *params, struct wav2vec2_buffers *b, long frames,
                       real *features) {
    const struct wav2vec2_config *c = &net->config;
    long samples = wav2vec2_samples(net, frames);
    make_signal(net, b, samples);
    const elem *weights = params_acquire(params, 0), *x = b->signal;
    for (int i = 0; i < c->convs; i++) {
        elem *y = b->wave[i & 1];
        conv_layer(net, weights, b, i, y, x, conv_rows(c, i, samples));
        x = y;
    }
    params_release(params, 0);
    real_from_elem(features, x, frames * c->conv_dim[c->convs - 1]);
}

/* Adds GELU(positional convolution of x) to x, with zeros beyond both ends; an even kernel sees one row more before
   than after. */
static void add_positions(const struct wav2vec2 *net, const elem *weights, struct wav2vec2_buffers *b, long n) {
    const struct wav2vec2_config *c = &net->config;
    long d = c->dim, each = d / c->position_groups, kernel = c->position_kernel, width = kernel * each;
    size_t row = sizeof(elem) * (size_t)d, part = sizeof(elem) * (size_t)each;
    elem_from_real(b->h, b->x, n * d);
    mem_zero(b->group, sizeof(elem) * (size_t)((n + kernel) * each));
    for (int g = 0; g < c->position_groups; g++) {
        const elem *w = weights + net->position.w + g * each * width, *bias = weights + net->position.b + g * each;
        mem_copy_rows(b->group + kernel / 2 * each, part, b->h + g * each, row, part, (size_t)n);
        for (long first = 0; first < n; first += POSITION_ROWS) {
            long count = n - first < POSITION_ROWS ? n - first : POSITION_ROWS;
            unfold_rows(b->group_unfolded, b->group + first * each, count, width, each);
            linear_forward(b->group_out + first * each, b->group_unfolded, w, bias, count, width, each, 0);
        }
        mem_copy_rows(b->o + g * each, row, b->group_out, part, part, (size_t)n);
    }
    gelu_erf_forward(b->o, b->o, n * d);
    real_add_elem(b->x, b->o, n * d);
}

/* h = LN(x). onward 1: x = h too, because a post-norm net goes on from the normed rows. */
static void norm(const struct wav2vec2 *net, struct wav2vec2_buffers *b, const elem *w, const elem *bias, long n) {
    layernorm_forward(b->h, b->row_mean, b->row_rstd, b->x, w, bias, n, net->config.dim, (real)net->config.eps);
}
static void norm_onward(const struct wav2vec2 *net, struct wav2vec2_buffers *b, const elem *w, const elem *bias,
                        long n) {
    norm(net, b, w, bias, n);
    real_from_elem(b->x, b->h, n * net->config.dim);
}

/* x += attention(h) */
static void add_attention(const struct wav2vec2 *net, const elem *w, struct wav2vec2_buffers *b, long n) {
    long d = net->config.dim, heads = net->config.heads;
    linear_forward(b->q, b->h, w + net->layer.q_w, w + net->layer.q_b, n, d, d, 0);
    linear_forward(b->k, b->h, w + net->layer.k_w, w + net->layer.k_b, n, d, d, 0);
    linear_forward(b->v, b->h, w + net->layer.v_w, w + net->layer.v_b, n, d, d, 0);
    struct attention_range range = {.k = b->k, .v = b->v, .length = n, .k_stride = n * d, .v_stride = n * d};
    attention_forward(b->o, b->lse, b->q, &range, 1, 1, n, heads, d / heads,
                      (real)(1 / sqrt((double)d / (double)heads)));
    linear_forward(b->q, b->o, w + net->layer.o_w, w + net->layer.o_b, n, d, d, 0);
    real_add_elem(b->x, b->q, n * d);
}

/* x += W2 GELU(W1 h) */
static void add_feed_forward(const struct wav2vec2 *net, const elem *w, struct wav2vec2_buffers *b, long n) {
    long d = net->config.dim, wide = net->config.ffn_dim;
    linear_forward(b->inner, b->h, w + net->layer.in_w, w + net->layer.in_b, n, d, wide, 0);
    gelu_erf_forward(b->inner, b->inner, n * wide);
    linear_forward(b->q, b->inner, w + net->layer.out_w, w + net->layer.out_b, n, wide, d, 0);
    real_add_elem(b->x, b->q, n * d);
}

static void tap_state(const struct wav2vec2 *net, const struct wav2vec2_buffers *b, const struct wav2vec2_tap *tap,
                      int state, long n) {
    long d = net->config.dim;
    for (int i = 0; i < tap->count; i++)
        if (tap->state[i] == state)
            interpolate_rows(tap->out + i * tap->rows * d, b->x, n, tap->rows, d, tap->first, tap->step);
}

/* Runs layer i over x and, in a post-norm net, its copy h. */
static void run_layer(const struct wav2vec2 *net, const elem *w, struct wav2vec2_buffers *b, long n) {
    if (net->config.pre_norm) {
        norm(net, b, w + net->layer.norm_w, w + net->layer.norm_b, n);
        add_attention(net, w, b, n);
        norm(net, b, w + net->layer.last_w, w + net->layer.last_b, n);
        add_feed_forward(net, w, b, n);
    } else {
        add_attention(net, w, b, n);
        norm_onward(net, b, w + net->layer.norm_w, w + net->layer.norm_b, n);
        add_feed_forward(net, w, b, n);
        norm_onward(net, b, w + net->layer.last_w, w + net->layer.last_b, n);
    }
}

void wav2vec2_transform(const struct wav2vec2 *net, const struct params *params, struct wav2vec2_buffers *b,
                        const real *features, long n, const struct wav2vec2_tap *tap) {
    const struct wav2vec2_config *c = &net->config;
    long wide = c->conv_dim[c->convs - 1];
    const elem *stem = params_acquire(params, 0);
    layernorm_forward(b->h, b->row_mean, b->row_rstd, features, stem + net->projection.norm_w,
                      stem + net->projection.norm_b, n, wide, (real)c->eps);
    linear_forward_real(b->x, b->h, stem + net->projection.w, stem + net->projection.b, n, wide, c->dim);
    add_positions(net, stem, b, n);
    if (!c->pre_norm) norm_onward(net, b, stem + net->norm_w, stem + net->norm_b, n);
    tap_state(net, b, tap, 0, n);
    for (int i = 0; i < c->layers; i++) {
        const elem *w = params_acquire(params, 1 + i);
        run_layer(net, w, b, n);
        params_release(params, 1 + i);
        if (c->pre_norm && i == c->layers - 1) norm_onward(net, b, stem + net->norm_w, stem + net->norm_b, n);
        tap_state(net, b, tap, 1 + i, n);
    }
    params_release(params, 0);
}
