/* test_schedule.c: noise levels against values computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/schedule.h"

#include <math.h>

static void near(double a, double b) {
    if (fabs(a - b) > 1e-14 * fmax(1, fabs(b))) fail_msg("%.17g is not %.17g", a, b);
}

static void linear(void **state) {
    (void)state;
    double sigma[51], timestep[50];
    assert_int_equal(schedule_sampler(SCHEDULE_LINEAR, 50, 8, sigma, timestep), OK);
    for (int i = 0; i < 50; i++) near(timestep[i], 1000 * sigma[i]);
    near(sigma[0], 1), near(sigma[50], 0);
    near(sigma[36], 8 * 0.28 / (1 + 7 * 0.28)); /* 0.757, as CausVid's list has it */
    for (int i = 0; i < 50; i++) assert_true(sigma[i] > sigma[i + 1]);
    /* Euler on the exact velocity of one pair lands on x0 whatever the steps */
    double x0 = 0.3, eps = -1.7, x = eps;
    for (int i = 0; i < 50; i++) x += (eps - x0) * (sigma[i + 1] - sigma[i]);
    near(x, x0);
}

static void levels(void **state) {
    (void)state;
    near(schedule_level(0, 5, 0.02, 0.98), 0.02);
    near(schedule_level(0.9999, 5, 0.02, 0.98), 0.98);
    near(schedule_level(0.5, 5, 0.02, 0.98), 5.0 / 6);
}

static void refusals(void **state) {
    (void)state;
    double sigma[4], timestep[3];
    assert_int_equal(schedule_sampler(SCHEDULE_LINEAR, 0, 5, sigma, timestep), ERR_USAGE);
    assert_int_equal(schedule_sampler(SCHEDULE_LINEAR, 3, 0.5, sigma, timestep), ERR_USAGE);
    assert_int_equal(schedule_sampler(SCHEDULE_LINEAR, 3, NAN, sigma, timestep), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(linear), cmocka_unit_test(levels), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
