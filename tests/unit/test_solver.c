/* test_solver.c: UniPC's weights on problems whose solution is known, and the samplers' levels against values by
   hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/schedule.h"
#include "model/dit/solver.h"

#include <math.h>
#include <stdlib.h>

enum { STEPS_MAX = 320 };

/* Data of one dimension: normal with this mean and deviation. x at level sigma is normal too, and the flow keeps a
   point at its quantile z: x = (1 - sigma) mean + z d, d^2 = (1 - sigma)^2 deviation^2 + sigma^2; v = dx / dsigma. */
struct normal {
    double mean, deviation;
};

static double spread(const struct normal *n, double sigma) { return hypot((1 - sigma) * n->deviation, sigma); }

static double velocity(const struct normal *n, double x, double sigma) {
    double d = spread(n, sigma), z = (x - (1 - sigma) * n->mean) / d;
    return -n->mean + z * (sigma - (1 - sigma) * n->deviation * n->deviation) / d;
}

static double unipc(const struct normal *n, const double *sigma, int steps, double x) {
    double start = x, m[3] = {0, 0, 0};
    for (int i = 0; i < steps; i++) {
        m[2] = m[1];
        m[1] = m[0];
        m[0] = x - sigma[i] * velocity(n, x, sigma[i]);
        if (i) {
            struct solver_corrector c = solver_unipc_corrector(sigma, steps, i);
            x = c.start * start + c.m0 * m[0] + c.m1 * m[1] + c.m2 * m[2];
        }
        struct solver_predictor p = solver_unipc_predictor(sigma, steps, i);
        start = x;
        x = p.x * x + p.m0 * m[0] + p.m1 * m[1];
    }
    return x;
}

static double euler(const struct normal *n, const double *sigma, int steps, double x) {
    for (int i = 0; i < steps; i++) x += (sigma[i + 1] - sigma[i]) * velocity(n, x, sigma[i]);
    return x;
}

/* Where the flow takes the point that is at x for sigma[0]. */
static double exact(const struct normal *n, double sigma, double x) {
    return n->mean + n->deviation * (x - (1 - sigma) * n->mean) / spread(n, sigma);
}

static void levels(enum schedule_kind kind, int steps, double shift, double *sigma) {
    double timestep[STEPS_MAX];
    assert_int_equal(schedule_sampler(kind, steps, shift, sigma, timestep), OK);
}

/* A single point of data: every prediction is it, whatever x. */
static void is_exact_for_one_point(void **state) {
    (void)state;
    const struct normal point = {.mean = 0.7, .deviation = 0};
    double sigma[STEPS_MAX + 1];
    for (int kind = 0; kind < 3; kind++)
        for (int steps = 1; steps < 40; steps++) {
            levels((enum schedule_kind)kind, steps, 5, sigma);
            double x = unipc(&point, sigma, steps, -1.3);
            if (!(fabs(x - 0.7) < 1e-12)) fail_msg("schedule %d, %d steps: %.17g", kind, steps, x);
        }
}

/* Order 2: half the step, a quarter of the error, once the first step, which is long in lambda, is short enough in x.
   Linear levels start where lambda is infinite, so they need more steps for that. */
static void converges_at_its_order(void **state) {
    (void)state;
    const struct normal n = {.mean = 0.4, .deviation = 0.6};
    for (int kind = 0; kind < 3; kind++) {
        double error[4], x = 1.7;
        for (int k = 0; k < 4; k++) {
            double sigma[STEPS_MAX + 1];
            int steps = 40 << k;
            levels((enum schedule_kind)kind, steps, 3, sigma);
            error[k] = fabs(unipc(&n, sigma, steps, x) - exact(&n, sigma[0], x));
            double first = fabs(euler(&n, sigma, steps, x) - exact(&n, sigma[0], x));
            if (!(error[k] < first / 8)) fail_msg("schedule %d, %d steps: %g, Euler %g", kind, steps, error[k], first);
        }
        if (!(error[3] < error[2] / 3.5)) fail_msg("schedule %d: errors %g, %g", kind, error[2], error[3]);
    }
}

/* The weights of a step leave a constant alone: a state and predictions that are all c give c at the level's share. */
static void weights_add_up(void **state) {
    (void)state;
    double sigma[51];
    for (int kind = 0; kind < 3; kind++) {
        levels((enum schedule_kind)kind, 50, 5, sigma);
        for (int i = 0; i < 50; i++) {
            struct solver_predictor p = solver_unipc_predictor(sigma, 50, i);
            assert_true(fabs((1 - sigma[i]) * p.x + p.m0 + p.m1 - (1 - sigma[i + 1])) < 1e-12);
            /* order 1 at the ends, and where the step before is infinitely long in lambda */
            assert_true((i == 0 || i == 49 || (i == 1 && sigma[0] == 1)) == (p.m1 == 0));
            if (!i) continue;
            struct solver_corrector c = solver_unipc_corrector(sigma, 50, i);
            assert_true(fabs((1 - sigma[i - 1]) * c.start + c.m0 + c.m1 + c.m2 - (1 - sigma[i])) < 1e-12);
            if (i == 1) assert_true(c.m2 == 0);
        }
    }
}

static void knows_the_levels(void **state) {
    (void)state;
    double sigma[51], t[50];
    assert_int_equal(schedule_sampler(SCHEDULE_WAN, 50, 5, sigma, t), OK);
    /* 5 u / (1 + 4 u): u = 0.999 and 0.97902 */
    assert_true(fabs(sigma[0] - 4.995 / 4.996) < 1e-7 && t[0] == 999);
    assert_true(fabs(sigma[1] - 4.8951 / 4.91608) < 1e-7 && t[1] == 995);
    assert_true(fabs(sigma[49] - 0.0999 / 1.07992) < 1e-7 && t[49] == 92);
    assert_int_equal(schedule_sampler(SCHEDULE_DIFFUSERS, 50, 5, sigma, t), OK);
    assert_true(fabs(sigma[0] - 0.999999) < 1e-7 && t[0] == 999);
    assert_true(fabs(sigma[1] - 4.9001 / 4.92008) < 1e-7 && t[1] == 995);
    assert_true(fabs(sigma[49] - 0.1049 / 1.08392) < 1e-7 && t[49] == 96);
    assert_int_equal(schedule_sampler(SCHEDULE_LINEAR, 4, 3, sigma, t), OK);
    assert_true(sigma[0] == 1 && t[0] == 1000 && sigma[4] == 0);
    assert_true(fabs(sigma[1] - 0.9) < 1e-15 && fabs(t[1] - 900) < 1e-9);
    assert_int_equal(schedule_sampler(SCHEDULE_WAN, 0, 3, sigma, t), ERR_USAGE);
    assert_int_equal(schedule_sampler(SCHEDULE_WAN, 4, 0.5, sigma, t), ERR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_exact_for_one_point),
                                       cmocka_unit_test(converges_at_its_order), cmocka_unit_test(weights_add_up),
                                       cmocka_unit_test(knows_the_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
