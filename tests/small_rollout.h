/* small_rollout.h: a rollout over a small network (small_net.h) with its cache, random conditions and a random
   reference, for the tests of what rollouts promise to the bit. */
#ifndef TESTS_SMALL_ROLLOUT_H
#define TESTS_SMALL_ROLLOUT_H

#include "tests/small_net.h"

#include "model/dit/rollout.h"

struct small_rollout {
    struct dit net;
    struct small_net small;
    struct rollout_config config;
    int streams;         /* 1: laid out as sessions do, with a cache of this type */
    enum kv_type type;   /* else with a cache of `capacity` */
    struct rollout work; /* what it borrows then */
    struct rollout rollout;
    struct dit_acts *acts; /* activations of one chunk */
    struct arena arena;
    struct rollout_condition condition;
    int B, chunks;
    long frame, frames, clip; /* elements of a frame, frames of a clip, elements of a sample's clip */
    real *reference, *out, *exit_input;
};

/* Text and the windows of both tracks of B clips, freed by small_close. */
static inline struct rollout_condition small_condition(struct small_net *s, const struct dit_config *dit, int B,
                                                       long frames) {
    long clip = frames * AUDIO_WINDOW * dit->audio_dim;
    struct rollout_condition c = {.text = small_elems(s, B * dit->text_len * dit->text_dim, 1), .audio_stride = clip};
    for (int k = 0; k < AUDIO_STREAMS; k++) c.audio[k] = small_elems(s, B * clip, 1);
    return c;
}

static inline void small_rollout_layout(struct small_rollout *w, int capacity, enum dit_memory memory) {
    if (w->streams) {
        CHECK(rollout_layout_work(&w->work, &w->net, &w->config, w->B, w->type, &w->arena));
        CHECK(rollout_layout_stream(&w->rollout, &w->work, &w->arena));
    } else {
        CHECK(rollout_layout(&w->rollout, &w->net, &w->config, w->B, capacity, &w->arena));
    }
    CHECK(dit_acts_layout(&w->acts, &w->net, w->B, w->config.causal.chunk, memory, &w->arena));
}

static inline void small_rollout_free(struct small_rollout *w) {
    rollout_free(&w->rollout);
    rollout_free(&w->work);
    dit_acts_free(w->acts);
}

static inline void small_rollout_make(struct small_rollout *w, const struct rollout_config *config, int layers, int B,
                                      int chunks, int capacity, enum dit_memory memory) {
    struct dit_config dit = small_config(layers);
    dit.clean_floor = 0.25;
    dit.reference_gate = 1; /* so that the reference's latents, too, must be the right ones in every pass */
    CHECK(dit_create(&w->net, &dit, 0));
    small_open(&w->small, &w->net.table, 0.15);
    w->config = *config;
    w->B = B;
    w->chunks = chunks;
    w->frames = 1 + chunks * config->causal.chunk;
    w->frame = (long)dit.in_channels * dit.height * dit.width;
    w->clip = w->frames * w->frame;
    arena_begin(&w->arena, "test");
    small_rollout_layout(w, capacity, memory);
    small_rollout_free(w);
    CHECK(arena_commit(&w->arena));
    small_rollout_layout(w, capacity, memory);
    w->condition = small_condition(&w->small, &dit, B, w->frames);
    w->reference = small_reals(&w->small, B * w->frame, 1);
    w->out = small_reals(&w->small, B * w->clip, 0);
    w->exit_input = small_reals(&w->small, B * w->clip, 0);
}

/* B clips of the reference and that many chunks; capacity: frames that the cache has room for. */
static inline void small_rollout_open(struct small_rollout *w, const struct rollout_config *config, int layers, int B,
                                      int chunks, int capacity, enum dit_memory memory) {
    memset(w, 0, sizeof *w);
    small_rollout_make(w, config, layers, B, chunks, capacity, memory);
}

/* The same as sessions lay it out, with a cache of this type. */
static inline void small_stream_open(struct small_rollout *w, const struct rollout_config *config, int layers, int B,
                                     int chunks, enum kv_type type) {
    memset(w, 0, sizeof *w);
    w->streams = 1;
    w->type = type;
    small_rollout_make(w, config, layers, B, chunks, KV_STREAM, DIT_FORWARD_ONLY);
}

static inline void small_rollout_close(struct small_rollout *w) {
    small_rollout_free(w);
    arena_free(&w->arena);
    small_close(&w->small);
    dit_destroy(&w->net);
    CHECK(device_sync());
}

#endif
