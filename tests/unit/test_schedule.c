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

static void step_lists(void **state) {
    (void)state;
    double sigma[5];
    const double four[] = {1000, 750, 500, 250}, three[] = {1000, 667, 333}, five[] = {1000, 800, 600, 400, 200};
    assert_int_equal(schedule_steps(four, 4, 5, sigma), OK);
    near(sigma[0], 1), near(sigma[1], 15.0 / 16), near(sigma[2], 5.0 / 6), near(sigma[3], 5.0 / 8);
    assert_int_equal(schedule_steps(four, 4, 3, sigma), OK);
    near(sigma[1], 0.9), near(sigma[2], 0.75), near(sigma[3], 0.5);
    assert_int_equal(schedule_steps(five, 5, 5, sigma), OK);
    near(sigma[1], 20.0 / 21), near(sigma[4], 5.0 / 9);
    assert_int_equal(schedule_steps(three, 3, 1, sigma), OK);
    near(sigma[1], 0.667), near(sigma[2], 0.333);
    assert_int_equal(schedule_steps(three, 3, 5, sigma), OK);
    near(sigma[1], 3.335 / 3.668), near(sigma[2], 1.665 / 2.332);
}

static void euler(void **state) {
    (void)state;
    double sigma[51];
    assert_int_equal(schedule_euler(50, 8, sigma), OK);
    near(sigma[0], 1), near(sigma[50], 0);
    near(sigma[36], 8 * 0.28 / (1 + 7 * 0.28)); /* 0.757, as CausVid's list has it */
    for (int i = 0; i < 50; i++) assert_true(sigma[i] > sigma[i + 1]);
    /* Euler on the exact velocity of one pair lands on x0 whatever the steps */
    double x0 = 0.3, eps = -1.7, x = eps;
    for (int i = 0; i < 50; i++) x += (eps - x0) * (sigma[i + 1] - sigma[i]);
    near(x, x0);
}

static void conversions(void **state) {
    (void)state;
    double x0 = 0.25, eps = -1.5, sigma = 0.7, v = eps - x0, x = schedule_noisy(x0, eps, sigma);
    near(schedule_x0(x, v, sigma), x0);
    near(schedule_eps(x, v, sigma), eps);
    near(schedule_velocity(x, x0, sigma), v);
    near(schedule_timestep(sigma), 700);
    near(schedule_unshift(schedule_shift(0.31, 5), 5), 0.31);
    near(schedule_level(0, 5, 0.02, 0.98), 0.02);
    near(schedule_level(0.9999, 5, 0.02, 0.98), 0.98);
    near(schedule_level(0.5, 5, 0.02, 0.98), 5.0 / 6);
}

static void wrong_lists(void **state) {
    (void)state;
    double sigma[4];
    const double lists[][2] = {{500, 750}, {1000, 0}, {1001, 500}, {500, 500}, {NAN, 500}, {500, NAN}, {500, -1}};
    for (int i = 0; i < 7; i++) assert_int_equal(schedule_steps(lists[i], 2, 5, sigma), ERR_USAGE);
    const double good[] = {1000};
    assert_int_equal(schedule_steps(good, 1, 0.5, sigma), ERR_USAGE);
    assert_int_equal(schedule_steps(good, 1, NAN, sigma), ERR_USAGE);
    assert_int_equal(schedule_steps(good, 0, 5, sigma), ERR_USAGE);
    assert_int_equal(schedule_euler(0, 5, sigma), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(step_lists), cmocka_unit_test(euler),
                                       cmocka_unit_test(conversions), cmocka_unit_test(wrong_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
