/* test_ranks_sequence_distill.c: distillation by both losses with the tokens of every clip divided over ranks
   (ranks_stages.h). With an argument: every division with every ZeRO, in one part and in several. */
#include "tests/double/ranks_stages.h"

static void sid(void **state) { check_sequence(JOB_DISTILL_SID, *state != NULL); }
static void dmd(void **state) { check_sequence(JOB_DISTILL_DMD, *state != NULL); }

int main(int argc, char **argv) {
    void *all = argc > 1 ? argv : NULL;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(sid, all), cmocka_unit_test_prestate(dmd, all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
