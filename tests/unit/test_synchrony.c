/* test_synchrony.c: regression, lags and cyclic shifts on signals whose answers are known: a gain, a residual of a
   known deviation, a delay; and what must fail: noise, another signal, a track that stands still. */
#include <math.h>
#include <stdlib.h>

#include "base/philox.h"
#include "tests/check.h"
#include "tools/evaluate/synchrony.h"

enum { N = 3000 };
static float known[N], used[N];

/* Uniform of mean 0 and deviation 1. */
static float noise(int stream, int i) {
    const struct random_address at = {.seed = 5, .purpose = RANDOM_TEST, .sample = (uint32_t)stream};
    return 3.4641f * (float)(random_uniform(&at, (uint32_t)i) - 0.5);
}

/* Noise through a running mean of five, about as slow as a mouth; spans of 70 frames with 20 between. */
static int set_up(void **state) {
    (void)state;
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 5; k++) known[i] += noise(0, i + k) / 2.236f;
        used[i] = i % 90 < 70;
    }
    return 0;
}

static void slope_and_residual(void **state) {
    (void)state;
    static float measured[N];
    for (int i = 0; i < N; i++) measured[i] = (float)(i / 90) + 0.6f * known[i] + 0.3f * noise(1, i);
    struct regression sums = {0};
    regression_add(&sums, measured, known, used, N);
    double frames = 0, spans = ceil(N / 90.0);
    for (int i = 0; i < N; i++) frames += used[i];
    assert_true(sums.frames == frames && sums.spans == spans);
    /* five standard errors; of the slope 0.3 / sqrt(2300) = 0.006 times deviation 1 over the track's 1, of a
       deviation s its share 1 / sqrt(2 * 2300) */
    double known_deviation = sqrt(sums.yy / sums.frames);
    assert_true(fabs(regression_slope(&sums) - 0.6) < 5 * 0.3 / sqrt(frames) / known_deviation);
    assert_true(fabs(regression_residual(&sums) - 0.3) < 0.3 * 5 / sqrt(2 * frames) + 0.3 * spans / frames);
    double r = regression_correlation(&sums), a = regression_deviation(&sums);
    assert_true(fabs(regression_residual(&sums) - a * sqrt(1 - r * r)) < 1e-9);
    assert_true(fabs(regression_slope(&sums) - r * a / known_deviation) < 1e-9);
    /* noise of the same amount: a variance cannot tell it, slope and residual can */
    for (int i = 0; i < N; i++) measured[i] = (float)a * noise(2, i);
    struct regression spurious = {0}, still = {0}, none = {0};
    regression_add(&spurious, measured, known, used, N);
    assert_true(fabs(regression_deviation(&spurious) / a - 1) < 0.1);
    assert_true(fabs(regression_slope(&spurious)) < 0.1 &&
                regression_residual(&spurious) > 0.95 * regression_deviation(&spurious));
    for (int i = 0; i < N; i++) measured[i] = 7;
    regression_add(&still, measured, known, used, N);
    assert_true(regression_correlation(&still) == 0 && regression_slope(&still) == 0 &&
                regression_residual(&still) == 0);
    assert_true(regression_slope(&none) == 0 && regression_residual(&none) == 0 && regression_deviation(&none) == 0);
    struct regression twice = sums;
    regression_merge(&twice, &sums);
    assert_true(twice.frames == 2 * frames && fabs(regression_slope(&twice) - regression_slope(&sums)) < 1e-12);
}

static void lags_find_a_delay(void **state) {
    (void)state;
    static float measured[N];
    for (int late = -5; late <= 5; late += 5) {
        struct lag_sums sums = {0};
        for (int i = 0; i < N; i++) {
            int from = i - late;
            measured[i] = 2 * (from >= 0 && from < N ? known[from] : 0) + 0.3f * noise(1, i);
        }
        lag_sums_add(&sums, measured, known, used, N);
        double lag, best = lag_sums_best(&sums, &lag);
        assert_true(fabs(lag - late) < 0.1);
        assert_true(best > 0.95 && lag_sums_confidence(&sums) > 0.8);
    }
    struct lag_sums half = {0}, wrong = {0};
    for (int i = 0; i < N; i++) measured[i] = 0.5f * (known[i] + known[i > 0 ? i - 1 : 0]);
    lag_sums_add(&half, measured, known, used, N);
    double lag;
    lag_sums_best(&half, &lag);
    assert_true(fabs(lag - 0.5) < 0.1); /* between two frames */
    /* another track: whatever lag is best, it is hardly better than the others (deviation sqrt(5 / 2300) = 0.05) */
    for (int i = 0; i < N; i++) measured[i] = noise(3, i);
    lag_sums_add(&wrong, measured, known, used, N);
    assert_true(lag_sums_best(&wrong, &lag) < 0.2 && lag_sums_confidence(&wrong) < 0.2);
}

static struct chance_test test_of(const float *measured) {
    struct shift_sums sums = {0};
    CHECK(shift_sums_add(&sums, measured, known, used, N));
    return shift_sums_test(&sums);
}

static void shifts_tell_what_is_in_place(void **state) {
    (void)state;
    static float measured[N];
    for (int i = 0; i < N; i++)
        measured[i] = 0.2f * known[i] + noise(4, i); /* correlation 0.2: seen by eye by nobody */
    struct chance_test faint = test_of(measured);
    assert_true(faint.correlation > 0.15 && faint.correlation < 0.25);
    assert_true(faint.z > 4 && faint.p < 1.5 / (1 + SHIFTS));
    /* the shifts' correlations have mean 0 and about the deviation of as many independent frames */
    assert_true(fabs(faint.mean) < 0.02 && faint.deviation > 0.01 && faint.deviation < 0.05);
    int low = 0, high = 0; /* a track that has nothing to do with the known one: p is anything */
    for (int stream = 10; stream < 50; stream++) {
        for (int i = 0; i < N; i++) measured[i] = noise(stream, i);
        struct chance_test chance = test_of(measured);
        assert_true(fabs(chance.z) < 4.5);
        low += chance.p < 0.05;
        high += chance.p > 0.5;
    }
    assert_true(low <= 7 && high >= 8 && high <= 32); /* binomial of 40: beyond these less than once in 1000 */
    for (int i = 0; i < N; i++) measured[i] = 1;
    assert_true(test_of(measured).p == 1 && test_of(measured).z == 0); /* a still picture proves nothing */
    static struct shift_sums few, both[2];
    CHECK(shift_sums_add(&few, known, known, used, 2 * SHIFT_NEAR + 1)); /* too short to be shifted: does not count */
    assert_true(few.here.frames == 0 && shift_sums_test(&few).p == 1);
    CHECK(shift_sums_add(&both[0], known, known, used, N));
    shift_sums_merge(&both[1], &both[0], 1);
    assert_true(shift_sums_test(&both[1]).z == shift_sums_test(&both[0]).z &&
                shift_sums_test(&both[0]).correlation > 0.999);
}

/* Clips that all rise and fall alike, with something of their own besides. */
static void permutations_allow_for_what_clips_share(void **state) {
    (void)state;
    enum { CLIPS = 20, FRAMES = 73 };
    static float truth[CLIPS][FRAMES], made[CLIPS][FRAMES];
    struct clip_tracks clips[CLIPS];
    struct chance_test own, shared, alone;
    for (int c = 0; c < CLIPS; c++) {
        for (int f = 0; f < FRAMES; f++) truth[c][f] = 2 * sinf(3.14f * (float)f / FRAMES) + noise(100 + c, f);
        clips[c] = (struct clip_tracks){made[c], truth[c], FRAMES - c % 5, 1};
    }
    for (int follows = 0; follows < 2; follows++) {
        for (int c = 0; c < CLIPS; c++)
            for (int f = 0; f < FRAMES; f++)
                made[c][f] =
                    2 * sinf(3.14f * (float)f / FRAMES) + noise(200 + c, f) + (follows ? 0.3f * noise(100 + c, f) : 0);
        CHECK(permutation_test(follows ? &own : &shared, 1, clips, CLIPS));
    }
    /* correlation is high for both; what is the clip's own shows against the other orders alone */
    assert_true(shared.correlation > 0.2 && fabs(shared.z) < 4 && shared.p > 0.001 &&
                fabs(shared.mean - shared.correlation) < 0.1);
    assert_true(own.z > 4 && own.p < 1.5 / (1 + PERMUTATIONS));
    CHECK(permutation_test(&alone, 1, clips, 1));
    assert_true(alone.p == 1 && alone.z == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(slope_and_residual), cmocka_unit_test(lags_find_a_delay),
                                       cmocka_unit_test(shifts_tell_what_is_in_place),
                                       cmocka_unit_test(permutations_allow_for_what_clips_share)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
