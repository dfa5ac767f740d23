/* golden_dit.h: what the tests that hold a DiT against other implementations share: weights in place, one forward and
   backward, relative errors and their bounds. Host arrays unless marked. */
#ifndef TESTS_GOLDEN_DIT_H
#define TESTS_GOLDEN_DIT_H

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/dit/dit.h"
#include "model/params/transfer.h"

/* Relative errors of a tensor, in the root of the sum of squares. In bf16 every weight, activation and gradient that is
   stored is off by at most u = 2^-8 of itself; the errors are independent and add in squares, over some 20 stores in
   sequence a block to the velocity and three times as many through the backward. */
static inline double golden_bound(int layers, int backward) {
#ifdef TYPE_BF16
    return sqrt((backward ? 60 : 20) * layers) / 256;
#else
    (void)layers;
    return backward ? 1e-4 : 1e-5;
#endif
}

static inline double golden_error(const real *values, const float *expected, size_t count) {
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double off = (double)values[i] - expected[i];
        error += off * off;
        size += (double)expected[i] * expected[i];
    }
    return sqrt(error / size);
}

static inline void golden_check(const char *name, const real *values, const float *expected, size_t count,
                                double bound) {
    double relative = golden_error(values, expected, count);
    if (!(relative < bound)) fail_msg("%s: off by %g, allowed %g", name, relative, bound);
}

static inline real *golden_upload(const float *values, size_t count) {
    real *device = device_alloc(count * sizeof *device);
    assert_non_null(device);
    transfer_to_real(device, values, (long)count);
    return device;
}

/* The network of dit.safetensors and sampler.safetensors. */
static const struct dit_config golden_config = {.dim = 64,
                                                .ffn_dim = 96,
                                                .heads = 2,
                                                .layers = 2,
                                                .in_channels = 8,
                                                .out_channels = 8,
                                                .height = 4,
                                                .width = 6,
                                                .freq_dim = 256,
                                                .text_len = 8,
                                                .text_dim = 32,
                                                .rope_theta_t = 10000,
                                                .rope_theta_hw = 10000,
                                                .eps = 1e-6};

/* Weights for a table. weight(name, count): a tensor's values, malloc'd. */
static inline struct params golden_params(const struct param_table *table,
                                          float *(*weight)(const char *name, size_t count)) {
    struct params params = {.table = table, .weights = device_alloc(table->total * sizeof(elem))};
    assert_non_null(params.weights);
    mem_zero(params.weights, table->total * sizeof(elem));
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        float *values = weight(p->name, p->count);
        assert_non_null(values);
        transfer_to_elem(params.weights + param_position(table, p), values, (long)p->count);
        free(values);
    }
    return params;
}

struct golden_net {
    struct dit net;
    struct params params;
    int batch, frames;
    size_t count;                   /* elements of latents and velocity */
    real *latents, *t, *projection; /* device */
    elem *text;                     /* device */
};

/* What the network is given, malloc'd: latents, projection [B, F, C, H, W]; t [B, F]; text. */
struct golden_input {
    float *latents, *t, *text, *projection;
};
/* Frees the input. */
static inline void golden_net_open(struct golden_net *g, const struct dit_config *config, int batch, int frames,
                                   float *(*weight)(const char *name, size_t count), struct golden_input in) {
    assert_true(in.latents && in.t && in.text && in.projection);
    assert_int_equal(dit_create(&g->net, config, 0), OK);
    g->batch = batch;
    g->frames = frames;
    g->params = golden_params(&g->net.table, weight);
    size_t text_count = (size_t)batch * (size_t)config->text_len * (size_t)config->text_dim;
    g->count =
        (size_t)batch * (size_t)frames * (size_t)config->in_channels * (size_t)config->height * (size_t)config->width;
    g->latents = golden_upload(in.latents, g->count);
    g->projection = golden_upload(in.projection, g->count);
    g->t = golden_upload(in.t, (size_t)(batch * frames));
    g->text = device_alloc(text_count * sizeof *g->text);
    assert_non_null(g->text);
    transfer_to_elem(g->text, in.text, (long)text_count);
    assert_int_equal(device_sync(), OK);
    free(in.latents);
    free(in.t);
    free(in.text);
    free(in.projection);
}

static inline void golden_net_close(struct golden_net *g) {
    device_free(g->params.weights);
    device_free(g->latents);
    device_free(g->t);
    device_free(g->projection);
    device_free(g->text);
    dit_destroy(&g->net);
}

struct golden_result {
    real *velocity, *dlatents, *grads;
};

static inline real *golden_fetch(real *device, size_t count) {
    real *host = malloc(count * sizeof *host);
    assert_non_null(host);
    mem_download(host, device, count * sizeof *host);
    device_free(device);
    return host;
}

/* One forward and, unless memory is DIT_FORWARD_ONLY, the backward of `projection`. */
static inline struct golden_result golden_run(struct golden_net *g, enum dit_memory memory) {
    struct arena arena;
    struct dit_acts *acts;
    arena_begin(&arena, "test activations");
    assert_int_equal(dit_acts_layout(&acts, &g->net, g->batch, g->frames, memory, &arena), OK);
    dit_acts_free(acts);
    assert_int_equal(arena_commit(&arena), OK);
    assert_int_equal(dit_acts_layout(&acts, &g->net, g->batch, g->frames, memory, &arena), OK);
    size_t bytes = g->count * sizeof(real), total = g->net.table.total;
    real *velocity = device_alloc(bytes), *dlatents = device_alloc(bytes), *grads = device_alloc(total * sizeof(real));
    assert_true(velocity && dlatents && grads);
    mem_zero(dlatents, bytes);
    mem_zero(grads, total * sizeof(real));
    g->params.grads = grads;
    int positions[64];
    for (int f = 0; f < g->frames; f++) positions[f] = f;
    long stride = (long)g->count / g->batch;
    struct dit_input in = {.batch = g->batch,
                           .frames = g->frames,
                           .positions = positions,
                           .latents = g->latents,
                           .latent_stride = stride,
                           .t = g->t,
                           .text = g->text};
    struct dit_gradients gradients = {
        .dvelocity = g->projection, .dvelocity_stride = stride, .dlatents = dlatents, .dlatents_stride = stride};
    assert_int_equal(dit_forward(&g->net, &g->params, acts, &in, velocity, stride), OK);
    if (memory != DIT_FORWARD_ONLY) assert_int_equal(dit_backward(&g->net, &g->params, acts, &in, &gradients), OK);
    assert_int_equal(device_sync(), OK);
    dit_acts_free(acts);
    arena_free(&arena);
    return (struct golden_result){golden_fetch(velocity, g->count), golden_fetch(dlatents, g->count),
                                  golden_fetch(grads, total)};
}

static inline void golden_result_free(struct golden_result *r) {
    free(r->velocity);
    free(r->dlatents);
    free(r->grads);
}

#endif
