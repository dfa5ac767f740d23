/* test_ranks_distill.c: distillation, student and critic, by both losses on several ranks (ranks_stages.h). */
#include "tests/double/ranks_stages.h"

static void sid(void **state) {
    (void)state;
    check_stage(JOB_DISTILL_SID);
}
static void dmd(void **state) {
    (void)state;
    check_stage(JOB_DISTILL_DMD);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sid), cmocka_unit_test(dmd)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
