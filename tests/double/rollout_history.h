/* rollout_history.h: a chunk seen through the cache against the same chunk computed another way, for any size of chunk
   (WORLD_CHUNK in rollout_world.h): against bidirectional attention over what came before, and against keys and values
   that the test keeps and rotates itself. */
#ifndef TESTS_ROLLOUT_HISTORY_H
#define TESTS_ROLLOUT_HISTORY_H

#include "tests/double/rollout_world.h"

/* Number of the chunk that a latent frame belongs to. */
static inline int chunk_of_frame(const struct world *w, int frame) {
    int i = 0;
    while (chunk_first(w, i + 1) <= frame) i++;
    return i;
}

/* One layer's keys depend on their own frame alone, so block-causal attention is, for the last chunk of any prefix,
   plain bidirectional attention over the prefix. */
static inline void cache_equals_prefix(int first_chunk) {
    enum { CHUNKS = 5 };
    struct rollout_config config = standard;
    config.causal = (struct causal_config){C, 1, CHUNKS * C, RAPR_OFF, 0, SINK_NATIVE, AUDIO_MARGIN, first_chunk};
    struct world w;
    open_world(&w, &config, 1, CHUNKS, DIT_SAVE_ALL);
    struct causal_clip c = make_clip(&w);
    causal_forward(&w, &c, &w.small.params);

    int positions[1 + CHUNKS * C];
    for (int f = 0; f <= CHUNKS * C; f++) positions[f] = f;
    real *velocity = small_reals(&w.small, B * w.clip, 0), *t = small_reals(&w.small, B * w.frames, 0);
    for (int i = 1; i <= CHUNKS; i++) {
        struct dit_input in = input_of(&w, 0, positions, c.latents, t);
        in.frames = chunk_first(&w, i) + chunk_frames(&w, i);
        for (int b = 0; b < B; b++)
            for (int f = 0; f < in.frames; f++) real_fill(t + b * in.frames + f, level(b, chunk_of_frame(&w, f)), 1);
        dit_condition_reset(w.long_acts, 1, 1);
        CHECK(dit_forward(&w.net, &w.small.params, w.long_acts, &in, velocity, w.clip));
        for (int b = 0; b < B; b++) {
            long at = b * w.clip + chunk_at(&w, i);
            assert_true(small_distance(c.velocity + at, velocity + at, chunk_frames(&w, i) * w.frame) < 1e-12);
        }
    }
    close_world(&w);
}

/* Keys of one frame at a temporal position, rotated by the definition: pair k of an axis with n pairs turns by
   position theta^(-k/n). */
static inline void rotate_frame(const struct dit *net, double *k, int position) {
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
static inline struct export make_export(struct world *w) {
    struct export e = {.frame = (long)dit_tokens(&w->net.config) * w->net.config.dim};
    e.sample = w->frames * e.frame;
    e.layer = B * e.sample;
    e.k = small_reals(&w->small, w->net.config.layers * e.layer, 0);
    e.v = small_reals(&w->small, w->net.config.layers * e.layer, 0);
    return e;
}
static inline struct dit_kv_output export_output(struct export *e, int layers, int first) {
    for (int l = 0; l < layers; l++) {
        e->k_at[l] = e->k + l * e->layer + first * e->frame;
        e->v_at[l] = e->v + l * e->layer + first * e->frame;
    }
    return (struct dit_kv_output){.k = e->k_at, .v = e->v_at, .stride = e->sample};
}

/* Frames and positions of a history, as the tables of docs/model.md say, by hand. */
struct hand_view {
    int count, frame[10], position[10], current[C];
};
/* One range: the history of a hand-written view, rotated on the host, for every layer. */
static inline void hand_history(struct world *w, const struct export *e, const struct hand_view *view,
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

/* A cache and what its first chunks see, written by hand. */
enum { HAND_CHUNKS = WORLD_CHUNK == 1 ? 9 : 5, HAND_LAYERS = 3 };
struct hand_case {
    struct causal_config config;
    struct hand_view view[HAND_CHUNKS];
};

/* Three layers through the cache against keys and values kept and rotated by the test itself. */
static inline void cache_equals_hand_made(const struct hand_case *cases, int count) {
    static const int origin[1] = {0};
    for (int k = 0; k < count; k++) {
        struct rollout_config config = standard;
        config.causal = cases[k].config;
        struct world w;
        open_world(&w, &config, HAND_LAYERS, HAND_CHUNKS, DIT_SAVE_ALL);
        struct causal_clip c = make_clip(&w);
        causal_forward(&w, &c, &w.small.params);
        real *cached = small_reals(&w.small, B * w.clip, 0);
        mem_copy(cached, c.velocity, sizeof(real) * (size_t)(B * w.clip));

        struct export e = make_export(&w);
        real *rotated = small_reals(&w.small, HAND_LAYERS * B * 10 * e.frame, 0);
        real *values = small_reals(&w.small, HAND_LAYERS * B * 10 * e.frame, 0);
        struct attention_range ranges[HAND_LAYERS];
        struct dit_history history = {.ranges = ranges, .count = 1};
        for (int i = 0; i <= HAND_CHUNKS; i++) {
            const struct hand_view *view = &cases[k].view[i - (i > 0)];
            if (i) hand_history(&w, &e, view, ranges, rotated, values);
            struct dit_kv_output output = export_output(&e, HAND_LAYERS, chunk_first(&w, i));
            causal_chunk(&w, &c, &w.small.params, i, i ? &history : NULL, &output, i ? view->current : origin);
            for (int b = 0; b < B; b++) {
                long at = b * w.clip + chunk_at(&w, i);
                assert_true(small_distance(cached + at, c.velocity + at, chunk_frames(&w, i) * w.frame) < 1e-12);
            }
        }
        close_world(&w);
    }
}

#endif
