/* test_real_motion.c: the figures of real clips on energies made up: a student that follows the sound, one that
   always moves alike, a codec that loses some. */
#include <math.h>

#include "base/philox.h"
#include "tests/check.h"
#include "tools/evaluate/real_motion.h"

enum { CLIPS = 12, FRAMES = 75 };

static float noise(int stream, int i) {
    const struct random_address at = {.seed = 6, .purpose = RANDOM_TEST, .sample = (uint32_t)stream};
    return (float)random_uniform(&at, (uint32_t)i);
}

/* Clip c says words c: real energy is the words' and a little of its own; the copy has 0.8 of it; a student has the
   words that it hears (hears 1) or some motion of its own (hears 0). */
static void fill(struct real_clip *clips, int hears) {
    for (int c = 0; c < CLIPS; c++) {
        CHECK(real_clip_open(&clips[c], FRAMES));
        clips[c].copied = FRAMES - 2;
        clips[c].swapped = c ? FRAMES : 0;
        clips[c].sound_of = c - 1;
        clips[c].again = FRAMES;
        for (int f = 0; f < FRAMES; f++) {
            clips[c].real[f] = noise(c, f) + 0.2f * noise(100 + c, f);
            float rhythm = f % 4 == 1 ? 3 : 0; /* the codec's, in whatever it decodes */
            clips[c].copy[f] = rhythm + 0.8f * clips[c].real[f] + 0.1f * noise(200 + c, f);
            clips[c].made[f] = rhythm + (hears ? 0.5f * noise(c, f) : noise(300 + c, f));
            clips[c].reseeded[f] = rhythm + (hears ? 0.5f * noise(c, f) : noise(500 + c, f));
            clips[c].exchanged[f] = rhythm + (hears && c ? 0.5f * noise(c - 1, f) : noise(400 + c, f));
        }
        for (int f = 0; f < 2; f++) clips[c].made[f] = 1000; /* these do not count */
    }
}

static void a_student_that_hears(void **state) {
    (void)state;
    struct real_clip clips[CLIPS];
    struct bootstrap_interval f[REAL_FIGURES];
    struct chance_test made, copy;
    fill(clips, 1);
    CHECK(real_figures(clips, CLIPS, 1, f));
    CHECK(real_chance(clips, CLIPS, 1, &made, &copy));
    assert_true(f[REAL_CORRELATION].low > 0.9 && f[REAL_WITH_COPY].low > 0.9 && f[REAL_CEILING].low > 0.95);
    assert_true(fabs(f[REAL_OVER_CEILING].value - f[REAL_CORRELATION].value / f[REAL_CEILING].value) < 1e-12);
    assert_true(fabs(f[REAL_AMOUNT_OVER_COPY].value - (0.75 + 0.5 * 0.5) / (0.75 + 0.8 * 0.6 + 0.05)) < 0.03);
    assert_true(fabs(f[REAL_EXCHANGED_OWN].value) < 0.2 && f[REAL_EXCHANGED_SOUND].low > 0.9);
    assert_true(f[REAL_SOUND_COUNTS].low > 0.7);
    assert_true(f[REAL_RESEEDED].low > 0.9 && f[REAL_BETWEEN_SEEDS].low > 0.99);
    assert_true(isnan(f[REAL_FRECHET_MOUTH].value) && isnan(f[REAL_LIKENESS_LAST].value)); /* no maps were taken */
    assert_true(made.p < 1.5 / (1 + PERMUTATIONS) && copy.p < 1.5 / (1 + PERMUTATIONS));
    assert_true(fabs(made.correlation - f[REAL_CORRELATION].value) < 1e-12);
    for (int c = 0; c < CLIPS; c++) real_clip_close(&clips[c]);
}

static void a_student_that_does_not(void **state) {
    (void)state;
    struct real_clip clips[CLIPS];
    struct bootstrap_interval f[REAL_FIGURES];
    struct chance_test made, copy;
    fill(clips, 0);
    CHECK(real_figures(clips, CLIPS, 1, f));
    CHECK(real_chance(clips, CLIPS, 1, &made, &copy));
    assert_true(fabs(f[REAL_CORRELATION].value) < 0.15 && f[REAL_CEILING].low > 0.95);
    assert_true(fabs(f[REAL_WITH_COPY].value) < 0.15); /* both have the codec's rhythm */
    assert_true(fabs(f[REAL_RESEEDED].value) < 0.15 && fabs(f[REAL_BETWEEN_SEEDS].value) < 0.15);
    assert_true(f[REAL_SOUND_COUNTS].low < 0.15 && f[REAL_SOUND_COUNTS].high > -0.15);
    assert_true(fabs(f[REAL_EXCHANGED_SOUND].value) < 0.15);
    assert_true(made.p > 0.002 && copy.p < 1.5 / (1 + PERMUTATIONS));
    for (int c = 0; c < CLIPS; c++) clips[c].swapped = clips[c].again = 0;
    CHECK(real_figures(clips, 1, 1, f));
    assert_true(isnan(f[REAL_RESEEDED].value) && isnan(f[REAL_BETWEEN_SEEDS].value));
    assert_true(isnan(f[REAL_EXCHANGED_OWN].value) && isnan(f[REAL_SOUND_COUNTS].low));
    for (int c = 0; c < CLIPS; c++) real_clip_close(&clips[c]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_student_that_hears),
                                       cmocka_unit_test(a_student_that_does_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
