/* test_rollout.c: what a rollout and the causal cache compute, in double: a chunk seen through the cache equals the
   same chunk computed another way. */
#include "tests/double/rollout_world.h"

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

/* One layer's keys depend on their own frame alone, so block-causal attention is, for the last chunk of any prefix,
   plain bidirectional attention over the prefix. */
static void cache_equals_bidirectional_prefix(void **state) {
    (void)state;
    enum { CHUNKS = 5 };
    struct rollout_config config = standard;
    config.causal = (struct causal_config){C, 1, CHUNKS * C, RAPR_OFF, 0, SINK_NATIVE};
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
        {{C, 4, 6, RAPR_END, 9, SINK_NATIVE},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {7, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 7, 8, 9, 10, 11, 12}, {0, 1, 2, 3, 1, 2, 3, 4, 5, 6}, {7, 8, 9}}}},
        {{C, 4, 6, RAPR_CONTEXT, 9, SINK_NATIVE},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {7, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}},
          {10, {0, 1, 2, 3, 7, 8, 9, 10, 11, 12}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}}}},
        {{C, 0, 6, RAPR_START, 9, SINK_NATIVE},
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
        struct dit_history history = {.ranges = ranges, .count = 1};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_follow_the_formula),      cmocka_unit_test(history_is_the_last_pass),
        cmocka_unit_test(clean_pass_writes_the_result),   cmocka_unit_test(cache_equals_bidirectional_prefix),
        cmocka_unit_test(cache_equals_hand_made_history),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
