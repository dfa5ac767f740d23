/* test_rollout.c: what a rollout and the causal cache compute, in double: a chunk seen through the cache equals the
   same chunk computed another way. */
#include "tests/double/rollout_history.h"

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

static void cache_equals_bidirectional_prefix(void **state) {
    (void)state;
    for (int first = 0; first <= 2; first++) cache_equals_prefix(first);
}

static void cache_equals_hand_made_history(void **state) {
    (void)state;
    static const struct hand_case cases[] = {
        {{C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {7, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 7, 8, 9, 10, 11, 12}, {0, 1, 2, 3, 1, 2, 3, 4, 5, 6}, {7, 8, 9}}}},
        {{C, 4, 6, RAPR_CONTEXT, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {7, {0, 1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {10, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}},
          {10, {0, 1, 2, 3, 7, 8, 9, 10, 11, 12}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {10, 11, 12}}}},
        {{C, 0, 6, RAPR_START, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
         {{1, {0}, {0}, {1, 2, 3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4, 5, 6}},
          {6, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {6, {4, 5, 6, 7, 8, 9}, {3, 4, 5, 6, 7, 8}, {9, 10, 11}},
          {6, {7, 8, 9, 10, 11, 12}, {3, 4, 5, 6, 7, 8}, {9, 10, 11}}}},
        /* a first chunk of one frame, which is in the sink with the reference */
        {{C, 2, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 1},
         {{1, {0}, {0}, {1}},
          {2, {0, 1}, {0, 1}, {2, 3, 4}},
          {5, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, {5, 6, 7}},
          {8, {0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 1, 2, 3, 4, 5, 6}, {7, 8, 9}},
          {8, {0, 1, 5, 6, 7, 8, 9, 10}, {0, 1, 1, 2, 3, 4, 5, 6}, {7, 8, 9}}}},
    };
    cache_equals_hand_made(cases, sizeof cases / sizeof *cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_follow_the_formula),      cmocka_unit_test(history_is_the_last_pass),
        cmocka_unit_test(clean_pass_writes_the_result),   cmocka_unit_test(cache_equals_bidirectional_prefix),
        cmocka_unit_test(cache_equals_hand_made_history),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
