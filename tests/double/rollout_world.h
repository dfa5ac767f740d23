/* rollout_world.h: a small network, its rollout and its cache, for the tests of what they compute (test_rollout.c) and
   of what they differentiate (test_rollout_gradients.c), in double: a rollout as it is defined, a clip chunk after
   chunk through the cache, gradients against five-point central differences of step 1e-4 along random directions; their
   own error, h^4 of the function's fifth derivative and 1e-16/h of its value, lies well below the relative 1e-6 that is
   asked for. */
#ifndef TESTS_ROLLOUT_WORLD_H
#define TESTS_ROLLOUT_WORLD_H

#include "tests/small_rollout.h"

#include "base/philox.h"

#ifndef WORLD_CHUNK
#define WORLD_CHUNK 3 /* latent frames of a chunk */
#endif
enum { C = WORLD_CHUNK, STEPS = 3, B = 2 };

static const struct rollout_config standard = {
    .causal = {C, 1 + C, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0}, .steps = STEPS, .sigma = {1, 0.857, 0.6}};

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

static inline void layout(struct world *w, enum dit_memory memory) {
    CHECK(rollout_layout(&w->rollout, &w->net, &w->config, B, (int)w->frames, &w->arena));
    CHECK(kv_cache_grads_layout(w->rollout.cache, &w->arena));
    CHECK(dit_acts_layout(&w->acts, &w->net, B, C, memory, &w->arena));
    CHECK(dit_acts_layout(&w->long_acts, &w->net, B, (int)w->frames, DIT_FORWARD_ONLY, &w->arena));
}

static inline void drop(struct world *w) {
    rollout_free(&w->rollout);
    dit_acts_free(w->acts);
    dit_acts_free(w->long_acts);
}

static inline void open_world(struct world *w, const struct rollout_config *config, int layers, int chunks,
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
    w->condition = small_condition(&w->small, &dit, B, w->frames);
    w->reference = small_reals(&w->small, B * w->frame, 1);
    w->out = small_reals(&w->small, B * w->clip, 0);
    w->exit_input = small_reals(&w->small, B * w->clip, 0);
    w->weight = small_reals(&w->small, B * w->clip, 1);
}

static inline void close_world(struct world *w) {
    drop(w);
    arena_free(&w->arena);
    small_close(&w->small);
    dit_destroy(&w->net);
    CHECK(device_sync());
}

/* Offset of chunk i; chunk 0 is the reference. */
static int chunk_first(const struct world *w, int i) { return i ? causal_first(&w->config.causal, i) : 0; }
static long chunk_at(const struct world *w, int i) { return chunk_first(w, i) * w->frame; }
static int chunk_frames(const struct world *w, int i) { return i ? causal_own(&w->config.causal, i) : 1; }

/* ---- the rollout as it is defined ---- */

static const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST, .sample0 = 2};

static inline void begin(struct world *w) {
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
}
static inline void next_chunk(struct world *w, int i, int exit, real *out, real *exit_input) {
    long at = chunk_at(w, i);
    CHECK(rollout_chunk(&w->rollout, &w->small.params, &w->condition, &noise, exit, out + at, w->clip, exit_input + at,
                        w->clip));
}
static inline void roll(struct world *w, int exit, real *out, real *exit_input) {
    begin(w);
    for (int i = 1; i <= w->chunks; i++) next_chunk(w, i, exit, out, exit_input);
}

/* ---- the causal forward of a given clip ---- */

/* A clip at a level of its own in every chunk and sample: t is kept chunk by chunk. */
struct causal_clip {
    real *latents; /* [B][frames] */
    real *t;       /* levels; those of chunk i begin at t + i B C, [B, chunk's frames] */
    real *velocity;
};

static double level(int b, int chunk) { return chunk ? 950 - 83 * ((5 * chunk + 3 * b) % 11) : 0; }

static inline struct causal_clip make_clip(struct world *w) {
    struct causal_clip c = {.latents = small_reals(&w->small, B * w->clip, 1),
                            .t = small_reals(&w->small, (w->chunks + 1) * B * C, 0),
                            .velocity = small_reals(&w->small, B * w->clip, 0)};
    for (int i = 0; i <= w->chunks; i++)
        for (int b = 0; b < B; b++)
            real_fill(c.t + i * B * C + b * chunk_frames(w, i), level(b, i), chunk_frames(w, i));
    return c;
}

/* Frames of chunk i of a clip of latents. */
static inline struct dit_input input_of(struct world *w, int i, const int *positions, const real *latents,
                                        const real *t) {
    int first = chunk_first(w, i);
    struct dit_input in = {.batch = B,
                           .frames = chunk_frames(w, i),
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
static inline const int *view_of(const struct world *w, struct causal_view *view, int i) {
    static const int reference[1] = {0};
    if (!i) return reference;
    causal_view(view, &w->config.causal, i);
    return view->current;
}

static inline void causal_chunk(struct world *w, const struct causal_clip *c, const struct params *params, int i,
                                const struct dit_history *history, const struct dit_kv_output *output,
                                const int *positions) {
    struct dit_input in = input_of(w, i, positions, c->latents, c->t + i * B * C);
    in.history = history;
    in.kv_output = output;
    dit_condition_reset(w->acts, 1, 1);
    CHECK(dit_forward(&w->net, params, w->acts, &in, c->velocity + chunk_at(w, i), w->clip));
}

/* Chunk after chunk through the cache. */
static inline void causal_forward(struct world *w, const struct causal_clip *c, const struct params *params) {
    struct kv_cache *cache = w->rollout.cache;
    kv_cache_clear(cache);
    for (int i = 0; i <= w->chunks; i++) {
        struct causal_view view;
        const int *positions = view_of(w, &view, i);
        const struct dit_history *history = i ? kv_cache_history(cache, &view) : NULL;
        causal_chunk(w, c, params, i, history, kv_cache_output(cache, chunk_first(w, i), chunk_frames(w, i)),
                     positions);
    }
}

static inline int setup(void **state) {
    (void)state;
    return device_init(1); /* arrays too small to share */
}

#endif
