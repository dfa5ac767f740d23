/* test_pass_reduction.c: how the steps of a refinement are split over numbers of passes and which levels are left; and
   that the config gives export and samples the passes that a state was trained for. */
#include "tests/check.h"

#include "train/config/run_config.h"
#include "train/method/pass_reduction.h"

static void steps_are_split_evenly(void **state) {
    (void)state;
    static const int wanted[] = {3, 3, 3, 3, 2, 2, 2, 1, 1, 1};
    for (int step = 0; step < 10; step++) assert_int_equal(reduced_passes(3, 1, step, 10), wanted[step]);
    assert_int_equal(reduced_passes(3, 1, -1, 10), 3); /* before the first update */
    assert_int_equal(reduced_passes(3, 1, 10, 10), 1);
    assert_int_equal(reduced_passes(3, 1, 0, 0), 1);
    for (int step = -1; step < 7; step++) assert_int_equal(reduced_passes(2, 2, step, 7), 2);
    for (long steps = 8; steps < 100; steps++) { /* each number comes, in order, as often as another up to one */
        int count[9] = {0}, before = 8;
        for (long step = 0; step < steps; step++) {
            int passes = reduced_passes(8, 1, step, steps);
            assert_true(passes <= before && passes >= before - 1);
            count[before = passes]++;
        }
        for (int p = 1; p <= 8; p++) assert_true(count[p] >= steps / 8 && count[p] <= steps / 8 + 1);
    }
}

static void expect_levels(const struct rollout_config *from, int passes, const double *levels) {
    struct rollout_config c = *from;
    reduce_passes(&c, passes);
    assert_int_equal(c.steps, passes);
    for (int i = 0; i < passes; i++) assert_true(c.sigma[i] == levels[i]);
}

static void levels_are_those_of_the_list(void **state) {
    (void)state;
    const struct rollout_config three = {.steps = 3, .sigma = {1, 0.8, 0.6}};
    const struct rollout_config four = {.steps = 4, .sigma = {1, 0.9, 0.75, 0.5}};
    expect_levels(&three, 3, (const double[]){1, 0.8, 0.6});
    expect_levels(&three, 2, (const double[]){1, 0.6});
    expect_levels(&three, 1, (const double[]){1});
    expect_levels(&four, 3, (const double[]){1, 0.9, 0.5});
    expect_levels(&four, 2, (const double[]){1, 0.75});
    expect_levels(&four, 1, (const double[]){1});
}

static void a_state_has_the_passes_that_it_was_trained_for(void **state) {
    (void)state;
    static struct run_config c;
    const char *keys[] = {"refine.passes=1", "refine.steps=6"};
    CHECK(run_config_load(&c, NULL, keys, 2));
    static const int wanted[] = {3, 3, 3, 2, 2, 1, 1, 1}; /* with 0, 1, ... updates made */
    for (int done = 0; done < 8; done++)
        assert_int_equal(run_config_rollout(&c, "refine", done - 1).steps, wanted[done]);
    assert_int_equal(run_config_rollout(&c, "distill", 5).steps, 3);
    CHECK(run_config_load(&c, NULL, keys + 1, 1));
    assert_int_equal(run_config_rollout(&c, "refine", 5).steps, 3);
    const char *many[] = {"refine.passes=3", "rollout.sigma=[1,0.5]"};
    assert_int_equal(run_config_load(&c, NULL, many, 2), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_are_split_evenly),
                                       cmocka_unit_test(levels_are_those_of_the_list),
                                       cmocka_unit_test(a_state_has_the_passes_that_it_was_trained_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
