/* test_margin.c: what the running margin knows, and when. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "train/method/margin.h"

/* At a round the last but one is known, whether the last one was heard of already or not. */
static void known_two_rounds_later(void **state) {
    (void)state;
    struct margin m = {{0}}, early;
    assert_true(margin_known(&m, 0) == 0 && margin_known(&m, 1) == 0);
    margin_hear(&m, 0, 1);
    assert_true(margin_known(&m, 1) == 0);
    assert_true(fabs(margin_known(&m, 2) - 0.2) < 1e-6);
    early = m;
    margin_hear(&early, 1, -5);
    assert_true(margin_known(&early, 2) == margin_known(&m, 2));
    margin_hear(&m, 1, -5);
    assert_true(fabs(margin_known(&m, 3) + 0.84) < 1e-6);
}

/* A constant margin is the mean in the end; one batch against it does not turn its sign; what is not finite is left
   out. */
static void mean_over_rounds(void **state) {
    (void)state;
    struct margin m = {{0}};
    uint64_t round = 0;
    for (; round < 100; round++) margin_hear(&m, round, 0.5);
    assert_true(fabs(margin_known(&m, round + 1) - 0.5) < 1e-4);
    margin_hear(&m, round++, -0.5);
    assert_true(margin_known(&m, round + 1) > 0);
    double before = margin_known(&m, round + 1);
    margin_hear(&m, round++, NAN);
    assert_true(margin_known(&m, round + 1) == before);
    for (int i = 0; i < 5; i++) margin_hear(&m, round++, -0.5);
    assert_true(margin_known(&m, round + 1) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_two_rounds_later), cmocka_unit_test(mean_over_rounds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
