/* test_varied.c: what evaluations of varied pictures stand on: a trial that is seen otherwise, whose drawing is
   measured as well as the plain one's, and the PSNR of what stands still in a clip. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "tools/evaluate/still.h"
#include "tools/evaluate/trial.h"

enum { SIDE = 64, PLANE = SIDE * SIDE };

/* Lip sync of the drawn frames, and their identity's PSNR. */
static void measure_drawn(const struct trial *t, double *lip, double *identity) {
    static float picture[3 * PLANE];
    struct trial_measures m;
    struct source_totals totals = {0};
    assert_int_equal(trial_measures_open(&m, t), OK);
    for (int f = 1; f < t->frames; f++) {
        assert_int_equal(puppet_draw(t->puppet, f, SIDE, SIDE, picture), OK);
        assert_int_equal(trial_take(&m, f, picture), OK);
    }
    struct regression lips = {0};
    lip_pool_add(&lips, m.mouth + 1, t->mouth + 1, t->talk + 1, (int)m.count);
    totals.error_first = m.error_first;
    totals.frames_first = (double)m.frames_first;
    trial_measures_close(&m);
    *lip = regression_correlation(&lips);
    *identity = source_psnr_first(&totals);
}

/* Landmarks move with the picture, so that measures find face, mouth and hands there. The view is the farthest that the
   demo's amounts allow. A view of zeros brings everything back to the bit. */
static void trials_are_varied(void **state) {
    (void)state;
    const struct picture_view view = {.gain = {0.12, -0.12, 0.05}, .gamma = 0.12, .x = 0.06, .y = -0.06, .zoom = 0.1};
    struct trial t;
    static float kept[3 * PLANE];
    double lip[2], identity[2];
    assert_int_equal(trial_open(&t, 5, 0, 2, 12, SIDE, SIDE), OK);
    struct landmarks marks = t.marks;
    memcpy(kept, t.reference, sizeof kept);
    measure_drawn(&t, &lip[0], &identity[0]);
    assert_true(lip[0] > 0.95 && identity[0] > 40);
    assert_int_equal(trial_vary(&t, &view), OK);
    assert_true(memcmp(kept, t.reference, sizeof kept));
    for (int k = 0; k < 2; k++) {
        double shift = SIDE * (k ? -0.06 : 0.06), want = 32 + shift + exp(0.1) * ((double)marks.lips[k] - 32);
        assert_float_equal(t.marks.lips[k], want, 1e-3);
    }
    measure_drawn(&t, &lip[1], &identity[1]);
    if (fabs(lip[1] - lip[0]) > 0.03 || identity[1] < 40) fail_msg("lips %.3f, identity %.1f", lip[1], identity[1]);
    /* The marks of the plain picture would miss the lips. */
    struct landmarks moved = t.marks;
    t.marks = marks;
    measure_drawn(&t, &lip[1], &identity[1]);
    assert_true(lip[1] < 0.8);
    t.marks = moved;
    assert_int_equal(trial_vary(&t, &(struct picture_view){0}), OK);
    assert_memory_equal(kept, t.reference, sizeof kept);
    assert_memory_equal(&marks, &t.marks, sizeof marks);
    trial_close(&t);
}

/* Left half still, right half flickering: errors of the right half and of frame 0 do not count, the others do. */
static void still_areas(void **state) {
    (void)state;
    enum { FRAMES = 6, W = 10, H = 4, FRAME = 3 * W * H };
    static float truth[FRAMES * FRAME], made[FRAMES * FRAME];
    struct clip a = {truth, FRAMES, H, W}, b = {made, FRAMES, H, W};
    struct still_pool pool = {0, 0};
    assert_float_equal(still_pool_psnr(&pool), 0, 0);
    for (int i = 0; i < FRAMES * FRAME; i++) {
        int f = i / FRAME, x = i % W;
        truth[i] = x < W / 2 ? 0.01f * (float)x : f % 2 ? 0.5f : -0.5f;
        made[i] = x < W / 2 && f ? truth[i] : 0.9f;
    }
    assert_int_equal(still_pool_add(&pool, &a, &b), OK);
    assert_float_equal(still_pool_psnr(&pool), 99, 1e-9);
    assert_float_equal(pool.values, 3 * H * W / 2 * (FRAMES - 1), 0);
    for (int i = FRAME; i < FRAMES * FRAME; i++) made[i] = truth[i] + 0.1f;
    pool = (struct still_pool){0, 0};
    assert_int_equal(still_pool_add(&pool, &a, &b), OK);
    assert_float_equal(still_pool_psnr(&pool), 20 * log10(2 / 0.1), 1e-3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trials_are_varied),
        cmocka_unit_test(still_areas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
