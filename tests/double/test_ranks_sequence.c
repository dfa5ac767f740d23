/* test_ranks_sequence.c: the teacher and the causal initialisation with the tokens of every clip divided over ranks
   (ranks_stages.h). With an argument: every division with every ZeRO, in one part and in several. */
#include "tests/double/ranks_stages.h"

static void teacher(void **state) { check_sequence(JOB_TEACHER, *state != NULL); }
static void ode_init(void **state) { check_sequence(JOB_ODE, *state != NULL); }
static void consistency(void **state) { check_sequence(JOB_CONSISTENCY, *state != NULL); }

int main(int argc, char **argv) {
    void *all = argc > 1 ? argv : NULL;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(teacher, all),
                                       cmocka_unit_test_prestate(ode_init, all),
                                       cmocka_unit_test_prestate(consistency, all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
