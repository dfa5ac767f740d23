/* test_ranks_refine.c: refinement with a share of distillation: student, discriminator, critic and frozen teacher on
   several ranks (ranks_stages.h). */
#include "tests/double/ranks_stages.h"

static void refine(void **state) {
    (void)state;
    check_stage(JOB_REFINE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refine)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
