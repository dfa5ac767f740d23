/* test_dit.c: the DiT's hand-written gradients against central differences in double, and what must be equal to the last
   bit: recompute, input-only backward, reused condition, forward without saving, silent audio modules.
   Shapes hide nothing: head of 16 splits 8/4/4 over t, h, w; H != W; in and out channels, text and audio widths differ;
   block 1 of 3 has no audio. Derivatives by the five-point rule at h = 1e-4: its error, about h^4 of the function's
   scale plus 1e-16/h of rounding, is far below the 1e-6 asked for. */
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
#include "model/dit.h"

enum { BATCH = 2, FRAMES = 3, RANGES = 2 };
#define STEP      1e-4
#define TOLERANCE 1e-6

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

/* ---- device buffers ---- */

static void *allocate(size_t bytes) {
    void *p = device_alloc(bytes);
    assert_non_null(p);
    return p;
}

static real *normals(uint64_t seed, long n, real scale) {
    real *p = allocate(sizeof(real) * (size_t)n);
    random_init(p, seed, 1000, scale, n);
    return p;
}

static real *zeros(long n) {
    real *p = allocate(sizeof(real) * (size_t)n);
    mem_zero(p, sizeof(real) * (size_t)n);
    return p;
}

static double *downloaded(const real *device, long n) {
    double *host = malloc(sizeof(double) * (size_t)n);
    assert_non_null(host);
    mem_download(host, device, sizeof(real) * (size_t)n);
    return host;
}

static double dot(const real *a, const real *b, long n) {
    double *x = downloaded(a, n), *y = downloaded(b, n), sum = 0;
    for (long i = 0; i < n; i++) sum += x[i] * y[i];
    free(x);
    free(y);
    return sum;
}

static void assert_same_bits(const real *a, const real *b, long n, const char *what) {
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

static void acts_open(struct dit_acts **acts, struct arena *arena, const struct dit *net, enum dit_memory memory) {
    arena_begin(arena, "test activations");
    assert_int_equal(dit_acts_layout(acts, net, BATCH, FRAMES, memory, arena), OK);
    dit_acts_free(*acts);
    assert_int_equal(arena_commit(arena), OK);
    assert_int_equal(dit_acts_layout(acts, net, BATCH, FRAMES, memory, arena), OK);
    assert_int_equal(device_sync(), OK);
}

/* Weights that hide nothing: every tensor random, gains around one, nothing zero. */
static real *random_weights(const struct param_table *table) {
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
static void world_open(struct world *w, const struct dit_config *config, enum dit_memory memory, int frames,
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
static void world_add_history(struct world *w) {
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
    w->history = (struct dit_history){w->ranges, RANGES};
    w->in.history = &w->history;
}

static void world_close(struct world *w) {
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

static void forward(struct world *w) {
    dit_condition_reset(w->acts, 1, 1);
    assert_int_equal(dit_forward(&w->net, &w->params, w->acts, &w->in, w->velocity, w->outputs / BATCH), OK);
    assert_int_equal(device_sync(), OK);
}

static void backward(struct world *w) {
    assert_int_equal(dit_backward(&w->net, &w->params, w->acts, &w->in, &w->gradients), OK);
    assert_int_equal(device_sync(), OK);
}

static double velocity_loss(void *context) {
    struct world *w = context;
    forward(w);
    return dot(w->velocity, w->projection, w->outputs);
}

/* ---- differences ---- */

/* d loss / d values along a direction that has a random part and one along the gradient, so that it is neither blind to
   a missing part of the gradient nor nearly across it. */
static void check_direction(double (*loss)(void *), void *context, real *values, const real *grad, long n, int seed,
                            const char *name) {
    real *direction = normals(500 + (uint64_t)seed, n, 1), *kept = zeros(n);
    mem_copy(kept, values, sizeof(real) * (size_t)n);
    double along = sqrt(dot(grad, grad, n)), across = sqrt(dot(direction, direction, n));
    if (!(along > 1e-8)) fail_msg("%s: the gradient is %g", name, along);
    real_axpby(direction, 1 / along, grad, 1 / across, n);
    double expected = dot(direction, grad, n), f[4];
    static const int at[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        mem_copy(values, kept, sizeof(real) * (size_t)n);
        real_axpby(values, at[i] * STEP, direction, 1, n);
        f[i] = loss(context);
    }
    mem_copy(values, kept, sizeof(real) * (size_t)n);
    double measured = (f[0] - f[3] + 8 * (f[2] - f[1])) / (12 * STEP);
    double error = fabs(measured - expected) / fabs(expected);
    if (!(error < TOLERANCE))
        fail_msg("%s: gradient %.12g, differences %.12g, off by %g", name, expected, measured, error);
    device_free(direction);
    device_free(kept);
}

static void check_parameters(double (*loss)(void *), void *context, struct world *w, int head) {
    const struct param_table *table = &w->net.table;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        if (p->slice == w->net.config.layers + 1 && !head) continue;
        size_t at = param_position(table, p);
        check_direction(loss, context, w->params.weights + at, w->params.grads + at, (long)p->count, i, p->name);
    }
}

static void bidirectional(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_SAVE_ALL, FRAMES, 0);
    forward(&w);
    backward(&w);
    check_parameters(velocity_loss, &w, &w, 1);
    check_direction(velocity_loss, &w, w.x, w.dlatents, w.latents, 900, "latents");
    world_close(&w);
}

/* A head that gives clean latents: the velocity follows from them, and its gradients are exact, on both sides of the floor. */
static void clean_latents(void **state) {
    (void)state;
    struct dit_config clean = small, velocity = small;
    clean.out_channels = velocity.out_channels = small.in_channels;
    clean.clean_floor = 0.0008; /* between the levels of the two samples */
    struct world w, plain;
    world_open(&w, &clean, DIT_SAVE_ALL, FRAMES, 0);
    world_open(&plain, &velocity, DIT_FORWARD_ONLY, FRAMES, 0);
    forward(&w);
    forward(&plain);
    double *x = downloaded(w.x, w.latents), *v = downloaded(w.velocity, w.outputs),
           *head = downloaded(plain.velocity, w.outputs), *t = downloaded(w.t, BATCH * FRAMES);
    long frame = (long)clean.in_channels * clean.height * clean.width, stride = w.outputs / BATCH;
    int low = 0, high = 0;
    for (int f = 0; f < BATCH * FRAMES; f++) {
        double level = t[f] / 1000 > clean.clean_floor ? t[f] / 1000 : clean.clean_floor;
        *(level > clean.clean_floor ? &high : &low) = 1;
        for (long i = 0; i < frame; i++) {
            long at = f / FRAMES * stride + f % FRAMES * frame + i;
            assert_true(fabs(v[at] - (x[at] - head[at]) / level) < 1e-12 * (1 + fabs(v[at])));
        }
    }
    assert_true(low && high);
    free(x), free(v), free(head), free(t);
    backward(&w);
    check_parameters(velocity_loss, &w, &w, 1);
    check_direction(velocity_loss, &w, w.x, w.dlatents, w.latents, 900, "latents");
    world_close(&w);
    world_close(&plain);
}

static void chunk_with_history(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_SAVE_ALL, 2, 4);
    world_add_history(&w);
    forward(&w);
    backward(&w);
    /* Latent 0 is not among the frames: proj1 has no part in it. */
    const struct param_table *table = &w.net.table;
    for (int i = 0; i < table->count; i++) {
        const struct param *p = &table->list[i];
        size_t at = param_position(table, p);
        if (strncmp(p->name, "audio_proj.proj1.", 17) == 0)
            assert_true(dot(w.params.grads + at, w.params.grads + at, (long)p->count) == 0);
        else
            check_direction(velocity_loss, &w, w.params.weights + at, w.params.grads + at, (long)p->count, i, p->name);
    }
    check_direction(velocity_loss, &w, w.x, w.dlatents, w.latents, 900, "latents");
    for (int r = 0; r < RANGES; r++) {
        check_direction(velocity_loss, &w, w.history_k[r], w.history_dk[r], w.history_size[r], 910, "history keys");
        check_direction(velocity_loss, &w, w.history_v[r], w.history_dv[r], w.history_size[r], 911, "history values");
    }
    world_close(&w);
}

/* Another net with the weights and inputs of `w`, other activations. */
struct twin {
    struct arena arena;
    struct dit_acts *acts;
    struct params params;
    real *velocity, *dlatents;
};

static void twin_open(struct twin *t, const struct world *w, enum dit_memory memory, int grads) {
    memset(t, 0, sizeof *t);
    acts_open(&t->acts, &t->arena, &w->net, memory);
    t->params = w->params;
    t->params.grads = grads ? zeros((long)w->net.table.total) : NULL;
    t->velocity = zeros(w->outputs);
    t->dlatents = zeros(w->latents);
}

static void twin_run(struct twin *t, const struct world *w, int back) {
    assert_int_equal(dit_forward(&w->net, &t->params, t->acts, &w->in, t->velocity, w->outputs / BATCH), OK);
    struct dit_gradients gradients = w->gradients;
    gradients.dlatents = t->dlatents;
    if (back) assert_int_equal(dit_backward(&w->net, &t->params, t->acts, &w->in, &gradients), OK);
    assert_int_equal(device_sync(), OK);
}

static void twin_close(struct twin *t) {
    device_free(t->params.grads);
    device_free(t->velocity);
    device_free(t->dlatents);
    dit_acts_free(t->acts);
    arena_free(&t->arena);
}

static void equal_bits(int frames, int first_frame, int history) {
    struct world w;
    world_open(&w, &small, DIT_SAVE_ALL, frames, first_frame);
    if (history) world_add_history(&w);
    forward(&w);
    backward(&w);
    struct comm alone = {.size = 1}; /* one process: the exchange around self-attention must change nothing */
    w.net.comm = &alone;
    struct twin blocks, input_only, forward_only;
    twin_open(&blocks, &w, DIT_SAVE_BLOCKS, 1);
    twin_run(&blocks, &w, 1);
    assert_same_bits(blocks.velocity, w.velocity, w.outputs, "velocity, saving block inputs");
    assert_same_bits(blocks.dlatents, w.dlatents, w.latents, "latents' gradient, recomputing blocks");
    assert_same_bits(blocks.params.grads, w.params.grads, (long)w.net.table.total, "weight gradients, recomputing");
    for (int memory = DIT_SAVE_BLOCKS; memory <= DIT_SAVE_ALL; memory++) {
        twin_open(&input_only, &w, (enum dit_memory)memory, 0);
        twin_run(&input_only, &w, 1);
        assert_same_bits(input_only.dlatents, w.dlatents, w.latents, "latents' gradient, input only");
        twin_close(&input_only);
    }
    twin_open(&forward_only, &w, DIT_FORWARD_ONLY, 0);
    twin_run(&forward_only, &w, 0);
    assert_same_bits(forward_only.velocity, w.velocity, w.outputs, "velocity, saving nothing");
    /* Again, with the text and audio keys and values of the first time. */
    mem_zero(forward_only.velocity, sizeof(real) * (size_t)w.outputs);
    twin_run(&forward_only, &w, 0);
    assert_same_bits(forward_only.velocity, w.velocity, w.outputs, "velocity, condition reused");
    /* Backward after a forward that reused them. */
    mem_zero(blocks.params.grads, sizeof(real) * w.net.table.total);
    mem_zero(blocks.dlatents, sizeof(real) * (size_t)w.latents);
    twin_run(&blocks, &w, 1);
    assert_same_bits(blocks.params.grads, w.params.grads, (long)w.net.table.total,
                     "weight gradients, condition reused");
    twin_close(&blocks);
    twin_close(&forward_only);
    world_close(&w);
}

static void equal_bits_bidirectional(void **state) {
    (void)state;
    equal_bits(FRAMES, 0, 0);
}

static void equal_bits_chunk(void **state) {
    (void)state;
    equal_bits(2, 4, 1);
}

/* The condition is what it was until the reset, then new. */
static void condition_reset(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_FORWARD_ONLY, FRAMES, 0);
    real *first = zeros(w.outputs), *second = zeros(w.outputs);
    forward(&w);
    mem_copy(first, w.velocity, sizeof(real) * (size_t)w.outputs);
    random_init(w.text, 77, 1, 1, BATCH * small.text_len * small.text_dim);
    random_init(w.audio[AUDIO_LISTEN], 78, 1, 1, BATCH * w.in.audio_stride);
    for (int reset = 0; reset < 4; reset++) {
        dit_condition_reset(w.acts, reset & 1, reset >> 1);
        assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), OK);
        if (reset == 0) assert_same_bits(w.velocity, first, w.outputs, "velocity before the reset");
        if (reset == 1) mem_copy(second, w.velocity, sizeof(real) * (size_t)w.outputs);
        if (reset == 1) assert_true(dot(second, second, w.outputs) != dot(first, first, w.outputs));
        if (reset == 2) assert_true(dot(second, second, w.outputs) != dot(w.velocity, w.velocity, w.outputs));
    }
    mem_copy(second, w.velocity, sizeof(real) * (size_t)w.outputs);
    forward(&w);
    assert_same_bits(w.velocity, second, w.outputs, "velocity after both resets");
    device_free(first);
    device_free(second);
    world_close(&w);
}

/* Activations that lent their memory to others (arena_fork) give the same bits again after the reset. */
static void memory_lent(void **state) {
    (void)state;
    struct world w;
    world_open(&w, &small, DIT_SAVE_ALL, FRAMES, 0);
    real *first = zeros(w.outputs);
    forward(&w);
    mem_copy(first, w.velocity, sizeof(real) * (size_t)w.outputs);
    real_fill((real *)w.arena.base, NAN, (long)(w.arena.size / sizeof(real)));
    forward(&w);
    assert_same_bits(w.velocity, first, w.outputs, "velocity after the memory was lent");
    device_free(first);
    world_close(&w);
}

/* ---- taps ---- */

enum { TAPPED = 2 };
struct tapped {
    struct world w;
    real *projection[TAPPED];
    long n;
};

static double tap_loss(void *context) {
    struct tapped *t = context;
    dit_condition_reset(t->w.acts, 1, 1);
    assert_int_equal(dit_forward(&t->w.net, &t->w.params, t->w.acts, &t->w.in, NULL, 0), OK);
    double sum = 0;
    for (int i = 0; i < TAPPED; i++) sum += dot(dit_tap(t->w.acts, i), t->projection[i], t->n);
    return sum;
}

static void taps(void **state) {
    (void)state;
    struct tapped t;
    world_open(&t.w, &small, DIT_SAVE_BLOCKS, FRAMES, 0);
    t.n = BATCH * FRAMES * t.w.tokens * small.dim;
    t.w.in.blocks = TAPPED;
    t.w.gradients.dvelocity = NULL;
    t.w.gradients.taps = TAPPED;
    for (int i = 0; i < TAPPED; i++) {
        t.projection[i] = normals(40 + (uint64_t)i, t.n, 1);
        t.w.gradients.tap_block[i] = i;
        t.w.gradients.tap_grad[i] = t.projection[i];
    }
    tap_loss(&t);
    assert_null(dit_tap(t.w.acts, TAPPED));
    backward(&t.w);
    const struct param_table *table = &t.w.net.table;
    static const char *const names[] = {"patch_embedding.weight", "blocks.0.ffn.2.weight", "blocks.1.ffn.2.weight",
                                        "blocks.0.listen_attn.v.weight", "time_embedding.0.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct param *p = param_find(table, names[i]);
        assert_non_null(p);
        size_t at = param_position(table, p);
        check_direction(tap_loss, &t, t.w.params.weights + at, t.w.params.grads + at, (long)p->count, 3, p->name);
    }
    check_direction(tap_loss, &t, t.w.x, t.w.dlatents, t.w.latents, 4, "latents");
    for (int i = 0; i < TAPPED; i++) device_free(t.projection[i]);
    world_close(&t.w);
}

/* ---- gradients through keys and values that a later chunk read ---- */

/* Chunk A (frame 0) leaves its keys and values; chunk B (two frames) reads them, rotated to position 2, as its only
   history. The loss looks at both. */
struct causal {
    struct world a, b;
    long frame; /* elements of a frame's keys */
    real *k, *v, *rotated, *dk, *dv, *cos, *sin;
    elem *out_k[3], *out_v[3];
    const real *own_dk[3], *own_dv[3];
    struct dit_kv_output output;
    struct attention_range ranges[3];
    struct dit_history history;
};

static double causal_loss(void *context) {
    struct causal *c = context;
    forward(&c->a);
    for (int l = 0; l < small.layers; l++)
        rope_apply(c->rotated + l * BATCH * c->frame, c->out_k[l], c->cos, c->sin, BATCH, c->a.tokens, small.heads,
                   small.dim / small.heads, c->frame, c->frame, 1);
    forward(&c->b);
    return dot(c->a.velocity, c->a.projection, c->a.outputs) + dot(c->b.velocity, c->b.projection, c->b.outputs);
}

static void causal_backward(struct causal *c) {
    long all = small.layers * BATCH * c->frame;
    backward(&c->b);
    real *pre_rope = zeros(all);
    for (int l = 0; l < small.layers; l++)
        rope_add_inverse(pre_rope + l * BATCH * c->frame, c->dk + l * BATCH * c->frame, c->cos, c->sin, BATCH,
                         c->a.tokens, small.heads, small.dim / small.heads, c->frame, c->frame);
    mem_copy(c->dk, pre_rope, sizeof(real) * (size_t)all);
    device_free(pre_rope);
    backward(&c->a);
}

static void own_keys_and_values(void **state) {
    (void)state;
    static struct causal c;
    world_open(&c.a, &small, DIT_SAVE_ALL, 1, 0);
    world_open(&c.b, &small, DIT_SAVE_ALL, 2, 1);
    c.frame = c.a.tokens * small.dim;
    long all = small.layers * BATCH * c.frame, table = c.a.tokens * small.dim / small.heads / 2;
    c.k = zeros(all), c.v = zeros(all), c.rotated = zeros(all), c.dk = zeros(all), c.dv = zeros(all);
    c.cos = zeros(table), c.sin = zeros(table);
    int position = 2;
    rope_table(c.cos, c.sin, &c.a.net.axes, &position, 1, small.height / 2, small.width / 2);
    for (int l = 0; l < small.layers; l++) {
        long at = l * BATCH * c.frame;
        c.out_k[l] = c.k + at, c.out_v[l] = c.v + at;
        c.own_dk[l] = c.dk + at, c.own_dv[l] = c.dv + at;
        c.ranges[l] = (struct attention_range){.k = c.rotated + at,
                                               .v = c.v + at,
                                               .length = c.a.tokens,
                                               .k_stride = c.frame,
                                               .v_stride = c.frame,
                                               .dk_sum = c.dk + at,
                                               .dv_sum = c.dv + at};
    }
    c.output = (struct dit_kv_output){c.out_k, c.out_v, c.frame};
    c.history = (struct dit_history){c.ranges, 1};
    c.a.in.kv_output = &c.output;
    c.b.in.history = &c.history;
    c.a.gradients.dk_own = c.own_dk;
    c.a.gradients.dv_own = c.own_dv;
    c.a.gradients.kv_stride = c.frame;
    /* One network: both passes share weights and gradients. */
    struct params own = c.b.params;
    c.b.params = c.a.params;
    causal_loss(&c);
    causal_backward(&c);
    /* Perturbing a's weights perturbs both. Of chunk A alone: its latents, whose gradient goes through the history. */
    check_direction(causal_loss, &c, c.a.x, c.a.dlatents, c.a.latents, 950, "latents of the first chunk");
    check_direction(causal_loss, &c, c.b.x, c.b.dlatents, c.b.latents, 951, "latents of the second chunk");
    check_parameters(causal_loss, &c, &c.a, 1);
    c.b.params = own;
    device_free(c.k), device_free(c.v), device_free(c.rotated), device_free(c.dk), device_free(c.dv);
    device_free(c.cos), device_free(c.sin);
    world_close(&c.a);
    world_close(&c.b);
}

/* ---- audio modules ---- */

/* With zero output projections the network is the bare Wan, to the last bit. */
static void silent_audio(void **state) {
    (void)state;
    struct dit_config bare_config = small;
    bare_config.audio_dim = 0;
    struct world full, bare;
    world_open(&full, &small, DIT_SAVE_ALL, FRAMES, 0);
    world_open(&bare, &bare_config, DIT_SAVE_ALL, FRAMES, 0);
    for (int i = 0; i < full.net.table.count; i++) {
        const struct param *p = &full.net.table.list[i];
        real *values = full.params.weights + param_position(&full.net.table, p);
        const struct param *twin = param_find(&bare.net.table, p->name);
        if (strstr(p->name, "_attn.o.") && (strstr(p->name, "talk") || strstr(p->name, "listen"))) {
            assert_int_equal(p->init, INIT_ZERO);
            mem_zero(values, sizeof(real) * p->count);
        }
        if (twin)
            mem_copy(bare.params.weights + param_position(&bare.net.table, twin), values, sizeof(real) * p->count);
    }
    forward(&full);
    forward(&bare);
    assert_same_bits(full.velocity, bare.velocity, bare.outputs, "velocity with silent audio modules");
    backward(&full);
    backward(&bare);
    assert_same_bits(full.dlatents, bare.dlatents, bare.latents, "latents' gradient with silent audio modules");
    world_close(&full);
    world_close(&bare);
}

/* A latent frame hears its own windows only, apart from what self-attention carries: with one frame a sample, sample 0's
   audio moves sample 0 alone; and talk and listen are not the same thing. */
static void audio_stays_in_its_frame(void **state) {
    (void)state;
    struct dit_config one = small;
    one.layers = 1; /* frames meet in self-attention only, which comes before the block's audio */
    struct world w;
    world_open(&w, &one, DIT_FORWARD_ONLY, FRAMES, 0);
    forward(&w);
    double *before = downloaded(w.velocity, w.outputs);
    long window = AUDIO_WINDOW * small.audio_dim;
    random_init(w.audio[AUDIO_TALK] + w.in.audio_stride + window, 99, 1, 1, window); /* sample 1, frame 1 */
    forward(&w);
    double *after = downloaded(w.velocity, w.outputs);
    long frame = (long)small.out_channels * small.height * small.width, stride = w.outputs / BATCH;
    for (int b = 0; b < BATCH; b++)
        for (int f = 0; f < FRAMES; f++) {
            size_t bytes = sizeof(double) * (size_t)frame;
            int same = memcmp(before + b * stride + f * frame, after + b * stride + f * frame, bytes) == 0;
            assert_int_equal(same, !(b == 1 && f == 1));
        }
    free(before);
    free(after);
    world_close(&w);
}

/* ---- refusals ---- */

static void refusals(void **state) {
    (void)state;
    struct dit net;
    struct dit_config bad = small;
    bad.heads = 3;
    assert_int_equal(dit_create(&net, &bad, 0), ERR_USAGE);
    bad = small;
    bad.height = 5;
    assert_int_equal(dit_create(&net, &bad, 0), ERR_USAGE);
    struct world w;
    world_open(&w, &small, DIT_FORWARD_ONLY, FRAMES, 0);
    assert_int_equal(dit_backward(&w.net, &w.params, w.acts, &w.in, &w.gradients), ERR_USAGE);
    w.in.frames = FRAMES + 1;
    assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), ERR_USAGE);
    w.in.frames = FRAMES;
    w.in.audio[AUDIO_TALK] = NULL;
    assert_int_equal(dit_forward(&w.net, &w.params, w.acts, &w.in, w.velocity, w.outputs / BATCH), ERR_USAGE);
    world_close(&w);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bidirectional),
        cmocka_unit_test(clean_latents),
        cmocka_unit_test(chunk_with_history),
        cmocka_unit_test(equal_bits_bidirectional),
        cmocka_unit_test(equal_bits_chunk),
        cmocka_unit_test(condition_reset),
        cmocka_unit_test(memory_lent),
        cmocka_unit_test(taps),
        cmocka_unit_test(own_keys_and_values),
        cmocka_unit_test(silent_audio),
        cmocka_unit_test(audio_stays_in_its_frame),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
