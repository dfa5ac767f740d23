/* test_voice_activity.c: sentences of four voices with pauses between them are found, whatever level and offset they
   were recorded at, by the whole clip and by the stream; noise, hum and fans are no speech; what cannot be heard is
   said. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/philox.h"
#include "data/puppet_script.h"
#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

enum { FRAME = AUDIO_SAMPLES_PER_FRAME, FRAMES = 1500, SAMPLES = FRAMES * FRAME, SENTENCES_MAX = 32, EDGE = 3 };
static float speech[SAMPLES], pcm[SAMPLES], mask[FRAMES], reference[2][FRAMES];
static struct { long begin, end; /* samples */ } sentences[SENTENCES_MAX];
static int sentence_count;

/* One minute of sentences, pauses of 0.5 to 1.2 s between them; the level of all of it while it speaks is -20 dBFS. */
static int setup(void **state) {
    (void)state;
    struct puppet_dice dice = puppet_dice(11, 0, 0, PUPPET_SCRIPT);
    double energy = 0;
    long at = FRAME * 20, spoken = 0;
    for (sentence_count = 0; sentence_count < SENTENCES_MAX; sentence_count++) {
        char text[SCRIPT_TEXT];
        struct script_speech said;
        const struct script_voice voice = {sentence_count % SCRIPT_VOICES, 1, 1};
        script_sentence(&dice, text);
        if (script_say(&said, &voice, text, 1)) return -1;
        if (at + said.samples > SAMPLES - FRAME * 20) {
            script_free(&said);
            break;
        }
        memcpy(speech + at, said.pcm, sizeof *speech * (size_t)said.samples);
        sentences[sentence_count].begin = at;
        sentences[sentence_count].end = at + said.samples;
        for (long i = 0; i < said.samples; i++) energy += (double)said.pcm[i] * said.pcm[i];
        spoken += said.samples;
        at += said.samples + (long)(AUDIO_RATE * puppet_roll(&dice, 0.5, 1.2));
        script_free(&said);
    }
    float gain = (float)(0.1 / sqrt(energy / (double)spoken));
    for (long i = 0; i < SAMPLES; i++) speech[i] *= gain;
    return sentence_count < 10;
}

/* The speech as a 16-bit recording at another level, over an offset. */
static void record(double level, double offset) {
    double gain = pow(10, (level + 20) / 20);
    for (long i = 0; i < SAMPLES; i++) {
        double v = rint(32768 * (gain * speech[i] + offset)) / 32768;
        pcm[i] = (float)fmin(fmax(v, -1), 1);
    }
}

static void hear(int streaming) {
    struct voice_activity vad;
    if (!streaming) {
        assert_int_equal(voice_activity_clip(mask, FRAMES, pcm, SAMPLES), 1);
        return;
    }
    voice_activity_reset(&vad);
    for (int f = 0; f < FRAMES; f++) mask[f] = voice_activity_push(&vad, pcm + f * FRAME);
}

static double batch_split_of(const float *wanted, const float *got) {
    int all = 0, both = 0;
    for (int f = 0; f < FRAMES; f++) all += wanted[f] > 0, both += wanted[f] > 0 && got[f] > 0;
    return (double)both / all;
}

/* Speech begins and ends within EDGE frames of each sentence, and of what lies farther from all of them at most 3 % is
   speech. */
static void expect_sentences(void) {
    int quiet = 0, wrong = 0;
    for (int i = 0; i < sentence_count; i++) {
        int begin = (int)(sentences[i].begin / FRAME), end = (int)((sentences[i].end - 1) / FRAME),
            first = begin - EDGE, last = end + EDGE;
        while (first < FRAMES && !(mask[first] > 0)) first++;
        while (last >= 0 && !(mask[last] > 0)) last--;
        if (first > begin + EDGE || last < end - EDGE)
            fail_msg("sentence %d, frames %d to %d: found %d to %d", i, begin, end, first, last);
    }
    for (int f = 0; f < FRAMES; f++) {
        int near = 0;
        for (int i = 0; i < sentence_count; i++)
            near |= f >= sentences[i].begin / FRAME - EDGE && f <= (sentences[i].end - 1) / FRAME + EDGE;
        quiet += !near;
        wrong += !near && mask[f] > 0;
    }
    assert_true(quiet > 100);
    if (wrong > 0.03 * quiet) fail_msg("%d of %d frames of pauses are speech", wrong, quiet);
}

/* The table of level against offset: at least 95 % of what is found at -20 dBFS without offset. */
static void level_and_offset_do_not_matter(void **state) {
    (void)state;
    static const double levels[] = {-20, -30, -40, -50}, offsets[] = {0, 0.01, 0.02, 0.05, -0.05};
    record(-20, 0);
    for (int streaming = 0; streaming < 2; streaming++) {
        hear(streaming);
        memcpy(reference[streaming], mask, sizeof mask);
    }
    print_message(
        "found, %% of -20 dBFS without offset: whole clip / stream\n dBFS      0 %%          1 %%          2 %%      "
        "    5 %%         -5 %%\n");
    for (int l = 0; l < 4; l++) {
        print_message("%5.0f", levels[l]);
        for (int o = 0; o < 5; o++) {
            double share[2];
            record(levels[l], offsets[o]);
            for (int streaming = 0; streaming < 2; streaming++) {
                hear(streaming);
                share[streaming] = batch_split_of(reference[streaming], mask);
                expect_sentences();
            }
            print_message("  %5.1f/%5.1f", 100 * share[0], 100 * share[1]);
            assert_true(share[0] >= 0.95 && share[1] >= 0.95);
        }
        print_message("\n");
    }
    for (long i = 0; i < SAMPLES; i++) pcm[i] = -speech[i];
    hear(0);
    assert_true(batch_split_of(reference[0], mask) == 1);
}

/* ---- no speech ---- */

enum sound { WHITE, FAN, HUM50, HUM60 };
/* A sound of that level; the fan is low-passed noise that swells by a decibel, hum has the odd harmonics of a
   rectifier's. */
static void make(enum sound kind, double level, double silent_before) {
    struct random_address a = {.purpose = RANDOM_TEST};
    double energy = 0, low = 0;
    for (long i = 0; i < SAMPLES; i++) {
        double t = (double)i / AUDIO_RATE, noise = 2 * random_uniform(&a, (uint32_t)i) - 1,
               mains = kind == HUM50 ? 50 : 60;
        low += 0.1 * (noise - low);
        double v = kind == WHITE ? noise : low * (1 + 0.12 * sin(2 * M_PI * 0.7 * t));
        if (kind >= HUM50)
            v = sin(2 * M_PI * mains * t) + 0.5 * sin(2 * M_PI * 2 * mains * t) + 0.3 * sin(2 * M_PI * 5 * mains * t);
        pcm[i] = (float)v;
        energy += v * v;
    }
    float gain = (float)(pow(10, level / 20) / sqrt(energy / SAMPLES));
    for (long i = 0; i < SAMPLES; i++)
        pcm[i] = (double)i < silent_before * AUDIO_RATE ? 0 : rintf(32768 * gain * pcm[i]) / 32768;
}

static void expect_nobody(enum sound kind, double level) {
    int talking = 0;
    for (int f = 0; f < FRAMES; f++) talking += mask[f] > 0;
    if (talking > 0.03 * FRAMES) fail_msg("sound %d at %g dBFS: %d of %d frames", kind, level, talking, FRAMES);
}

static void noise_is_no_speech(void **state) {
    (void)state;
    static const double levels[] = {-20, -30, -50};
    for (int kind = WHITE; kind <= HUM60; kind++)
        for (int l = 0; l < 3; l++) {
            make((enum sound)kind, levels[l], 0);
            if (kind == WHITE) pcm[777] = NAN;
            for (int streaming = 0; streaming < 2; streaming++) {
                hear(streaming);
                expect_nobody((enum sound)kind, levels[l]);
            }
            make((enum sound)kind, levels[l], 10); /* switched on in the middle */
            hear(0);
            expect_nobody((enum sound)kind, levels[l]);
        }
}

/* Speech 20 dB above a fan or hum that goes on through it. */
static void speech_over_noise(void **state) {
    (void)state;
    for (int kind = WHITE; kind <= HUM60; kind++) {
        make((enum sound)kind, -50, 0);
        for (long i = 0; i < SAMPLES; i++) pcm[i] += 0.316f * speech[i];
        for (int streaming = 0; streaming < 2; streaming++) {
            hear(streaming);
            assert_true(batch_split_of(reference[streaming], mask) >= 0.9);
        }
    }
}

/* A breath in front of each sentence, four frames of noise that are three frames away from it and 23 dB below the
   speech, is no part of it. */
static void breaths_are_no_speech(void **state) {
    (void)state;
    struct random_address a = {.purpose = RANDOM_TEST};
    record(-20, 0);
    for (int i = 0; i < sentence_count; i++)
        for (long at = sentences[i].begin - 7 * FRAME; at < sentences[i].begin - 3 * FRAME; at++)
            pcm[at] += 0.0122f * (2 * random_uniform(&a, (uint32_t)at) - 1);
    hear(0);
    expect_sentences();
}

static void what_cannot_be_heard(void **state) {
    (void)state;
    record(-80, 0.05);
    struct voice_activity vad;
    assert_int_equal(voice_activity_clip(mask, FRAMES, pcm, SAMPLES), 0);
    for (int f = 0; f < FRAMES; f++) assert_true(mask[f] == 0);
    voice_activity_reset(&vad);
    for (int f = 0; f < FRAMES; f++) voice_activity_push(&vad, pcm + f * FRAME);
    assert_true(voice_activity_unheard(&vad));
    record(-50, 0.05);
    assert_int_equal(voice_activity_clip(mask, FRAMES, pcm, SAMPLES), 1);
}

static void short_sound(void **state) {
    (void)state;
    record(-20, 0.05);
    long end = sentences[0].end; /* the recording ends in the middle of nothing, its offset with it */
    voice_activity_clip(mask, FRAMES, pcm, end);
    assert_true(mask[end / FRAME - 3] == 1);
    for (int f = (int)(end / FRAME) + EDGE + 1; f < FRAMES; f++) assert_true(mask[f] == 0);
    assert_int_equal(voice_activity_clip(mask, 0, pcm, 0), 0);
}

/* A tone in silence is somebody, from the frame on at which it begins. */
static void tones_begin_where_they_are(void **state) {
    (void)state;
    for (long i = 0; i < SAMPLES; i++)
        pcm[i] = i / FRAME % 25 < 8 && i / FRAME >= 25 ? 0.3f * (float)sin(2 * M_PI * 440 * (double)i / AUDIO_RATE) : 0;
    for (int streaming = 0; streaming < 2; streaming++) {
        hear(streaming);
        for (int f = 25; f < FRAMES; f++)
            if (f % 25 < 8) assert_true(mask[f] == 1);
        for (int f = 24; f < FRAMES; f += 25) assert_true(mask[f] == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_and_offset_do_not_matter),
        cmocka_unit_test(noise_is_no_speech),
        cmocka_unit_test(speech_over_noise),
        cmocka_unit_test(breaths_are_no_speech),
        cmocka_unit_test(what_cannot_be_heard),
        cmocka_unit_test(short_sound),
        cmocka_unit_test(tones_begin_where_they_are),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
