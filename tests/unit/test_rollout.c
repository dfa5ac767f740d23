/* test_rollout.c: what a rollout promises to the bit, on this backend: the exit step run again equals its first run, a
   stream with a ring equals training with room for the whole clip, and a sample's noise does not depend on its
   batch. */
#include "tests/small_rollout.h"

#include "base/philox.h"

enum { LAYERS = 2, C = 3, STEPS = 3 };

static const struct rollout_config standard = {
    .causal = {C, 4, 6, RAPR_END, 9, SINK_NATIVE}, .steps = STEPS, .sigma = {1, 0.857, 0.6}};

static void roll(struct small_rollout *w, int exit, long sample0) {
    struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST, .sample0 = sample0};
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
    for (int i = 1; i <= w->chunks; i++) {
        long at = (1 + (i - 1) * w->config.causal.chunk) * w->frame;
        CHECK(rollout_chunk(&w->rollout, &w->small.params, &w->condition, &noise, exit, w->out + at, w->clip,
                            w->exit_input + at, w->clip));
    }
}

/* Chunk i (1 ..) of sample b. */
static real *chunk_of(const struct small_rollout *w, real *clip, int b, int i) {
    return clip + b * w->clip + (1 + (i - 1) * C) * w->frame;
}

static void rerun_equals_first_run(const struct rollout_config *config, enum dit_memory memory) {
    enum { CHUNKS = 6 };
    struct small_rollout w;
    small_rollout_open(&w, config, LAYERS, 2, CHUNKS, CHUNKS * C, memory);
    real *again = small_reals(&w.small, 2 * w.clip, 0);
    size_t bytes = sizeof(real) * (size_t)(C * w.frame);
    for (int exit = 0; exit < STEPS; exit++) {
        roll(&w, exit, 0);
        for (int i = CHUNKS; i >= 1; i--) {
            CHECK(rollout_rerun(&w.rollout, &w.small.params, w.acts, &w.condition, i, exit,
                                chunk_of(&w, w.exit_input, 0, i), w.clip, chunk_of(&w, again, 0, i), w.clip));
            for (int b = 0; b < 2; b++) assert_same_bits(chunk_of(&w, again, b, i), chunk_of(&w, w.out, b, i), bytes);
        }
    }
    small_rollout_close(&w);
}
static void rerun_equals_first_run_saving_all(void **state) {
    (void)state;
    rerun_equals_first_run(&standard, DIT_SAVE_ALL);
}
static void rerun_equals_first_run_saving_blocks(void **state) {
    (void)state;
    struct rollout_config config = standard;
    config.clean_pass = 1;
    config.causal.sink = 1;
    rerun_equals_first_run(&config, DIT_SAVE_BLOCKS);
}

/* A clip of 12 chunks through the ring of a stream and through a cache with room for all. */
static void stream_equals_training(void **state) {
    (void)state;
    enum { CHUNKS = 12 };
    static const struct causal_config kinds[] = {
        {C, 4, 6, RAPR_END, 9, SINK_NATIVE},     {C, 1, 6, RAPR_END, 9, SINK_NATIVE},
        {C, 0, 6, RAPR_END, 9, SINK_NATIVE},     {C, 4, 6, RAPR_START, 9, SINK_NATIVE},
        {C, 4, 5, RAPR_CONTEXT, 9, SINK_NATIVE}, {C, 4, 6, RAPR_OFF, 0, SINK_NATIVE},
        {C, 4, 6, RAPR_END, 9, SINK_SHIFTED},    {1, 2, 6, RAPR_END, 9, SINK_NATIVE},
        {1, 0, 3, RAPR_START, 4, SINK_NATIVE},   {1, 1, 3, RAPR_CONTEXT, 4, SINK_NATIVE},
        {1, 2, 3, RAPR_OFF, 0, SINK_NATIVE}}; /* the last ones: frame by frame */
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rollout_config config = standard;
        config.causal = kinds[k];
        struct small_rollout stream, training;
        small_rollout_open(&stream, &config, LAYERS, 1, CHUNKS, KV_STREAM, DIT_FORWARD_ONLY);
        small_rollout_open(&training, &config, LAYERS, 1, CHUNKS, CHUNKS * config.causal.chunk + 1, DIT_FORWARD_ONLY);
        roll(&stream, STEPS - 1, 0);
        roll(&training, STEPS - 1, 0);
        long generated = stream.clip - stream.frame;
        assert_same_bits(stream.out + stream.frame, training.out + stream.frame, sizeof(real) * (size_t)generated);
        real *x = small_host(stream.out + stream.frame, generated);
        double energy = 0;
        for (long i = 0; i < generated; i++) energy += (double)x[i] * (double)x[i];
        free(x);
        assert_true(isfinite(energy) && energy / (double)generated > 0.1);
        small_rollout_close(&stream);
        small_rollout_close(&training);
    }
}

/* The stream moves its audio windows along: only where they start may change. */
static void windows_may_move(void **state) {
    (void)state;
    enum { CHUNKS = 4 };
    struct small_rollout w;
    small_rollout_open(&w, &standard, LAYERS, 1, CHUNKS, KV_STREAM, DIT_FORWARD_ONLY);
    roll(&w, STEPS - 1, 0);
    real *whole = small_reals(&w.small, w.clip, 0);
    mem_copy(whole, w.out, sizeof(real) * (size_t)w.clip);
    const struct rollout_condition all = w.condition;
    struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST};
    CHECK(rollout_begin(&w.rollout, &w.small.params, w.reference, w.frame, &all));
    for (int i = 1; i <= CHUNKS; i++) {
        struct rollout_condition part = all;
        part.window_first = (i - 1) * C + 1;
        for (int s = 0; s < AUDIO_STREAMS; s++)
            part.audio[s] = all.audio[s] + (long)part.window_first * AUDIO_WINDOW * w.net.config.audio_dim;
        CHECK(rollout_chunk(&w.rollout, &w.small.params, &part, &noise, STEPS - 1, chunk_of(&w, w.out, 0, i), w.clip,
                            NULL, 0));
    }
    assert_same_bits(w.out + w.frame, whole + w.frame, sizeof(real) * (size_t)(w.clip - w.frame));
    small_rollout_close(&w);
}

/* The input of pass 0 is the starting noise: the same for sample 1 alone as beside sample 0. Later passes add noise to
   a prediction, which equals the other up to the order of sums in a matrix product of another size. */
static void noise_is_the_samples_own(void **state) {
    (void)state;
    enum { CHUNKS = 2 };
    struct small_rollout both, alone;
    small_rollout_open(&both, &standard, LAYERS, 2, CHUNKS, CHUNKS * C, DIT_FORWARD_ONLY);
    small_rollout_open(&alone, &standard, LAYERS, 1, CHUNKS, CHUNKS * C, DIT_FORWARD_ONLY);
    roll(&both, 0, 8);
    roll(&alone, 0, 9);
    size_t bytes = sizeof(real) * (size_t)(CHUNKS * C * both.frame);
    assert_same_bits(chunk_of(&both, both.exit_input, 1, 1), chunk_of(&alone, alone.exit_input, 0, 1), bytes);
    real *a = small_download(chunk_of(&both, both.exit_input, 0, 1), bytes);
    real *b = small_download(chunk_of(&both, both.exit_input, 1, 1), bytes);
    assert_memory_not_equal(a, b, bytes); /* nor do samples, frames or passes share noise */
    assert_memory_not_equal(a, a + both.frame, bytes / (CHUNKS * C));
    free(b);
    roll(&both, 1, 8);
    b = small_download(chunk_of(&both, both.exit_input, 0, 1), bytes);
    assert_memory_not_equal(a, b, bytes);
    free(a);
    free(b);
    small_rollout_close(&both);
    small_rollout_close(&alone);
}

static void wrong_use_is_refused(void **state) {
    (void)state;
    struct small_rollout w;
    small_rollout_open(&w, &standard, LAYERS, 1, 6, KV_STREAM, DIT_FORWARD_ONLY); /* a ring: old chunks are gone */
    struct rollout_noise noise = {.purpose = RANDOM_TEST};
    CHECK(rollout_begin(&w.rollout, &w.small.params, w.reference, w.frame, &w.condition));
    assert_int_equal(rollout_chunk(&w.rollout, &w.small.params, &w.condition, &noise, STEPS, w.out, w.clip, NULL, 0),
                     ERR_USAGE);
    roll(&w, 0, 0);
    struct causal_view view;
    causal_view(&view, &w.config.causal, 6);
    assert_non_null(kv_cache_history(w.rollout.cache, &view));
    causal_view(&view, &w.config.causal, 4);
    assert_null(kv_cache_history(w.rollout.cache, &view));
    assert_non_null(strstr(error_text(), "not in the cache"));
    kv_cache_clear(w.rollout.cache);
    causal_view(&view, &w.config.causal, 1);
    assert_null(kv_cache_history(w.rollout.cache, &view));

    struct rollout bad;
    struct rollout_config config = standard;
    config.sigma[1] = 1; /* does not fall */
    assert_int_equal(rollout_layout(&bad, &w.net, &config, 1, 6, &w.arena), ERR_USAGE);
    config = standard;
    config.steps = ROLLOUT_STEPS_MAX + 1;
    assert_int_equal(rollout_layout(&bad, &w.net, &config, 1, 6, &w.arena), ERR_USAGE);
    config = standard;
    config.causal.sink = 2;
    assert_int_equal(rollout_layout(&bad, &w.net, &config, 1, 6, &w.arena), ERR_USAGE);
    small_rollout_close(&w);
}

static int setup(void **state) {
    (void)state;
    return device_init(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rerun_equals_first_run_saving_all),
        cmocka_unit_test(rerun_equals_first_run_saving_blocks),
        cmocka_unit_test(stream_equals_training),
        cmocka_unit_test(windows_may_move),
        cmocka_unit_test(noise_is_the_samples_own),
        cmocka_unit_test(wrong_use_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
