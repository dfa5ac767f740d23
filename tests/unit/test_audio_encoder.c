/* test_audio_encoder.c: the logmel encoder: any cut of the stream gives the same bits, a tone lands in its band, timing
   is centred on the frame, silence is a constant, the look-ahead is what it says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/error.h"
#include "base/philox.h"
#include "model/audio/encoder.h"

enum { DIM = 24, FRAMES = 40, SAMPLES = FRAMES * AUDIO_SAMPLES_PER_FRAME };

static void noise(float *pcm, long n, float amplitude) {
    struct random_address a = {.purpose = RANDOM_TEST, .seed = 3};
    for (long i = 0; i < n; i++) pcm[i] = amplitude * (2 * (float)random_uniform(&a, (uint32_t)i) - 1);
}

static int whole(struct audio_encoder *e, const float *pcm, long n, float *features, int capacity) {
    audio_encoder_reset(e);
    int out = audio_encoder_push(e, pcm, n, features, capacity);
    return out + audio_encoder_flush(e, features + (size_t)out * (size_t)e->dim, capacity - out);
}

static void stream_equals_whole(void **state) {
    (void)state;
    static float pcm[SAMPLES + 100], a[(FRAMES + 1) * DIM], b[(FRAMES + 1) * DIM];
    noise(pcm, SAMPLES + 100, 0.3f);
    struct audio_encoder e;
    assert_int_equal(audio_encoder_open(&e, "logmel", DIM), OK);
    assert_int_equal(whole(&e, pcm, SAMPLES + 100, a, FRAMES + 1), FRAMES + 1); /* a started frame counts */
    static const long cuts[] = {1, 7, 160, 639, 640, 641, 1001, 5000, 12345};
    for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
        audio_encoder_reset(&e);
        memset(b, 0, sizeof b);
        int out = 0;
        for (long at = 0; at < SAMPLES + 100; at += cuts[c]) {
            long n = SAMPLES + 100 - at < cuts[c] ? SAMPLES + 100 - at : cuts[c];
            out += audio_encoder_push(&e, pcm + at, n, b + out * DIM, FRAMES + 1 - out);
        }
        out += audio_encoder_flush(&e, b + out * DIM, FRAMES + 1 - out);
        assert_int_equal(out, FRAMES + 1);
        assert_memory_equal(a, b, sizeof a);
        assert_int_equal(audio_encoder_flush(&e, b, 1), 0);
    }
    /* a caller with room for one frame at a time gets them all the same */
    audio_encoder_reset(&e);
    int out = audio_encoder_push(&e, pcm, SAMPLES + 100, b, 1), got;
    assert_int_equal(out, 1);
    while ((got = audio_encoder_push(&e, NULL, 0, b + out * DIM, 1)) > 0) out += got;
    while ((got = audio_encoder_flush(&e, b + out * DIM, 1)) > 0) out += got;
    assert_int_equal(out, FRAMES + 1);
    assert_memory_equal(a, b, sizeof a);
    audio_encoder_close(&e);
}

static void lookahead_is_exact(void **state) {
    (void)state;
    static float pcm[SAMPLES], f[FRAMES * DIM];
    noise(pcm, SAMPLES, 0.3f);
    struct audio_encoder e;
    assert_int_equal(audio_encoder_open(&e, "logmel", DIM), OK);
    long end = 5 * AUDIO_SAMPLES_PER_FRAME + e.lookahead;
    assert_int_equal(audio_encoder_push(&e, pcm, end - 1, f, FRAMES), 4);
    assert_int_equal(audio_encoder_push(&e, pcm + end - 1, 1, f, FRAMES), 1);
    audio_encoder_close(&e);
}

static double mel(double hertz) { return 2595 * log10(1 + hertz / 700); }

static void tone_in_its_band(void **state) {
    (void)state;
    static float pcm[SAMPLES], f[FRAMES * 64];
    static const int dims[] = {16, 24, 64};
    for (int d = 0; d < 3; d++) {
        struct audio_encoder e;
        assert_int_equal(audio_encoder_open(&e, "logmel", dims[d]), OK);
        for (int want = 1; want < dims[d] - 1; want += 3) {
            double low = mel(60), m = low + (want + 1) * (mel(7600) - low) / (dims[d] + 1);
            double hertz = 700 * (pow(10, m / 2595) - 1);
            for (int i = 0; i < SAMPLES; i++) pcm[i] = (float)(0.1 * sin(2 * M_PI * hertz * i / AUDIO_RATE));
            assert_int_equal(whole(&e, pcm, SAMPLES, f, FRAMES), FRAMES);
            const float *v = f + FRAMES / 2 * dims[d];
            int best = 0;
            for (int b = 1; b < dims[d]; b++)
                if (v[b] > v[best]) best = b;
            assert_int_equal(best, want);
            for (int b = 0; b < dims[d]; b++) /* far bands hear nothing */
                if (abs(b - want) > dims[d] / 4) assert_true(v[b] < v[want] - 2);
        }
        audio_encoder_close(&e);
    }
}

/* White noise of variance s has the same energy a Hertz in all bands, but for the known pre-emphasis: bands that share
   a gain agree. And twice the amplitude is 6.02 dB everywhere. */
static void scale_is_fixed(void **state) {
    (void)state;
    static float pcm[SAMPLES], a[FRAMES * DIM], b[FRAMES * DIM];
    struct audio_encoder e;
    assert_int_equal(audio_encoder_open(&e, "logmel", DIM), OK);
    noise(pcm, SAMPLES, 0.2f);
    whole(&e, pcm, SAMPLES, a, FRAMES);
    noise(pcm, SAMPLES, 0.4f);
    whole(&e, pcm, SAMPLES, b, FRAMES);
    float step = b[20 * DIM + 12] - a[20 * DIM + 12];
    for (int i = DIM; i < FRAMES * DIM; i++) assert_float_equal(b[i] - a[i], step, 0.02);
    audio_encoder_close(&e);
}

static void silence_is_constant(void **state) {
    (void)state;
    static float pcm[SAMPLES], f[FRAMES * DIM];
    struct audio_encoder e;
    assert_int_equal(audio_encoder_open(&e, "logmel", DIM), OK);
    memset(pcm, 0, sizeof pcm);
    assert_int_equal(whole(&e, pcm, SAMPLES, f, FRAMES), FRAMES);
    for (int i = 1; i < FRAMES * DIM; i++) assert_true(f[i] == f[0]);
    /* junk stays finite */
    pcm[1000] = NAN;
    pcm[9000] = INFINITY;
    whole(&e, pcm, SAMPLES, f, FRAMES);
    for (int i = 0; i < FRAMES * DIM; i++) assert_true(isfinite(f[i]));
    audio_encoder_close(&e);
}

/* A click in the middle of frame 20 makes frame 20 the loudest and its neighbours alike. */
static void centred_on_the_frame(void **state) {
    (void)state;
    static float pcm[SAMPLES], f[FRAMES * DIM];
    struct audio_encoder e;
    assert_int_equal(audio_encoder_open(&e, "logmel", DIM), OK);
    int middle = 20 * AUDIO_SAMPLES_PER_FRAME + AUDIO_SAMPLES_PER_FRAME / 2;
    for (int i = -200; i < 200; i++) pcm[middle + i] = (float)(0.5 * sin(0.7 * i));
    whole(&e, pcm, SAMPLES, f, FRAMES);
    double mean[FRAMES] = {0};
    for (int t = 0; t < FRAMES; t++)
        for (int d = 0; d < DIM; d++) mean[t] += f[t * DIM + d];
    for (int t = 0; t < FRAMES; t++)
        if (t != 20) assert_true(mean[t] < mean[20]);
    assert_float_equal(mean[19], mean[21], 0.1 * DIM); /* the click's edge lies half a sample off: 1.4 dB a band */
    audio_encoder_close(&e);
}

static void wrong_names(void **state) {
    (void)state;
    struct audio_encoder e;
    assert_int_equal(audio_encoder_open(&e, "whisper", DIM), ERR_USAGE);
    assert_non_null(strstr(error_text(), "whisper"));
    assert_int_equal(audio_encoder_open(&e, "logmel", 0), ERR_USAGE);
    assert_int_equal(audio_encoder_open(&e, "logmel", 1000), ERR_USAGE);
    audio_encoder_close(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_equals_whole), cmocka_unit_test(lookahead_is_exact),
        cmocka_unit_test(tone_in_its_band),    cmocka_unit_test(scale_is_fixed),
        cmocka_unit_test(silence_is_constant), cmocka_unit_test(centred_on_the_frame),
        cmocka_unit_test(wrong_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
