/* test_voice_activity.c: bursts of voice over a noisy and over a silent room are found, steady noise is none. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/philox.h"
#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

enum { FRAMES = 400, SAMPLES = FRAMES * AUDIO_SAMPLES_PER_FRAME };
static float pcm[SAMPLES], mask[FRAMES];

/* Noise of amplitude `room`, and a voice of amplitude `voice` (syllables of 5 Hz) in frames 60-140 and 220-300. */
static int speaks(int f) { return (f >= 60 && f < 140) || (f >= 220 && f < 300); }
static void record(float room, float voice) {
    struct random_address a = {.purpose = RANDOM_TEST};
    for (int i = 0; i < SAMPLES; i++) {
        double t = i / 16000.0, syllable = 0.5 - 0.5 * cos(2 * M_PI * 5 * t);
        pcm[i] = room * (2 * (float)random_uniform(&a, (uint32_t)i) - 1);
        if (speaks(i / AUDIO_SAMPLES_PER_FRAME)) pcm[i] += voice * (float)(syllable * sin(2 * M_PI * 180 * t));
    }
}

static void count(int from, int *found, int *wrong) {
    *found = *wrong = 0;
    for (int f = from; f < FRAMES; f++) {
        *found += speaks(f) && mask[f] > 0;
        *wrong += !speaks(f) && mask[f] > 0;
    }
}

static void finds_voice(void **state) {
    (void)state;
    static const float rooms[] = {0, 0.001f, 0.02f}, voices[] = {0.1f, 0.8f};
    for (int r = 0; r < 3; r++)
        for (int v = 0; v < 2; v++) {
            int found, wrong;
            record(rooms[r], voices[v] * (rooms[r] > 0.01f ? 3.f : 1.f));
            voice_activity_clip(mask, FRAMES, pcm, SAMPLES);
            count(0, &found, &wrong);
            assert_true(found >= 155);    /* of 160: a soft start may be missed */
            assert_true(wrong <= 2 * 14); /* two turns of hang-over (5) and 50 dB of smoothing (5 dB a frame) */
            struct voice_activity vad;
            voice_activity_reset(&vad);
            for (int f = 0; f < FRAMES; f++) mask[f] = voice_activity_push(&vad, pcm + f * AUDIO_SAMPLES_PER_FRAME);
            count(0, &found, &wrong);
            assert_true(found >= 155);
            assert_true(wrong <= 2 * 16);
        }
}

static void noise_is_no_voice(void **state) {
    (void)state;
    static const float rooms[] = {0, 0.001f, 0.02f, 0.1f};
    for (int r = 0; r < 4; r++) {
        record(rooms[r], 0);
        if (r == 3) pcm[777] = NAN;
        voice_activity_clip(mask, FRAMES, pcm, SAMPLES);
        for (int f = 0; f < FRAMES; f++) assert_true(mask[f] == 0);
    }
}

static void short_sound(void **state) {
    (void)state;
    record(0, 0.5f);
    voice_activity_clip(mask, FRAMES, pcm, 100 * AUDIO_SAMPLES_PER_FRAME + 17); /* the rest is silence */
    assert_true(mask[99] == 1);
    for (int f = 120; f < FRAMES; f++) assert_true(mask[f] == 0);
    voice_activity_clip(mask, 0, pcm, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_voice), cmocka_unit_test(noise_is_no_voice),
                                       cmocka_unit_test(short_sound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
