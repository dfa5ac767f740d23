/* test_wav2vec2.c: wav2vec2 as a stream: any cut of the sound gives the same bits, features come when they are
   promised, a pass computes what a whole clip of the samples it sees gives, statistics, silence, memory; recipes.
   Parity with Transformers is in tests/golden. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/philox.h"
#include "checkpoints/sound_encoder.h"
#include "kernels/device.h"
#include "tests/check.h"
#include "tests/wav2vec2_checkpoint.h"

enum { FRAMES = 61, SAMPLES = 640 * (FRAMES - 1) + 123 };

/* A clip in blocks of other sizes sums in another order: a few units of the number type, through some hundred sums. */
#if defined(TYPE_BF16)
static const double SAME = 2e-2;
#elif defined(TYPE_DOUBLE)
static const double SAME = 1e-6;
#else
static const double SAME = 1e-5;
#endif

static const struct checkpoint_style style = {"unit", "", 0, NULL, 0};
static char base_folder[FOLDER_MAX], large_folder[FOLDER_MAX];
static float pcm[SAMPLES];

static struct sound_encoder open_encoder(const char *folder, struct audio_recipe recipe) {
    struct sound_encoder encoder;
    CHECK(sound_encoder_open(&encoder, &recipe, 0, folder));
    return encoder;
}

static struct audio_recipe small_recipe(int resample, int stride, int context) {
    struct audio_recipe recipe = audio_recipe_default("wav2vec2");
    snprintf(recipe.states, sizeof recipe.states, "last,0-1");
    recipe.resample = resample;
    recipe.stride = stride;
    recipe.context = context;
    return recipe;
}

/* Everything pushed at once: [FRAMES, dim]. */
static float *all_at_once(struct audio_encoder *stream, const float *from, long samples) {
    float *features = calloc((size_t)(FRAMES * stream->dim), sizeof *features);
    assert_non_null(features);
    int got = audio_encoder_push(stream, from, samples, features, FRAMES);
    assert_true(got >= 0);
    int more = audio_encoder_flush(stream, features + got * stream->dim, FRAMES - got);
    assert_int_equal(got + more, (samples + 639) / 640);
    assert_int_equal(audio_encoder_flush(stream, features, 1), 0);
    return features;
}

static double distance(const float *a, const float *b, long n) {
    double error = 0, size = 0;
    for (long i = 0; i < n; i++) {
        error += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(error / size);
}

/* Pieces of any length, output rooms of any size, and a second time after a reset. */
static void any_cut_gives_the_same_bits(void **state) {
    (void)state;
    static const int strides[] = {12, 5, 1};
    for (int k = 0; k < 6; k++) {
        struct sound_encoder encoder = open_encoder(base_folder, small_recipe(k & 1, strides[k / 2], 7));
        struct audio_encoder s;
        CHECK(sound_encoder_stream(&encoder, &s));
        float *once = all_at_once(&s, pcm, SAMPLES), *cut = calloc((size_t)(FRAMES * s.dim), sizeof *cut);
        for (int pieces = 0; pieces < 3; pieces++) {
            struct random_address address = {.seed = 7, .purpose = RANDOM_TEST, .pass = pieces};
            int got = 0;
            uint32_t draw = 0;
            audio_encoder_reset(&s);
            for (long at = 0; at < SAMPLES;) {
                long n =
                    pieces == 0 ? 1 + at % 640 : (long)(random_uniform(&address, draw++) * (pieces == 1 ? 300 : 30000));
                if (n > SAMPLES - at) n = SAMPLES - at;
                int room = pieces == 2 ? (int)(random_uniform(&address, draw++) * 4) : FRAMES;
                if (room > FRAMES - got) room = FRAMES - got;
                int more = audio_encoder_push(&s, pcm + at, n, cut + got * s.dim, room);
                assert_true(more >= 0);
                got += more;
                at += n;
            }
            for (int more = 1; more > 0; got += more)
                more = audio_encoder_flush(&s, cut + got * s.dim, FRAMES - got < 3 ? FRAMES - got : 3);
            assert_int_equal(got, FRAMES);
            assert_memory_equal(cut, once, sizeof *once * (size_t)(FRAMES * s.dim));
        }
        free(once);
        free(cut);
        audio_encoder_close(&s);
        sound_encoder_close(&encoder);
    }
}

/* Feature f needs no more than `lookahead` samples beyond video frame f, the last of a pass exactly
   lookahead - (stride - 1) frames. */
static void features_come_in_time(void **state) {
    (void)state;
    static const int strides[] = {12, 4, 3, 1};
    for (int k = 0; k < 4; k++) {
        struct sound_encoder encoder = open_encoder(base_folder, small_recipe(AUDIO_BEFORE, strides[k], 5));
        struct audio_encoder s;
        CHECK(sound_encoder_stream(&encoder, &s));
        assert_int_equal(s.lookahead, 640 * (strides[k] - 1 + 2));
        float *features = calloc((size_t)(FRAMES * s.dim), sizeof *features);
        long got = 0, shortest = s.lookahead;
        for (long at = 0; at < SAMPLES; at += 160) {
            int more = audio_encoder_push(&s, pcm + at, SAMPLES - at < 160 ? SAMPLES - at : 160, features, FRAMES);
            long heard = at + 160;
            got += more;
            if (more && heard - 640 * got < shortest) shortest = heard - 640 * got;
            assert_true(640 * (got + 1) + s.lookahead > heard);
        }
        assert_int_equal(shortest, 640 * 2);
        free(features);
        audio_encoder_close(&s);
        sound_encoder_close(&encoder);
    }
}

/* With LayerNorms alone and the signal as it is there are no statistics: a pass that ends with video frame `end` is the
   clip from its context to two frames beyond, whatever came before. */
static void passes_are_clips_of_what_they_see(void **state) {
    (void)state;
    enum { CONTEXT = 9, STRIDE = 6, FIRST = 3, STATES = 3 };
    for (int before = 0; before < 2; before++) {
        struct sound_encoder encoder = open_encoder(large_folder, small_recipe(before, STRIDE, CONTEXT));
        struct audio_encoder s;
        CHECK(sound_encoder_stream(&encoder, &s));
        float *stream = all_at_once(&s, pcm, SAMPLES);
        const struct wav2vec2 *net = &encoder.file.net;
        int wanted[STATES] = {net->config.layers, 0, 1}, step = 640 / net->hop;
        for (long begin = FIRST; begin + STRIDE + 2 < FRAMES - 1; begin += STRIDE) {
            long from = begin > CONTEXT ? begin - CONTEXT : 0, see = begin + STRIDE + 2 - from, dim = net->config.dim;
            long made = wav2vec2_frames(net, 640 * see), rows = before ? (made - 1) / step + 1 : made;
            long aligned = 640 * (from + (made - 1) / step) + net->reach; /* samples whose last feature is a multiple */
            long length = before ? aligned - 640 * from : 640 * see;
            float *clip = calloc((size_t)(STATES * rows * dim), sizeof *clip);
            CHECK(wav2vec2_clip(net, &encoder.params, pcm + 640 * from, length, before ? rows : 0, wanted, STATES, 0,
                                clip));
            for (int k = 0; k < STATES; k++) {
                float got[STRIDE * 64], want[STRIDE * 64];
                for (long f = 0; f < STRIDE; f++) {
                    long row = (begin + f - from) * (before ? 1 : step);
                    memcpy(got + f * dim, stream + (begin + f) * s.dim + k * dim, sizeof(float) * (size_t)dim);
                    memcpy(want + f * dim, clip + (k * rows + row) * dim, sizeof(float) * (size_t)dim);
                }
                double off = distance(got, want, STRIDE * dim);
                if (!(off < SAME)) fail_msg("frames from %ld, state %d: off by %g", begin, wanted[k], off);
            }
            free(clip);
        }
        free(stream);
        audio_encoder_close(&s);
        sound_encoder_close(&encoder);
    }
}

/* The first pass knows all statistics of what it sees: it is the clip of its samples, whatever follows. */
static void the_first_pass_has_a_clips_statistics(void **state) {
    (void)state;
    struct sound_encoder encoder = open_encoder(base_folder, small_recipe(AUDIO_AFTER, 12, 50));
    struct audio_encoder s;
    CHECK(sound_encoder_stream(&encoder, &s));
    float *stream = all_at_once(&s, pcm, SAMPLES);
    const struct wav2vec2 *net = &encoder.file.net;
    long rows = wav2vec2_frames(net, 640 * 5), dim = net->config.dim;
    float *clip = calloc((size_t)(rows * dim), sizeof *clip);
    CHECK(wav2vec2_clip(net, &encoder.params, pcm, 640 * 5, 0, &net->config.layers, 1, 0, clip));
    for (long f = 0; f < 3; f++)
        assert_true(distance(stream + f * s.dim, clip + f * (640 / net->hop) * dim, dim) < SAME);
    free(clip);
    free(stream);
    audio_encoder_close(&s);
    sound_encoder_close(&encoder);
}

/* The past fades: sound three times as loud gives the same features again once the horizon is over, and other ones
   before that. The sound repeats itself every two passes, so that passes see the same of it. */
static void statistics_follow_the_sound(void **state) {
    (void)state;
    enum { TURNS = 9, TURN = 24, ALL = 2 * TURNS * TURN };
    struct audio_recipe recipe = small_recipe(AUDIO_BEFORE, TURN / 2, 20);
    recipe.horizon = 1;
    struct sound_encoder encoder = open_encoder(base_folder, recipe);
    struct audio_encoder s;
    CHECK(sound_encoder_stream(&encoder, &s));
    float *loud = malloc(sizeof *loud * ALL * 640), *features = calloc((size_t)(ALL * s.dim), sizeof *features);
    assert_true(loud && features);
    for (long i = 0; i < ALL * 640; i++) loud[i] = pcm[i % (TURN * 640)] * (i < ALL * 640 / 2 ? 1 : 3);
    assert_true(audio_encoder_push(&s, loud, ALL * 640, features, ALL) > ALL - TURN);
    long turn = (long)TURN * s.dim;
    const float *before = features + (TURNS - 2) * turn, *at = before + 2 * turn;
    const float *after = features + (2 * TURNS - 2) * turn;
    assert_true(distance(after, before, turn) <
                0.03); /* 0.52 of the past is left with each pass: 1e-4 after fourteen */
    assert_true(distance(at + 3L * s.dim, before + 3L * s.dim, turn / 2) > 0.1);
    free(loud);
    free(features);
    audio_encoder_close(&s);
    sound_encoder_close(&encoder);
}

/* Silence, a single sample, samples that are no numbers: features are finite, and what is not finite counts as
   silence. */
static void nothing_breaks_it(void **state) {
    (void)state;
    struct sound_encoder encoder = open_encoder(base_folder, small_recipe(AUDIO_AFTER, 12, 7));
    struct audio_encoder s;
    CHECK(sound_encoder_stream(&encoder, &s));
    static float odd[SAMPLES], zero[SAMPLES];
    static const float none[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) odd[1000 + 5000 * i] = none[i];
    float *a = all_at_once(&s, odd, SAMPLES);
    audio_encoder_reset(&s);
    float *b = all_at_once(&s, zero, SAMPLES);
    for (long i = 0; i < FRAMES * s.dim; i++) assert_true(isfinite(b[i]));
    assert_memory_equal(a, b, sizeof *a * (size_t)(FRAMES * s.dim));
    free(b);
    for (long n = 0; n < 1300; n = n ? n * 6 : 1) { /* 0, 1, 6, 36, 216, 1296 */
        audio_encoder_reset(&s);
        b = all_at_once(&s, pcm, n);
        for (long i = 0; i < (n + 639) / 640 * s.dim; i++) assert_true(isfinite(b[i]));
        free(b);
    }
    const float *silence;
    CHECK(sound_encoder_silence(&encoder, &silence));
    for (int i = 0; i < s.dim; i++) assert_true(isfinite(silence[i]));
    free(a);
    audio_encoder_close(&s);
    sound_encoder_close(&encoder);
}

/* Once it has run, neither time nor sound takes more memory. */
static void a_stream_allocates_nothing(void **state) {
    (void)state;
    struct sound_encoder encoder = open_encoder(base_folder, small_recipe(AUDIO_AFTER, 12, 7));
    struct audio_encoder s;
    CHECK(sound_encoder_stream(&encoder, &s));
    float *features = calloc((size_t)(FRAMES * s.dim), sizeof *features);
    assert_true(audio_encoder_push(&s, pcm, 30 * 640, features, FRAMES) > 0);
    size_t held = mallinfo2().uordblks;
    for (int i = 0; i < 20; i++) {
        assert_true(audio_encoder_push(&s, pcm + i * 1000, 5 * 640 + i, features, FRAMES) >= 0);
        assert_int_equal(mallinfo2().uordblks, held);
    }
    free(features);
    audio_encoder_close(&s);
    sound_encoder_close(&encoder);
}

/* audio_mode whole: nothing until the end, then what wav2vec2_clip gives. */
static void whole_clips_behind_the_interface(void **state) {
    (void)state;
    struct audio_recipe recipe = small_recipe(AUDIO_AFTER, 12, 7);
    recipe.mode = AUDIO_WHOLE;
    snprintf(recipe.states, sizeof recipe.states, "mean:1-2");
    struct sound_encoder encoder = open_encoder(base_folder, recipe);
    struct audio_encoder s;
    CHECK(sound_encoder_stream(&encoder, &s));
    assert_int_equal(s.lookahead, AUDIO_LOOKAHEAD_ALL);
    long dim = s.dim;
    assert_int_equal(dim, encoder.file.net.config.dim);
    float *features = calloc((size_t)(FRAMES * dim), sizeof *features);
    float *clip = calloc((size_t)(2 * FRAMES * dim), sizeof *clip);
    assert_int_equal(audio_encoder_push(&s, pcm, 1000, features, FRAMES), 0);
    assert_int_equal(audio_encoder_push(&s, pcm + 1000, SAMPLES - 1000, features, FRAMES), 0);
    assert_int_equal(audio_encoder_flush(&s, features, 10), 10);
    assert_int_equal(audio_encoder_flush(&s, features + 10 * dim, FRAMES), FRAMES - 10);
    CHECK(wav2vec2_clip(&encoder.file.net, &encoder.params, pcm, SAMPLES, 0, (int[]){1, 2}, 2, FRAMES, clip));
    for (long i = 0; i < FRAMES * dim; i++)
        assert_true(fabs(features[i] - ((double)clip[i] + clip[FRAMES * dim + i]) / 2) < 1e-6);
    free(features);
    free(clip);
    audio_encoder_close(&s);
    sound_encoder_close(&encoder);
}

static void recipes_and_lists(void **state) {
    (void)state;
    int list[80], count, mean;
    CHECK(audio_states("last,0-12", 12, list, 80, &count, &mean));
    assert_true(count == 14 && !mean && list[0] == 12 && list[1] == 0 && list[13] == 12);
    CHECK(audio_states("mean:6-last", 12, list, 80, &count, &mean));
    assert_true(count == 7 && mean && list[0] == 6 && list[6] == 12);
    CHECK(audio_states("8", 12, list, 80, &count, &mean));
    assert_true(count == 1 && list[0] == 8);
    static const char *const wrong[] = {"",
                                        "13",
                                        "-1",
                                        "1-",
                                        "5-3",
                                        "1,,2",
                                        "first",
                                        "1 2",
                                        "mean:",
                                        "1,",
                                        "last1",
                                        "0-12,0-12,0-12,0-12,0-12,0-12,0-12",
                                        "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(audio_states(wrong[i], 12, list, 80, &count, &mean), ERR_USAGE);
        assert_non_null(strstr(error_text(), "hidden states 0 to 12"));
    }
    struct audio_recipe recipe = small_recipe(AUDIO_BEFORE, 8, 33), back;
    char text[AUDIO_RECIPE_TEXT];
    strcpy(recipe.weights, "0123abcd");
    recipe.horizon = 12.5;
    recipe.normalise = 1;
    audio_recipe_print(&recipe, text);
    CHECK(audio_recipe_parse(&back, text));
    char again[AUDIO_RECIPE_TEXT];
    audio_recipe_print(&back, again);
    assert_string_equal(text, again);
    assert_true(back.stride == 8 && back.context == 33 && back.horizon == 12.5 && back.resample == AUDIO_BEFORE);
    static const char *const bad[] = {"",
                                      "wav2vec2 version=2",
                                      "wav2vec2 stride",
                                      "wav2vec2 stride=0",
                                      "wav2vec2 stride=x",
                                      "wav2vec2 mode=live",
                                      "wav2vec2 horizon=nan",
                                      "wav2vec2 colour=red",
                                      "wav2vec2  stride=3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(audio_recipe_parse(&back, bad[i]), ERR_INPUT);
}

/* What an encoder cannot be asked for. */
static void refusals(void **state) {
    (void)state;
    struct sound_encoder e;
    struct audio_recipe recipe = small_recipe(AUDIO_AFTER, 12, 7);
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, NULL), ERR_USAGE);
    assert_non_null(strstr(error_text(), "audio_weights"));
    assert_int_equal(sound_encoder_open(&e, &recipe, 7, base_folder), ERR_USAGE);
    assert_non_null(strstr(error_text(), "144"));
    strcpy(recipe.weights, "00000000");
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, base_folder), ERR_INPUT);
    assert_non_null(strstr(error_text(), "00000000"));
    recipe = small_recipe(AUDIO_AFTER, 12, 7);
    strcpy(recipe.states, "4");
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, base_folder), ERR_USAGE);
    recipe = small_recipe(AUDIO_AFTER, 0, 7);
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, base_folder), ERR_USAGE);
    recipe = audio_recipe_default("whisper");
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, base_folder), ERR_USAGE);
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, "there_is_none"), ERR_USAGE);
    recipe = small_recipe(AUDIO_AFTER, 12, 7);
    assert_int_equal(sound_encoder_open(&e, &recipe, 0, "there_is_none"), ERR_INPUT);
    struct wav2vec2_config config = checkpoint_base; /* 240 samples a feature: no part of a video frame's 640 */
    config.conv_stride[0] = 15;
    char folder[FOLDER_MAX];
    CHECK(checkpoint_write(folder, &config, &style));
    struct audio_encoder s;
    CHECK(sound_encoder_open(&e, &recipe, 0, folder));
    assert_int_equal(sound_encoder_stream(&e, &s), ERR_USAGE);
    assert_non_null(strstr(error_text(), "240"));
    sound_encoder_close(&e);
    checkpoint_remove(folder);
}

static int set_up(void **state) {
    (void)state;
    struct wav2vec2_config large = checkpoint_large;
    golden_values(pcm, "unit.pcm", SAMPLES, 0.1, 0.01);
    for (long i = 0; i < SAMPLES; i++) pcm[i] *= (float)(0.1 + fabs(sin((double)i / 5000)));
    if (device_init(2) || checkpoint_write(base_folder, &checkpoint_base, &style) ||
        checkpoint_write(large_folder, &large, &style)) {
        print_error("%s\n", error_text());
        return 1;
    }
    device_poison(1);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    checkpoint_remove(base_folder);
    checkpoint_remove(large_folder);
    device_shutdown();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_gives_the_same_bits),
        cmocka_unit_test(features_come_in_time),
        cmocka_unit_test(passes_are_clips_of_what_they_see),
        cmocka_unit_test(the_first_pass_has_a_clips_statistics),
        cmocka_unit_test(statistics_follow_the_sound),
        cmocka_unit_test(nothing_breaks_it),
        cmocka_unit_test(a_stream_allocates_nothing),
        cmocka_unit_test(whole_clips_behind_the_interface),
        cmocka_unit_test(recipes_and_lists),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
