/* dit_world.h: a small DiT with all its inputs, in double, for the tests of its gradients (test_dit_gradients.c) and of
   what must be equal to the last bit (test_dit.c). Shapes hide nothing: head of 16 splits 8/4/4 over t, h, w; H != W;
   in and out channels, text and audio widths differ; block 1 of 3 has no audio. */
#ifndef TESTS_DIT_WORLD_H
#define TESTS_DIT_WORLD_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/device.h"
#include "model/dit/dit.h"

enum { BATCH = 2, FRAMES = 3, RANGES = 2 };

static const struct dit_config small = {.dim = 32,
                                        .ffn_dim = 40,
                                        .heads = 2,
                                        .layers = 3,
                                        .in_channels = 3,
                                        .out_channels = 2,
                                        .height = 4,
                                        .width = 6,
                                        .freq_dim = 8,
                                        .text_len = 5,
                                        .text_dim = 7,
                                        .audio_dim = 3,
                                        .audio_tokens = 4,
                                        .audio_width = 6,
                                        .audio_hidden = 10,
                                        .audio_every = 2,
                                        .rope_theta_t = 10000,
                                        .rope_theta_hw = 10000,
                                        .eps = 1e-6};

/* The same with clean latents and a reference's gate; the floor lies between the levels of the two samples. */
static inline struct dit_config gated_config(void) {
    struct dit_config c = small;
    c.out_channels = small.in_channels;
    c.clean_floor = 0.0008;
    c.reference_gate = 1;
    return c;
}

/* ---- device buffers ---- */

static inline void *allocate(size_t bytes) {
    void *p = device_alloc(bytes);
    assert_non_null(p);
    return p;
}

static inline real *normals(uint64_t seed, long n, real scale) {
    real *p = allocate(sizeof(real) * (size_t)n);
    random_init(p, seed, 1000, scale, n);
    return p;
}

static inline real *zeros(long n) {
    real *p = allocate(sizeof(real) * (size_t)n);
    mem_zero(p, sizeof(real) * (size_t)n);
    return p;
}

static inline double *downloaded(const real *device, long n) {
    double *host = malloc(sizeof(double) * (size_t)n);
    assert_non_null(host);
    mem_download(host, device, sizeof(real) * (size_t)n);
    return host;
}

static inline double dot(const real *a, const real *b, long n) {
    double *x = downloaded(a, n), *y = downloaded(b, n), sum = 0;
    for (long i = 0; i < n; i++) sum += x[i] * y[i];
    free(x);
    free(y);
    return sum;
}

static inline void assert_same_bits(const real *a, const real *b, long n, const char *what) {
    double *x = downloaded(a, n), *y = downloaded(b, n);
    int same = memcmp(x, y, sizeof(double) * (size_t)n) == 0;
    free(x);
    free(y);
    if (!same) fail_msg("%s: not the same bits", what);
}

/* ---- a network with its inputs ---- */

struct world {
    struct dit net;
    struct params params;
    struct arena arena;
    struct dit_acts *acts;
    struct dit_input in;
    struct dit_gradients gradients;
    long tokens, latents, outputs; /* tokens of a frame; elements of all samples, padding between them included */
    real *x, *t, *text, *audio[AUDIO_STREAMS], *projection, *velocity, *dlatents;
    int positions[FRAMES];
    /* history */
    real *history_k[RANGES], *history_v[RANGES], *history_dk[RANGES], *history_dv[RANGES];
    long history_size[RANGES];
    struct attention_range *ranges;
    struct dit_history history;
};

static inline void acts_open(struct dit_acts **acts, struct arena *arena, const struct dit *net,
                             enum dit_memory memory) {
    arena_begin(arena, "test activations");
    assert_int_equal(dit_acts_layout(acts, net, BATCH, FRAMES, memory, arena), OK);
    dit_acts_free(*acts);
    assert_int_equal(arena_commit(arena), OK);
    assert_int_equal(dit_acts_layout(acts, net, BATCH, FRAMES, memory, arena), OK);
    assert_int_equal(device_sync(), OK);
}

/* Weights that hide nothing: every tensor random, gains around one, nothing zero. */
static inline real *random_weights(const struct param_table *table) {
    real *w = zeros((long)table->total);
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        real *at = w + param_position(table, p);
        random_init(at, 7, i, p->ndim > 1 ? 0.25 : 0.2, (long)p->count);
        if (p->init != INIT_ONE) continue;
        real *one = zeros((long)p->count);
        real_fill(one, 1, (long)p->count);
        real_axpby(at, 1, one, 1, (long)p->count);
        device_free(one);
    }
    return w;
}

/* first_frame 0: the reference frame, clean, is among the frames. */
static inline void world_open(struct world *w, const struct dit_config *config, enum dit_memory memory, int frames,
                              int first_frame) {
    memset(w, 0, sizeof *w);
    assert_int_equal(dit_create(&w->net, config, 0), OK);
    w->params.table = &w->net.table;
    w->params.weights = random_weights(&w->net.table);
    w->params.grads = zeros((long)w->net.table.total);
    acts_open(&w->acts, &w->arena, &w->net, memory);
    w->tokens = dit_tokens(config);
    long pixels = (long)frames * config->height * config->width, pad = 5;
    w->latents = BATCH * (pixels * config->in_channels + pad);
    w->outputs = BATCH * (pixels * config->out_channels + pad);
    w->x = normals(11, w->latents, 1);
    w->text = normals(12, BATCH * config->text_len * config->text_dim, 1);
    long window = (long)FRAMES * AUDIO_WINDOW * small.audio_dim + 3;
    for (int s = 0; s < AUDIO_STREAMS; s++) w->audio[s] = normals(13 + (uint64_t)s, BATCH * window, 1);
    w->projection = normals(16, w->outputs, 1);
    w->velocity = zeros(w->outputs);
    w->dlatents = zeros(w->latents);
    real t[BATCH * FRAMES];
    for (int b = 0; b < BATCH; b++)
        for (int f = 0; f < frames; f++)
            t[b * frames + f] = first_frame + f == 0 ? 0 : 0.37 + 0.11 * f + 0.7 * b; /* small: smooth sinusoids */
    w->t = allocate(sizeof t);
    mem_upload(w->t, t, sizeof(real) * (size_t)(BATCH * frames));
    for (int f = 0; f < frames; f++) w->positions[f] = first_frame ? 7 + f : f;
    w->in = (struct dit_input){.batch = BATCH,
                               .frames = frames,
                               .first_frame = first_frame,
                               .positions = w->positions,
                               .latents = w->x,
                               .latent_stride = w->latents / BATCH,
                               .t = w->t,
                               .text = w->text,
                               .audio = {w->audio[0], w->audio[1]},
                               .audio_stride = window};
    w->gradients = (struct dit_gradients){.dvelocity = w->projection,
                                          .dvelocity_stride = w->outputs / BATCH,
                                          .dlatents = w->dlatents,
                                          .dlatents_stride = w->latents / BATCH};
}

/* Two ranges, of 1 and 2 frames, as a sink and a ring would be; samples lie further apart than their length. */
static inline void world_add_history(struct world *w) {
    long layers = w->net.config.layers, d = w->net.config.dim;
    w->ranges = calloc((size_t)(layers * RANGES), sizeof *w->ranges);
    assert_non_null(w->ranges);
    for (int r = 0; r < RANGES; r++) {
        long length = (r + 1) * w->tokens, stride = length * d + 9;
        w->history_size[r] = layers * BATCH * stride;
        w->history_k[r] = normals(20 + (uint64_t)r, w->history_size[r], 1);
        w->history_v[r] = normals(30 + (uint64_t)r, w->history_size[r], 1);
        w->history_dk[r] = zeros(w->history_size[r]);
        w->history_dv[r] = zeros(w->history_size[r]);
        for (long l = 0; l < layers; l++)
            w->ranges[l * RANGES + r] = (struct attention_range){.k = w->history_k[r] + l * BATCH * stride,
                                                                 .v = w->history_v[r] + l * BATCH * stride,
                                                                 .length = length,
                                                                 .k_stride = stride,
                                                                 .v_stride = stride,
                                                                 .dk_sum = w->history_dk[r] + l * BATCH * stride,
                                                                 .dv_sum = w->history_dv[r] + l * BATCH * stride};
    }
    w->history = (struct dit_history){.ranges = w->ranges, .count = RANGES};
    w->in.history = &w->history;
}

static inline void world_close(struct world *w) {
    device_free(w->params.weights);
    device_free(w->params.grads);
    device_free(w->x);
    device_free(w->t);
    device_free(w->text);
    for (int s = 0; s < AUDIO_STREAMS; s++) device_free(w->audio[s]);
    device_free(w->projection);
    device_free(w->velocity);
    device_free(w->dlatents);
    for (int r = 0; r < RANGES && w->ranges; r++) {
        device_free(w->history_k[r]);
        device_free(w->history_v[r]);
        device_free(w->history_dk[r]);
        device_free(w->history_dv[r]);
    }
    free(w->ranges);
    dit_acts_free(w->acts);
    arena_free(&w->arena);
    dit_destroy(&w->net);
}

static inline void forward(struct world *w) {
    dit_condition_reset(w->acts, 1, 1);
    assert_int_equal(dit_forward(&w->net, &w->params, w->acts, &w->in, w->velocity, w->outputs / BATCH), OK);
    assert_int_equal(device_sync(), OK);
}

static inline void backward(struct world *w) {
    assert_int_equal(dit_backward(&w->net, &w->params, w->acts, &w->in, &w->gradients), OK);
    assert_int_equal(device_sync(), OK);
}

static inline double velocity_loss(void *context) {
    struct world *w = context;
    forward(w);
    return dot(w->velocity, w->projection, w->outputs);
}

static inline int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(1);
}

#endif
