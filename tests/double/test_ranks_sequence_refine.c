/* test_ranks_sequence_refine.c: refinement with the tokens of every clip divided over ranks (ranks_stages.h). With an
   argument: every division with every ZeRO, in one part and in several. */
#include "tests/double/ranks_stages.h"

static void refine(void **state) { check_sequence(JOB_REFINE, *state != NULL); }

int main(int argc, char **argv) {
    void *all = argc > 1 ? argv : NULL;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(refine, all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
