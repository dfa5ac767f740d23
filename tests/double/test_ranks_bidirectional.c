/* test_ranks_bidirectional.c: the teacher and the causal initialisation on several ranks (ranks_stages.h). */
#include "tests/double/ranks_stages.h"

static void teacher(void **state) {
    (void)state;
    check_stage(JOB_TEACHER);
}
static void ode_init(void **state) {
    (void)state;
    check_stage(JOB_ODE);
}
static void consistency(void **state) {
    (void)state;
    check_stage(JOB_CONSISTENCY);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(teacher), cmocka_unit_test(ode_init),
                                       cmocka_unit_test(consistency)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
