/* test_minutes.c: the figures of a long stream's minutes on pictures that were changed in one known way, and slopes
   with intervals: exact for a line, and right as often as they say for noise without a trend. */
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
#include "data/puppet.h"
#include "tools/evaluate/minutes.h"

enum { SIDE = 64, FRAME = 3 * SIDE * SIDE, COUNT = 40, SEED = 7 };
static float drawn[COUNT][FRAME], changed[COUNT][FRAME];
static struct landmarks marks;

static int setup(void **state) {
    struct puppet *puppet;
    (void)state;
    if (puppet_open(&puppet, SEED, 3, 3, (double)COUNT / VIDEO_RATE)) return 1;
    for (int f = 0; f < COUNT; f++) {
        if (puppet_draw(puppet, f, SIDE, SIDE, drawn[f])) return 1;
        for (int i = 0; i < FRAME; i++) drawn[f][i] *= 0.4f; /* so that no change leaves the range of colours */
    }
    const struct puppet_pose *pose = puppet_truth(puppet);
    for (int k = 0; k < 2; k++) {
        marks.head[k] = SIDE * pose->head[k], marks.eyes[k] = SIDE * pose->eyes[k];
        marks.lips[k] = SIDE * pose->lips[k];
    }
    puppet_close(puppet);
    return 0;
}

/* Sums over all frames but the reference, drawn[0]. */
static struct minute_sums measured(float (*frames)[FRAME]) {
    struct minute_meter *meter = malloc(sizeof *meter);
    struct minute_sums sums = {0};
    assert_int_equal(minute_meter_open(meter, drawn[0], &marks, SIDE, SIDE), OK);
    for (int f = 1; f < COUNT; f++) minute_meter_take(meter, &sums, f, frames[f]);
    minute_meter_close(meter);
    free(meter);
    return sums;
}

static double of(const struct minute_sums *sums, enum minute_figure which) {
    struct minute_sums truth = measured(drawn);
    return minute_figure(sums, &truth, which);
}

/* Turns a pixel's colours about the axis of greys, (1, 1, 1) / sqrt(3), by Rodrigues' formula. */
static void turn(float *pixel, double degrees) {
    const double angle = degrees * acos(-1.0) / 180, third = (1 - cos(angle)) / 3, s = sin(angle) / sqrt(3.0);
    const double r = (double)pixel[0], g = (double)pixel[SIDE * SIDE], b = (double)pixel[2 * SIDE * SIDE];
    const double c = cos(angle);
    pixel[0] = (float)((c + third) * r + (third - s) * g + (third + s) * b);
    pixel[SIDE * SIDE] = (float)((third + s) * r + (c + third) * g + (third - s) * b);
    pixel[2 * SIDE * SIDE] = (float)((third - s) * r + (third + s) * g + (c + third) * b);
}

static void hues_are_turned(void **state) {
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        memcpy(changed, drawn, sizeof drawn);
        for (int f = 1; f < COUNT; f++)
            for (int i = 0; i < SIDE * SIDE; i++) turn(&changed[f][i], sign * 20.0);
        struct minute_sums sums = measured(changed), still = measured(drawn);
        double moved = of(&still, MINUTE_HUE); /* hands and head move, which turns hues a little */
        assert_true(fabs(of(&sums, MINUTE_HUE) - moved - sign * 20) < 0.01);
        assert_true(fabs(of(&sums, MINUTE_SATURATION) - of(&still, MINUTE_SATURATION)) < 1e-5);
    }
}

static void colours_and_contrast_fade(void **state) {
    (void)state;
    for (int f = 0; f < COUNT; f++)
        for (int i = 0; i < FRAME; i++) changed[f][i] = 0.5f * drawn[f][i] + 0.1f;
    struct minute_sums sums = measured(changed), still = measured(drawn);
    assert_true(fabs(of(&sums, MINUTE_CONTRAST) / of(&still, MINUTE_CONTRAST) - 0.5) < 1e-5);
    assert_true(fabs(of(&sums, MINUTE_SATURATION) / of(&still, MINUTE_SATURATION) - 0.5) < 1e-5);
    assert_true(fabs(of(&sums, MINUTE_ENERGY) - 0.5) < 1e-4);
    assert_true(fabs(of(&sums, MINUTE_MOTION) / of(&still, MINUTE_MOTION) - 0.5) < 1e-4);
    assert_true(of(&sums, MINUTE_IDENTITY) < of(&still, MINUTE_IDENTITY) - 10);
}

static void a_still_picture_has_no_energy(void **state) {
    (void)state;
    for (int f = 0; f < COUNT; f++) memcpy(changed[f], drawn[COUNT - 1], sizeof *changed);
    struct minute_sums sums = measured(changed), none = {0};
    assert_true(of(&sums, MINUTE_ENERGY) == 0);
    assert_true(isnan(minute_figure(&none, &sums, MINUTE_IDENTITY)));
    assert_true(isnan(of(&sums, MINUTE_SYNC))); /* nobody spoke */
}

static void lips_are_compared(void **state) {
    static struct minute_meter meter;
    static float known[MINUTE_FRAMES], talk[MINUTE_FRAMES];
    (void)state;
    for (int f = 0; f < MINUTE_FRAMES; f++) {
        known[f] = 0.5f + 0.3f * sinf(0.7f * (float)f);
        talk[f] = f > 100 && f < 900;
        meter.opening[f] = 3 - 2 * known[f]; /* opens where it should close */
    }
    struct minute_sums sums = {.frames = 1};
    minute_meter_end(&meter, &sums, 1, known, talk);
    assert_true(fabs(minute_figure(&sums, &sums, MINUTE_SYNC) + 1) < 1e-4);
    assert_true(sums.resident > 0);
}

static void a_line_has_its_slope(void **state) {
    const double line[] = {5, 5.5, NAN, 6.5, 7};
    (void)state;
    struct minute_slope slope = minute_slope(line, 5);
    assert_true(fabs(slope.value - 30) < 1e-9 && fabs(slope.low - 30) < 1e-6 && fabs(slope.high - 30) < 1e-6);
    assert_true(isnan(minute_slope(line, 3).value));
    /* By hand: 0, 0, 1, 1 at minutes 0 .. 3 have slope 0.4 a minute, residuals 0.1, -0.3, 0.3, -0.1, whose correlation
       is negative, so that all four count: s^2 = 0.2 / 2, error sqrt(0.1 / 5), t(2) = 4.3027. */
    const double steps[] = {0, 0, 1, 1};
    slope = minute_slope(steps, 4);
    assert_true(fabs(slope.value - 24) < 1e-9);
    assert_true(fabs(slope.high - slope.value - 60 * 4.3027 * sqrt(0.1 / 5)) < 1e-3);
}

/* The share of series without a trend whose interval holds 0: noise of which `memory` stays from minute to minute. */
static double held(double memory) {
    enum { SERIES = 2000, MINUTES = 60 };
    int holds = 0;
    for (int s = 0; s < SERIES; s++) {
        const struct random_address address = {.seed = 3, .purpose = RANDOM_TEST, .sample = (uint32_t)s};
        double values[MINUTES], now = 0;
        for (int i = 0; i < MINUTES; i++) {
            double u = 1 - random_uniform(&address, 2 * (uint32_t)i), v = random_uniform(&address, 2 * (uint32_t)i + 1);
            double z = sqrt(-2 * log(u)) * cos(2 * acos(-1.0) * v);
            values[i] = now = i ? memory * now + sqrt(1 - memory * memory) * z : z;
        }
        struct minute_slope slope = minute_slope(values, MINUTES);
        holds += slope.low <= 0 && slope.high >= 0;
    }
    return (double)holds / SERIES;
}

/* The share's own error is 0.005. Without the correction for memory it would be 0.67 at a memory of 0.6. */
static void intervals_hold(void **state) {
    (void)state;
    assert_true(held(0) > 0.94 && held(0) < 0.98);
    assert_true(held(0.6) > 0.90);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hues_are_turned),      cmocka_unit_test(colours_and_contrast_fade),
        cmocka_unit_test(lips_are_compared),    cmocka_unit_test(a_still_picture_has_no_energy),
        cmocka_unit_test(a_line_has_its_slope), cmocka_unit_test(intervals_hold)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
