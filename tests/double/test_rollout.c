/* test_rollout.c: what a rollout and the causal cache compute and differentiate, in double.
   Forward: a chunk seen through the cache equals the same chunk computed another way. Backward: five-point central
   differences of step 1e-4 along random directions; their own error, h^4 of the function's fifth
   derivative and 1e-16/h of its value, lies well below the relative 1e-6 that is asked for. */
#include "tests/small_net.h"

#include "base/philox.h"
#include "model/rollout.h"

enum { C = 3, STEPS = 3, B = 2 };
#define STEP      1e-4
#define TOLERANCE 1e-6

static const struct rollout_config standard = {
    .causal = {C, 4, 6, RAPR_END, 9}, .steps = STEPS, .sigma = {1, 0.857, 0.6}};

struct world {
    struct dit net;
    struct small_net small;
    struct rollout_config config;
    struct rollout rollout;
    struct dit_acts *acts, *long_acts; /* saving, one chunk; forward only, whole clip */
    struct arena arena;
    struct rollout_condition condition;
    int chunks;
    long frame, frames, clip; /* elements of a frame, frames of a clip, elements of a sample's clip */
    real *reference, *out, *exit_input, *weight; /* weight: the loss is <weight, output> */
};

static void layout(struct world *w, enum dit_memory memory) {
    CHECK(rollout_layout(&w->rollout, &w->net, &w->config, B, (int)w->frames, &w->arena));
    CHECK(kv_cache_grads_layout(w->rollout.cache, &w->arena));
    CHECK(dit_acts_layout(&w->acts, &w->net, B, C, memory, &w->arena));
    CHECK(dit_acts_layout(&w->long_acts, &w->net, B, (int)w->frames, DIT_FORWARD_ONLY, &w->arena));
}

static void drop(struct world *w) {
    rollout_free(&w->rollout);
    dit_acts_free(w->acts);
    dit_acts_free(w->long_acts);
}

static void open_world(struct world *w, const struct rollout_config *config, int layers, int chunks,
                       enum dit_memory memory) {
    memset(w, 0, sizeof *w);
    struct dit_config dit = small_config(layers);
    CHECK(dit_create(&w->net, &dit, 0));
    small_open(&w->small, &w->net.table, 0.15);
    small_without_kinks(&w->small);
    w->config = *config;
    w->chunks = chunks;
    w->frames = 1 + chunks * C;
    w->frame = (long)dit.in_channels * dit.height * dit.width;
    w->clip = w->frames * w->frame;
    arena_begin(&w->arena, "test");
    layout(w, memory);
    drop(w);
    CHECK(arena_commit(&w->arena));
    layout(w, memory);
    long window = AUDIO_WINDOW * dit.audio_dim;
    w->condition.text = small_elems(&w->small, B * dit.text_len * dit.text_dim, 1);
    for (int s = 0; s < AUDIO_STREAMS; s++) w->condition.audio[s] = small_elems(&w->small, B * w->frames * window, 1);
    w->condition.audio_stride = w->frames * window;
    w->reference = small_reals(&w->small, B * w->frame, 1);
    w->out = small_reals(&w->small, B * w->clip, 0);
    w->exit_input = small_reals(&w->small, B * w->clip, 0);
    w->weight = small_reals(&w->small, B * w->clip, 1);
}

static void close_world(struct world *w) {
    drop(w);
    arena_free(&w->arena);
    small_close(&w->small);
    dit_destroy(&w->net);
    CHECK(device_sync());
}

/* Offset of chunk i; chunk 0 is the reference. */
static long chunk_at(const struct world *w, int i) { return i ? (1 + (i - 1) * C) * w->frame : 0; }
static int chunk_frames(int i) { return i ? C : 1; }

/* ---- directional derivatives over tensors ---- */

/* What a loss needs; params: the weights to use. */
typedef double loss_fn(struct world *w, const struct params *params);

/* d loss / d (step along direction), five points. direction [n] lies at `position` in the weights. */
static double difference(struct world *w, loss_fn *loss, size_t position, const real *direction, long n) {
    static const double point[4] = {-2, -1, 1, 2};
    real *weights = w->small.params.weights;
    real *kept = small_alloc(&w->small, sizeof(real) * (size_t)n);
    mem_copy(kept, weights + position, sizeof(real) * (size_t)n);
    double value[4];
    for (int i = 0; i < 4; i++) {
        real_axpby(weights + position, point[i] * STEP, direction, 1, n);
        value[i] = loss(w, &w->small.params);
        mem_copy(weights + position, kept, sizeof(real) * (size_t)n);
    }
    scratch_pop(&w->small.memory, kept);
    return (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * STEP);
}

/* Gradients against differences, along directions through a handful of neighbouring tensors each. */
static void check_gradients(struct world *w, loss_fn *loss) {
    const struct param_table *table = &w->net.table;
    for (int i = 0; i < table->count; i += SMALL_HANDFUL) {
        int last = i + SMALL_HANDFUL < table->count ? i + SMALL_HANDFUL - 1 : table->count - 1;
        size_t position = param_position(table, &table->list[i]);
        long n = (long)(param_position(table, &table->list[last]) + table->list[last].count - position);
        real *direction = small_reals(&w->small, n, 1);
        double expected = difference(w, loss, position, direction, n);
        double computed = small_dot(w->small.params.grads + position, direction, n);
        scratch_pop(&w->small.memory, direction);
        if (!(fabs(expected - computed) <= TOLERANCE * fabs(expected)))
            fail_msg("%s to %s: gradient %.12g, differences %.12g", table->list[i].name, table->list[last].name,
                     computed, expected);
    }
}

/* Whether a tensor has any gradient. */
static int has_gradient(struct world *w, const char *name) {
    const struct param *p = param_find(&w->net.table, name);
    assert_non_null(p);
    const real *g = w->small.params.grads + param_position(&w->net.table, p);
    return small_dot(g, g, (long)p->count) > 0;
}

/* ---- the rollout as it is defined ---- */

static const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST, .sample0 = 2};

static void begin(struct world *w) {
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
}
static void next_chunk(struct world *w, int i, int exit, real *out, real *exit_input) {
    long at = chunk_at(w, i);
    CHECK(rollout_chunk(&w->rollout, &w->small.params, &w->condition, &noise, exit, out + at, w->clip, exit_input + at,
                        w->clip));
}
static void roll(struct world *w, int exit, real *out, real *exit_input) {
    begin(w);
    for (int i = 1; i <= w->chunks; i++) next_chunk(w, i, exit, out, exit_input);
}

/* The input of pass s is (1 - sigma_s) x0 + sigma_s noise of pass s, x0 the prediction of pass s - 1. */
static void passes_follow_the_formula(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &standard, 2, 2, DIT_SAVE_ALL);
    long n = C * w.frame;
    real *x0 = small_reals(&w.small, B * w.clip, 0), *fresh = small_reals(&w.small, B * n, 0);
    for (int s = 0; s < STEPS; s++) {
        roll(&w, s, w.out, w.exit_input);
        for (int i = 1; i <= w.chunks; i++) {
            random_normal(fresh, noise.seed, noise.step, noise.purpose, s, noise.sample0, B, (i - 1) * C + 1, C,
                          w.frame);
            double sigma = standard.sigma[s];
            for (int b = 0; b < B; b++) {
                long at = b * w.clip + chunk_at(&w, i);
                if (s) real_axpby(fresh + b * n, 1 - sigma, x0 + at, sigma, n);
                assert_true(small_distance(w.exit_input + at, fresh + b * n, n) < 1e-14);
            }
        }
        mem_copy(x0, w.out, sizeof(real) * (size_t)(B * w.clip));
    }
    close_world(&w);
}

/* Whatever step a chunk exits at, the next one meets the same history. */
static void history_is_the_last_pass(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &standard, 2, 3, DIT_SAVE_ALL);
    real *mixed = small_reals(&w.small, B * w.clip, 0);
    roll(&w, 0, w.out, w.exit_input);
    begin(&w);
    for (int i = 1; i <= 3; i++) next_chunk(&w, i, i == 3 ? 0 : 3 - i, mixed, w.exit_input);
    long at = chunk_at(&w, 3);
    assert_same_bits(mixed + at, w.out + at, sizeof(real) * (size_t)(C * w.frame));
    assert_true(small_distance(mixed + chunk_at(&w, 1), w.out + chunk_at(&w, 1), C * w.frame) > 1e-3);
    close_world(&w);
}

static struct dit_input input_of(struct world *w, int i, const int *positions, const real *latents, const real *t);

/* With clean_pass the entry is what a pass over the served result at t = 0 writes. */
static void clean_pass_writes_the_result(void **state) {
    (void)state;
    struct rollout_config clean = standard;
    clean.clean_pass = 1;
    struct world a, b;
    open_world(&a, &clean, 2, 2, DIT_SAVE_ALL);
    open_world(&b, &standard, 2, 2, DIT_SAVE_ALL);
    roll(&a, STEPS - 1, a.out, a.exit_input);
    begin(&b);
    next_chunk(&b, 1, STEPS - 1, b.out, b.exit_input);
    struct causal_view view;
    causal_view(&view, &standard.causal, 1);
    struct dit_input in = input_of(&b, 1, view.current, b.out, small_reals(&b.small, B * C, 0));
    in.history = kv_cache_history(b.rollout.cache, &view);
    in.kv_output = kv_cache_output(b.rollout.cache, 1, C);
    CHECK(dit_forward(&b.net, &b.small.params, b.acts, &in, small_reals(&b.small, B * C * b.frame, 0), C * b.frame));
    next_chunk(&b, 2, STEPS - 1, b.out, b.exit_input);
    assert_same_bits(a.out + chunk_at(&a, 1), b.out + chunk_at(&b, 1), sizeof(real) * (size_t)(2 * C * a.frame));
    close_world(&a);
    close_world(&b);
}

/* ---- the causal forward of a given clip ---- */

/* A clip at a level of its own in every chunk and sample: t is kept chunk by chunk. */
struct causal_clip {
    real *latents; /* [B][frames] */
    real *t;       /* of chunk i at t + i B C, [B, chunk's frames] */
    real *velocity;
};

static double level(int b, int chunk) { return chunk ? 950 - 83 * ((5 * chunk + 3 * b) % 11) : 0; }

static struct causal_clip make_clip(struct world *w) {
    struct causal_clip c = {.latents = small_reals(&w->small, B * w->clip, 1),
                            .t = small_reals(&w->small, (w->chunks + 1) * B * C, 0),
                            .velocity = small_reals(&w->small, B * w->clip, 0)};
    for (int i = 0; i <= w->chunks; i++)
        for (int b = 0; b < B; b++) real_fill(c.t + i * B * C + b * chunk_frames(i), level(b, i), chunk_frames(i));
    return c;
}

/* Frames of chunk i of a clip of latents. */
static struct dit_input input_of(struct world *w, int i, const int *positions, const real *latents, const real *t) {
    int first = i ? (i - 1) * C + 1 : 0;
    struct dit_input in = {.batch = B,
                           .frames = chunk_frames(i),
                           .first_frame = first,
                           .positions = positions,
                           .latents = latents + chunk_at(w, i),
                           .latent_stride = w->clip,
                           .t = t,
                           .text = w->condition.text,
                           .audio_stride = w->condition.audio_stride};
    for (int s = 0; s < AUDIO_STREAMS; s++)
        in.audio[s] = w->condition.audio[s] + (long)first * AUDIO_WINDOW * w->net.config.audio_dim;
    return in;
}

/* Positions of chunk i's own frames and, for i > 0, its view. */
static const int *view_of(const struct world *w, struct causal_view *view, int i) {
    static const int reference[1] = {0};
    if (!i) return reference;
    causal_view(view, &w->config.causal, i);
    return view->current;
}

static void causal_chunk(struct world *w, const struct causal_clip *c, const struct params *params, int i,
                         const struct dit_history *history, const struct dit_kv_output *output, const int *positions) {
    struct dit_input in = input_of(w, i, positions, c->latents, c->t + i * B * C);
    in.history = history;
    in.kv_output = output;
    dit_condition_reset(w->acts, 1, 1);
    CHECK(dit_forward(&w->net, params, w->acts, &in, c->velocity + chunk_at(w, i), w->clip));
}

/* Chunk after chunk through the cache. */
static void causal_forward(struct world *w, const struct causal_clip *c, const struct params *params) {
    struct kv_cache *cache = w->rollout.cache;
    kv_cache_clear(cache);
    for (int i = 0; i <= w->chunks; i++) {
        struct causal_view view;
        const int *positions = view_of(w, &view, i);
        const struct dit_history *history = i ? kv_cache_history(cache, &view) : NULL;
        causal_chunk(w, c, params, i, history, kv_cache_output(cache, i ? (i - 1) * C + 1 : 0, chunk_frames(i)),
                     positions);
    }
}

/* One layer's keys depend on their own frame alone, so block-causal attention is, for the last chunk of any prefix, plain
   bidirectional attention over the prefix. */
static void cache_equals_bidirectional_prefix(void **state) {
    (void)state;
    enum { CHUNKS = 5 };
    struct rollout_config config = standard;
    config.causal = (struct causal_config){C, 1, CHUNKS * C, RAPR_OFF, 0};
    struct world w;
    open_world(&w, &config, 1, CHUNKS, DIT_SAVE_ALL);
    struct causal_clip c = make_clip(&w);
    causal_forward(&w, &c, &w.small.params);

    int positions[1 + CHUNKS * C];
    for (int f = 0; f <= CHUNKS * C; f++) positions[f] = f;
    real *velocity = small_reals(&w.small, B * w.clip, 0), *t = small_reals(&w.small, B * w.frames, 0);
    for (int i = 1; i <= CHUNKS; i++) {
        struct dit_input in = input_of(&w, 0, positions, c.latents, t);
        in.frames = 1 + i * C;
        for (int b = 0; b < B; b++)
            for (int f = 0; f < in.frames; f++) real_fill(t + b * in.frames + f, level(b, (f + C - 1) / C), 1);
        dit_condition_reset(w.long_acts, 1, 1);
        CHECK(dit_forward(&w.net, &w.small.params, w.long_acts, &in, velocity, w.clip));
        for (int b = 0; b < B; b++) {
            long at = b * w.clip + chunk_at(&w, i);
            assert_true(small_distance(c.velocity + at, velocity + at, C * w.frame) < 1e-12);
        }
    }
    close_world(&w);
}

/* Keys of one frame at a temporal position, rotated by the definition: pair k of an axis with n pairs turns by
   position theta^(-k/n). */
static void rotate_frame(const struct dit *net, double *k, int position) {
    const struct rope_axes *axes = &net->axes;
    int ph = net->config.height / 2, pw = net->config.width / 2, D = axes->head_dim;
    int pairs[3] = {axes->pairs_t, axes->pairs_h, axes->pairs_w};
    for (int token = 0; token < ph * pw; token++)
        for (int h = 0; h < net->config.heads; h++) {
            double *x = k + (token * net->config.heads + h) * D;
            int at[3] = {position, token / pw, token % pw};
            for (int a = 0; a < 3; a++)
                for (int p = 0; p < pairs[a]; p++, x += 2) {
                    double theta = a ? axes->theta_hw : axes->theta_t;
                    double angle = at[a] * pow(theta, -(double)p / pairs[a]);
                    double even = x[0] * cos(angle) - x[1] * sin(angle), odd = x[0] * sin(angle) + x[1] * cos(angle);
                    x[0] = even;
                    x[1] = odd;
                }
        }
}

/* All layers' keys and values of all frames, [layer][B][frames]. */
struct export {
    real *k, *v;
    real *k_at[8], *v_at[8];
    long layer, sample, frame;
};
static struct export make_export(struct world *w) {
    struct export e = {.frame = (long)dit_tokens(&w->net.config) * w->net.config.dim};
    e.sample = w->frames * e.frame;
    e.layer = B * e.sample;
    e.k = small_reals(&w->small, w->net.config.layers * e.layer, 0);
    e.v = small_reals(&w->small, w->net.config.layers * e.layer, 0);
    return e;
}
static struct dit_kv_output export_output(struct export *e, int layers, int first) {
    for (int l = 0; l < layers; l++) {
        e->k_at[l] = e->k + l * e->layer + first * e->frame;
        e->v_at[l] = e->v + l * e->layer + first * e->frame;
    }
    return (struct dit_kv_output){e->k_at, e->v_at, e->sample};
}

/* Frames and positions of a history, as the tables of docs/model.md say, by hand. */
struct hand_view {
    int count, frame[10], position[10], current[C];
};
/* One range: the history of a hand-written view, rotated on the host, for every layer. */
static void hand_history(struct world *w, const struct export *e, const struct hand_view *view,
                         struct attention_range *ranges, real *k_out, real *v_out) {
    int layers = w->net.config.layers, n = view->count;
    double *k = small_host(e->k, layers * e->layer), *v = small_host(e->v, layers * e->layer);
    double *kh = malloc(sizeof(double) * (size_t)(n * e->frame)), *vh = malloc(sizeof(double) * (size_t)(n * e->frame));
    size_t bytes = sizeof(double) * (size_t)e->frame;
    for (int l = 0; l < layers; l++) {
        long at = (long)l * B * n * e->frame;
        for (int b = 0; b < B; b++) {
            for (int i = 0; i < n; i++) {
                long from = l * e->layer + b * e->sample + view->frame[i] * e->frame;
                memcpy(kh + i * e->frame, k + from, bytes);
                memcpy(vh + i * e->frame, v + from, bytes);
                rotate_frame(&w->net, kh + i * e->frame, view->position[i]);
            }
            mem_upload(k_out + at + b * n * e->frame, kh, (size_t)n * bytes);
            mem_upload(v_out + at + b * n * e->frame, vh, (size_t)n * bytes);
        }
        ranges[l] = (struct attention_range){.k = k_out + at,
                                             .v = v_out + at,
                                             .length = (long)n * dit_tokens(&w->net.config),
                                             .k_stride = n * e->frame,
                                             .v_stride = n * e->frame};
    }
    free(k);
    free(v);
    free(kh);
    free(vh);
}

/* Three layers through the cache against keys and values kept and rotated by the test itself. */
static void cache_equals_hand_made_history(void **state) {
    (void)state;
    enum { CHUNKS = 5, LAYERS = 3 };
    static const struct {
        struct causal_config config;
        struct hand_view view[CHUNKS];
    } cases[] = {
        {{C, 4, 6, RAPR_END, 9},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {7, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 7, 8, 9, 10, 11, 12}, {0, 1, 2, 3, 1, 2, 3, 4, 5, 6}, {7, 8, 9}}}},
        {{C, 4, 6, RAPR_CONTEXT, 9},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {7, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}},
          {10, {0, 1, 2, 3, 7, 8, 9, 10, 11, 12}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}}}},
        {{C, 0, 6, RAPR_START, 9},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {6, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {6, {4, 5, 6, 7, 8, 9}, {3, 4, 5, 6, 7, 8}, {9, 10, 11}},
          {6, {7, 8, 9, 10, 11, 12}, {3, 4, 5, 6, 7, 8}, {9, 10, 11}}}},
    };
    static const int origin[1] = {0};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct rollout_config config = standard;
        config.causal = cases[k].config;
        struct world w;
        open_world(&w, &config, LAYERS, CHUNKS, DIT_SAVE_ALL);
        struct causal_clip c = make_clip(&w);
        causal_forward(&w, &c, &w.small.params);
        real *cached = small_reals(&w.small, B * w.clip, 0);
        mem_copy(cached, c.velocity, sizeof(real) * (size_t)(B * w.clip));

        struct export e = make_export(&w);
        real *rotated = small_reals(&w.small, LAYERS * B * 10 * e.frame, 0);
        real *values = small_reals(&w.small, LAYERS * B * 10 * e.frame, 0);
        struct attention_range ranges[LAYERS];
        struct dit_history history = {ranges, 1};
        for (int i = 0; i <= CHUNKS; i++) {
            const struct hand_view *view = &cases[k].view[i - (i > 0)];
            if (i) hand_history(&w, &e, view, ranges, rotated, values);
            struct dit_kv_output output = export_output(&e, LAYERS, i ? (i - 1) * C + 1 : 0);
            causal_chunk(&w, &c, &w.small.params, i, i ? &history : NULL, &output, i ? view->current : origin);
            for (int b = 0; b < B; b++) {
                long at = b * w.clip + chunk_at(&w, i);
                assert_true(small_distance(cached + at, c.velocity + at, chunk_frames(i) * w.frame) < 1e-12);
            }
        }
        close_world(&w);
    }
}

/* ---- gradients ---- */

/* The exit pass of every chunk, history and inputs as they were recorded. */
static int loss_exit;
static double rerun_loss(struct world *w, const struct params *params) {
    for (int i = 1; i <= w->chunks; i++) {
        long at = chunk_at(w, i);
        CHECK(rollout_rerun(&w->rollout, params, w->acts, &w->condition, i, loss_exit, w->exit_input + at, w->clip,
                            w->out + at, w->clip));
    }
    double sum = 0;
    for (int b = 0; b < B; b++) {
        long at = b * w->clip + w->frame;
        sum += small_dot(w->weight + at, w->out + at, w->clip - w->frame);
    }
    return sum;
}

static void rerun_and_back(struct world *w, int i) {
    long at = chunk_at(w, i);
    CHECK(rollout_rerun(&w->rollout, &w->small.params, w->acts, &w->condition, i, loss_exit, w->exit_input + at,
                        w->clip, NULL, 0));
    CHECK(rollout_rerun_backward(&w->rollout, &w->small.params, w->acts, &w->condition, i, loss_exit,
                                 w->exit_input + at, w->clip, w->weight + at, w->clip));
}

static void rollout_gradient(const struct rollout_config *config, int exit, enum dit_memory memory) {
    struct world w;
    open_world(&w, config, 2, 4, memory);
    loss_exit = exit;
    roll(&w, exit, w.out, w.exit_input);
    for (int i = 1; i <= w.chunks; i++) rerun_and_back(&w, i);
    check_gradients(&w, rerun_loss);
    assert_false(has_gradient(&w, "audio_proj.proj1.weight")); /* which serves the reference alone */
    assert_true(has_gradient(&w, "audio_proj.proj1_vf.weight"));
    close_world(&w);
}
static void rollout_gradient_of_the_last_step(void **state) {
    (void)state;
    rollout_gradient(&standard, STEPS - 1, DIT_SAVE_ALL);
}
static void rollout_gradient_of_an_earlier_step(void **state) {
    (void)state;
    struct rollout_config config = standard;
    config.clean_pass = 1;
    config.causal = (struct causal_config){C, 1, 5, RAPR_START, 7};
    rollout_gradient(&config, 1, DIT_SAVE_BLOCKS);
}

/* Loss of the last chunk, its own pass by the weights as they are, its history written by `params`. */
static double history_loss(struct world *w, const struct params *params) {
    struct params now = *params;
    elem *still = small_alloc(&w->small, sizeof(elem) * w->small.total);
    elem_from_real(still, w->small.master, (long)w->small.total);
    now.weights = still;
    real *spare = small_alloc(&w->small, sizeof(real) * (size_t)(2 * B * w->clip));
    roll(w, loss_exit, spare, spare + B * w->clip);
    int i = w->chunks;
    long at = chunk_at(w, i);
    CHECK(rollout_rerun(&w->rollout, &now, w->acts, &w->condition, i, loss_exit, w->exit_input + at, w->clip, spare,
                        C * w->frame));
    double sum = 0;
    for (int b = 0; b < B; b++) sum += small_dot(w->weight + b * w->clip + at, spare + b * C * w->frame, C * w->frame);
    scratch_pop(&w->small.memory, spare);
    scratch_pop(&w->small.memory, still);
    return sum;
}
static double last_chunk_loss(struct world *w, const struct params *params) {
    long at = chunk_at(w, w->chunks);
    CHECK(rollout_rerun(&w->rollout, params, w->acts, &w->condition, w->chunks, loss_exit, w->exit_input + at, w->clip,
                        w->out + at, w->clip));
    double sum = 0;
    for (int b = 0; b < B; b++) sum += small_dot(w->weight + b * w->clip + at, w->out + b * w->clip + at, C * w->frame);
    return sum;
}

/* What wrote the history moves the later loss, and the computed gradient holds nothing of that: along one direction
   through all weights it is the derivative with the history held, far from the one with the history moving too. */
static void history_leaks_no_gradient(void **state) {
    (void)state;
    struct world w;
    open_world(&w, &standard, 2, 4, DIT_SAVE_ALL);
    loss_exit = STEPS - 1;
    roll(&w, loss_exit, w.out, w.exit_input);
    rerun_and_back(&w, w.chunks);
    long n = (long)w.small.total;
    real *direction = small_reals(&w.small, n, 1);
    double computed = small_dot(w.small.params.grads, direction, n);
    double held = difference(&w, last_chunk_loss, 0, direction, n);
    double through_history = difference(&w, history_loss, 0, direction, n);
    assert_true(fabs(computed - held) <= TOLERANCE * fabs(held));
    assert_true(fabs(through_history) > 0.01 * fabs(held));
    close_world(&w);
}

/* ---- the exact block-causal gradient ---- */

static struct causal_clip loss_clip;
static double causal_loss(struct world *w, const struct params *params) {
    causal_forward(w, &loss_clip, params);
    return small_dot(w->weight, loss_clip.velocity, B * w->clip);
}

/* Last chunk first: each again, from its recorded history, with what later chunks sent back. */
static void causal_backward(struct world *w, const struct causal_clip *c) {
    struct kv_cache *cache = w->rollout.cache;
    kv_cache_grads_clear(cache);
    for (int i = w->chunks; i >= 0; i--) {
        struct causal_view view;
        struct dit_input in = input_of(w, i, view_of(w, &view, i), c->latents, c->t + i * B * C);
        if (i) in.history = kv_cache_history_with_grads(cache, &view);
        assert_true(!i || in.history);
        dit_condition_reset(w->acts, 1, 1);
        CHECK(dit_forward(&w->net, &w->small.params, w->acts, &in, c->velocity + chunk_at(w, i), w->clip));
        struct dit_gradients g = {.dvelocity = w->weight + chunk_at(w, i), .dvelocity_stride = w->clip};
        kv_cache_grads_own(cache, in.first_frame, &g.dk_own, &g.dv_own, &g.kv_stride);
        CHECK(dit_backward(&w->net, &w->small.params, w->acts, &in, &g));
        if (i) kv_cache_grads_collect(cache, &view);
    }
}

static void block_causal_gradient(const struct causal_config *causal, enum dit_memory memory) {
    struct rollout_config config = standard;
    config.causal = *causal;
    struct world w;
    open_world(&w, &config, 2, 5, memory);
    loss_clip = make_clip(&w);
    causal_forward(&w, &loss_clip, &w.small.params);
    causal_backward(&w, &loss_clip);
    check_gradients(&w, causal_loss);
    assert_true(has_gradient(&w, "audio_proj.proj1.weight"));
    close_world(&w);
}
static void block_causal_gradient_is_exact(void **state) {
    (void)state;
    block_causal_gradient(&standard.causal, DIT_SAVE_ALL);
}
static void block_causal_gradient_without_a_sink(void **state) {
    (void)state;
    struct causal_config causal = {C, 0, 5, RAPR_CONTEXT, 6};
    block_causal_gradient(&causal, DIT_SAVE_BLOCKS);
}

static int setup(void **state) {
    (void)state;
    return device_init(1); /* arrays too small to share */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_follow_the_formula),           cmocka_unit_test(history_is_the_last_pass),
        cmocka_unit_test(clean_pass_writes_the_result),        cmocka_unit_test(cache_equals_bidirectional_prefix),
        cmocka_unit_test(cache_equals_hand_made_history),      cmocka_unit_test(rollout_gradient_of_the_last_step),
        cmocka_unit_test(rollout_gradient_of_an_earlier_step), cmocka_unit_test(history_leaks_no_gradient),
        cmocka_unit_test(block_causal_gradient_is_exact),      cmocka_unit_test(block_causal_gradient_without_a_sink),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
