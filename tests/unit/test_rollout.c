/* test_rollout.c: what a rollout promises to the bit, on this backend: the exit step run again equals its first run, a
   stream with a ring equals training with room for the whole clip, a sample's noise does not depend on its batch, and
   a reference and guidance that change between chunks follow their rules. */
#include "tests/small_rollout.h"

#include "base/philox.h"

enum { LAYERS = 2, C = 3, STEPS = 3 };

static const struct rollout_config standard = {
    .causal = {C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0}, .steps = STEPS, .sigma = {1, 0.857, 0.6}};

static void roll(struct small_rollout *w, int exit, long sample0) {
    struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST, .sample0 = sample0};
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
    for (int i = 1; i <= w->chunks; i++) {
        long at = causal_first(&w->config.causal, i) * w->frame;
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
    static const struct causal_config kinds[] = {{C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 0, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 4, 6, RAPR_START, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 4, 5, RAPR_CONTEXT, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 4, 6, RAPR_OFF, 0, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 4, 6, RAPR_END, 9, SINK_SHIFTED, AUDIO_MARGIN, 0},
                                                 {1, 2, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {1, 0, 3, RAPR_START, 4, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {1, 1, 3, RAPR_CONTEXT, 4, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {1, 2, 3, RAPR_OFF, 0, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 /* the last ones: a short first chunk */
                                                 {C, 2, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 1},
                                                 {C, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 1},
                                                 {C, 0, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 1},
                                                 {C, 5, 4, RAPR_START, 9, SINK_NATIVE, AUDIO_MARGIN, 1},
                                                 {C, 3, 5, RAPR_CONTEXT, 9, SINK_SHIFTED, AUDIO_MARGIN, 2},
                                                 {C, 1, 7, RAPR_OFF, 0, SINK_NATIVE, AUDIO_MARGIN, 2},
                                                 {C, 0, 4, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 2}};
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

/* The stream moves its audio windows along: only where they start may change, and not beyond what is made. */
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
    struct rollout_condition late = all;
    late.window_first = 1;
    assert_int_equal(rollout_begin(&w.rollout, &w.small.params, w.reference, w.frame, &late), ERR_USAGE);
    late.window_first = C + 1;
    rollout_rewind(&w.rollout);
    assert_int_equal(rollout_chunk(&w.rollout, &w.small.params, &late, &noise, STEPS - 1, w.out, w.clip, NULL, 0),
                     ERR_USAGE);
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

/* ---- changes between chunks ---- */

/* Chunks from .. to of a clip whose earlier ones are there. */
static void roll_on(struct small_rollout *w, int from, int to) {
    const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST};
    for (int i = from; i <= to; i++)
        CHECK(rollout_chunk(&w->rollout, &w->small.params, &w->condition, &noise, STEPS - 1, chunk_of(w, w->out, 0, i),
                            w->clip, NULL, 0));
}

static void give_reference(struct small_rollout *w, const real *reference) {
    CHECK(rollout_change_reference(&w->rollout, &w->small.params, reference, w->frame, &w->condition));
}

/* Rolls 12 chunks, with a change to `other` before chunk `at`, and copies the clip to `to`. */
static void roll_with_change(struct small_rollout *w, const real *other, int at, real *to) {
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
    roll_on(w, 1, at - 1);
    give_reference(w, other);
    roll_on(w, at, 12);
    mem_copy(to, w->out, sizeof(real) * (size_t)w->clip);
}

/* The new reference's keys and values lie where the old one's were and nothing else is touched: giving the same
   reference changes no bit, also when the ring has come round; another one before the first chunk is a beginning with
   it; and a cache with a slot for every frame goes on as the stream's does. */
static void a_reference_is_replaced_in_place(void **state) {
    (void)state;
    enum { CHUNKS = 12, AT = 8 };
    struct small_rollout w, whole;
    small_rollout_open(&w, &standard, LAYERS, 1, CHUNKS, KV_STREAM, DIT_FORWARD_ONLY);
    small_rollout_open(&whole, &standard, LAYERS, 1, CHUNKS, CHUNKS * C + 1, DIT_FORWARD_ONLY);
    real *other = small_reals(&w.small, w.frame, 1), *expected = small_reals(&w.small, w.clip, 0),
         *got = small_reals(&w.small, w.clip, 0);
    size_t frame = sizeof(real) * (size_t)w.frame, made = frame * CHUNKS * C, before = frame * (AT - 1) * C;
    roll(&w, STEPS - 1, 0);
    mem_copy(expected, w.out, made + frame);
    roll_with_change(&w, w.reference, AT, got);
    assert_same_bits(got + w.frame, expected + w.frame, made);
    roll_with_change(&w, other, AT, got);
    assert_same_bits(got + w.frame, expected + w.frame, before);
    real *old = small_host(chunk_of(&w, expected, 0, AT), C * w.frame),
         *new = small_host(chunk_of(&w, got, 0, AT), C * w.frame);
    assert_memory_not_equal(old, new, C * frame);
    free(old);
    free(new);
    roll_with_change(&whole, other, AT, expected);
    assert_same_bits(got + w.frame, expected + w.frame, made);
    roll_with_change(&w, other, 1, got);
    CHECK(rollout_begin(&w.rollout, &w.small.params, other, w.frame, &w.condition));
    roll_on(&w, 1, CHUNKS);
    assert_same_bits(got + w.frame, w.out + w.frame, made);
    small_rollout_close(&whole);
    small_rollout_close(&w);
}

/* ---- a cache in fp8 ---- */

/* Rounds what a full cache holds of these frames to what one in fp8 would give back. */
static void round_cache(struct small_rollout *w, int first, int count) {
    const struct dit_kv_output *kept = kv_cache_output(w->rollout.cache, first, count);
    const struct dit_config *c = &w->net.config;
    long D = c->dim / c->heads, rows = count * dit_tokens(c) * c->heads;
    uint8_t *codes = small_alloc(&w->small, (size_t)(rows * D));
    real *scale = small_reals(&w->small, rows, 0);
    for (int l = 0; l < LAYERS; l++)
        for (int b = 0; b < w->B; b++)
            for (int v = 0; v < 2; v++) {
                elem *numbers = (v ? kept->v : kept->k)[l] + b * kept->stride;
                rows_quantise(codes, scale, QUANTISED_FP8, numbers, rows, D);
                rows_widen(numbers, codes, scale, QUANTISED_FP8, rows, D);
            }
}

/* Makes a clip whose reference changes before chunk AT; what a full cache keeps is rounded after every pass. */
enum { FP8_CHUNKS = 9, FP8_AT = 7 };
static void roll_rounded(struct small_rollout *w, const real *other) {
    const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST};
    const int rounds = w->type == KV_FULL;
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
    if (rounds) round_cache(w, 0, 1);
    for (int i = 1; i <= FP8_CHUNKS; i++) {
        if (i == FP8_AT) {
            CHECK(rollout_change_reference(&w->rollout, &w->small.params, other, w->frame, &w->condition));
            if (rounds) round_cache(w, 0, 1);
        }
        CHECK(rollout_chunk(&w->rollout, &w->small.params, &w->condition, &noise, STEPS - 1, chunk_of(w, w->out, 0, i),
                            w->clip, NULL, 0));
        if (rounds) round_cache(w, 1 + (i - 1) * C, C);
    }
}

/* A cache in fp8 gives what a full one gives whose keys before RoPE and values are rounded to fp8 as soon as they are
   kept: over the ring's rotation, a change of the reference and for two samples, to the bit where elem is float; in
   bf16 the full one rounds keys once more before their rotation. The rounding of what is kept is all that differs. */
static void a_cache_in_fp8_rounds_what_it_keeps(void **state) {
    (void)state;
    static const struct causal_config kinds[] = {{C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 1, 5, RAPR_CONTEXT, 9, SINK_SHIFTED, AUDIO_MARGIN, 0}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct rollout_config config = standard;
        config.causal = kinds[k];
        config.clean_pass = (int)k;
        struct small_rollout full, fp8;
        small_stream_open(&full, &config, LAYERS, 2, FP8_CHUNKS, KV_FULL);
        small_stream_open(&fp8, &config, LAYERS, 2, FP8_CHUNKS, KV_FP8);
        assert_true(fp8.arena.size < full.arena.size);
        roll_rounded(&full, small_reals(&full.small, 2 * full.frame, 1));
        roll_rounded(&fp8, small_reals(&fp8.small, 2 * fp8.frame, 1));
        for (int b = 0; b < 2; b++) {
            long n = FP8_CHUNKS * C * full.frame;
            real *want = small_host(chunk_of(&full, full.out, b, 1), n),
                 *got = small_host(chunk_of(&fp8, fp8.out, b, 1), n);
            double off = 0, size = 0;
            for (long i = 0; i < n; i++) {
                off += pow((double)got[i] - (double)want[i], 2);
                size += pow((double)want[i], 2);
            }
            if (sizeof(elem) == 4) assert_true(off == 0);
            assert_true(size > 0 && off < 1e-3 * size);
            free(want), free(got);
        }
        small_rollout_close(&full);
        small_rollout_close(&fp8);
    }
}

/* Streams in fp8 that take turns with one layer's places do not know of each other. */
static void caches_in_fp8_take_turns(void **state) {
    (void)state;
    const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST};
    struct small_rollout w;
    struct rollout second;
    struct arena arena;
    small_stream_open(&w, &standard, LAYERS, 1, FP8_CHUNKS, KV_FP8);
    roll(&w, STEPS - 1, 0);
    size_t made = sizeof(real) * (size_t)(w.clip - w.frame);
    real *alone = small_reals(&w.small, w.clip, 0), *other = small_reals(&w.small, w.frame, 1);
    mem_copy(alone, w.out, sizeof(real) * (size_t)w.clip);
    arena_begin(&arena, "second");
    CHECK(rollout_layout_stream(&second, &w.work, &arena));
    rollout_free(&second);
    CHECK(arena_commit(&arena));
    CHECK(rollout_layout_stream(&second, &w.work, &arena));
    CHECK(rollout_begin(&w.rollout, &w.small.params, w.reference, w.frame, &w.condition));
    CHECK(rollout_begin(&second, &w.small.params, other, w.frame, &w.condition));
    for (int i = 1; i <= FP8_CHUNKS; i++) {
        CHECK(rollout_chunk(&w.rollout, &w.small.params, &w.condition, &noise, STEPS - 1, chunk_of(&w, w.out, 0, i),
                            w.clip, NULL, 0));
        CHECK(rollout_chunk(&second, &w.small.params, &w.condition, &noise, STEPS - 1, w.exit_input, w.clip, NULL, 0));
    }
    assert_same_bits(w.out + w.frame, alone + w.frame, made);
    rollout_free(&second);
    arena_free(&arena);
    small_rollout_close(&w);
}

/* A stream's rollout beside `w`: same network and conditions, laid out as sessions do. */
struct guided {
    struct rollout work, stream;
    struct arena arena;
    real *out;
};
static void guided_layout(struct guided *g, const struct small_rollout *w) {
    CHECK(rollout_layout_work(&g->work, &w->net, &w->config, 1, KV_FULL, &g->arena));
    CHECK(rollout_layout_stream(&g->stream, &g->work, &g->arena));
    g->out = ARENA_TAKE(&g->arena, "out", real, C * w->frame);
}
static void guided_free(struct guided *g) {
    rollout_free(&g->stream);
    rollout_free(&g->work);
}
/* Opens `w` with one pass a chunk, and the stream beside it. */
static void guided_open(struct guided *g, struct small_rollout *w) {
    struct rollout_config config = standard;
    config.steps = 1;
    *g = (struct guided){0};
    small_rollout_open(w, &config, LAYERS, 1, 2, KV_STREAM, DIT_FORWARD_ONLY);
    arena_begin(&g->arena, "guided");
    guided_layout(g, w);
    guided_free(g);
    CHECK(arena_commit(&g->arena));
    guided_layout(g, w);
}
static void guided_close(struct guided *g, struct small_rollout *w) {
    guided_free(g);
    arena_free(&g->arena);
    small_rollout_close(w);
}

/* The first chunk with parties silenced (bits of `mute`) or guided, on the host. */
static real *first_chunk(struct guided *g, struct small_rollout *w, int mute, double talk, double listen) {
    const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST};
    struct rollout_condition c = w->condition;
    rollout_guide(&g->stream, talk, listen);
    CHECK(rollout_begin(&g->stream, &w->small.params, w->reference, w->frame, &c));
    elem *silence = small_elems(&w->small, w->condition.audio_stride, 0);
    for (int s = 0; s < AUDIO_STREAMS; s++)
        if (mute >> s & 1) c.audio[s] = silence;
    CHECK(rollout_chunk(&g->stream, &w->small.params, &c, &noise, g->stream.config.steps - 1, g->out, C * w->frame,
                        NULL, 0));
    return small_host(g->out, C * w->frame);
}

/* With one pass a chunk the guided x0 is the mixture that rollout_guide states of the x0 with parties silenced; weights
   of 0 and 1 take one of them to the bit, and the cache holds the pass that hears both. */
static void guidance_mixes_what_is_heard(void **state) {
    (void)state;
    static const double strengths[][2] = {{1, 1}, {0, 0}, {1, 0}, {0, 1}, {2, 2}, {1, 3}, {2.5, 0.5}};
    struct small_rollout w;
    struct guided g;
    guided_open(&g, &w);
    long n = C * w.frame;
    real *both = first_chunk(&g, &w, 0, 1, 1), *agent = first_chunk(&g, &w, 1 << AUDIO_LISTEN, 1, 1),
         *none = first_chunk(&g, &w, 3, 1, 1);
    assert_memory_not_equal(both, agent, sizeof *both * (size_t)n);
    assert_memory_not_equal(agent, none, sizeof *both * (size_t)n);
    for (size_t k = 0; k < sizeof strengths / sizeof *strengths; k++) {
        double talk = strengths[k][0], listen = strengths[k][1];
        real *got = first_chunk(&g, &w, 0, talk, listen);
        for (long i = 0; i < n; i++) {
            double a = (1 - talk) * (double)none[i], b = (talk - listen) * (double)agent[i],
                   c = listen * (double)both[i];
            /* each product and each of two sums is rounded once */
            double rounding = 3 * 0x1p-24 * (fabs(a) + fabs(b) + fabs(c));
            if (fabs((double)got[i] - (a + b + c)) > rounding)
                fail_msg("strengths %g and %g: number %ld", talk, listen, i);
        }
        free(got);
    }
    free(both);
    free(agent);
    free(none);
    guided_close(&g, &w);
}

/* A chunk of another strength writes the same keys and values with its last pass only if that pass hears both: after a
   first chunk at strengths 0, a cache of one pass a chunk is the same as ever, and so is the second chunk at 1. */
static void guidance_leaves_the_cache_alone(void **state) {
    (void)state;
    struct small_rollout w;
    struct guided g;
    const struct rollout_noise noise = {.seed = 5, .step = 70000, .purpose = RANDOM_TEST};
    guided_open(&g, &w);
    real *second[2];
    for (int guided = 0; guided < 2; guided++) {
        free(first_chunk(&g, &w, 0, guided ? 0 : 1, guided ? 3 : 1));
        rollout_guide(&g.stream, 1, 1);
        CHECK(rollout_chunk(&g.stream, &w.small.params, &w.condition, &noise, 0, g.out, C * w.frame, NULL, 0));
        second[guided] = small_host(g.out, C * w.frame);
    }
    assert_memory_equal(second[0], second[1], sizeof(real) * (size_t)(C * w.frame));
    free(second[0]);
    free(second[1]);
    guided_close(&g, &w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rerun_equals_first_run_saving_all),
        cmocka_unit_test(rerun_equals_first_run_saving_blocks),
        cmocka_unit_test(stream_equals_training),
        cmocka_unit_test(windows_may_move),
        cmocka_unit_test(noise_is_the_samples_own),
        cmocka_unit_test(a_reference_is_replaced_in_place),
        cmocka_unit_test(a_cache_in_fp8_rounds_what_it_keeps),
        cmocka_unit_test(caches_in_fp8_take_turns),
        cmocka_unit_test(guidance_mixes_what_is_heard),
        cmocka_unit_test(guidance_leaves_the_cache_alone),
        cmocka_unit_test(wrong_use_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
