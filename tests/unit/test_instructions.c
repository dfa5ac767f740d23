/* test_instructions.c: what is said of a build for other processors, against what the system knows of this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/host/instructions.h"

#include <stdio.h>
#include <string.h>

#define NAME(name, macro) name,
static const char *const names[] = {INSTRUCTION_SETS(NAME)};
enum { SETS = sizeof names / sizeof *names };

/* The line "flags" of /proc/cpuinfo, with a blank around each word. */
static int read_flags(char *line, size_t size) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    int found = 0;
    while (file && !found && fgets(line, (int)size, file)) found = !strncmp(line, "flags", 5);
    if (file) fclose(file);
    line[strcspn(line, "\n")] = ' ';
    return found;
}

/* The kernel calls some of them otherwise. */
static const char *flag_of(const char *name) {
    static const char *const other[][2] = {{"sse4.2", "sse4_2"},
                                           {"bmi", "bmi1"},
                                           {"avx512vbmi2", "avx512_vbmi2"},
                                           {"avx512vnni", "avx512_vnni"},
                                           {"avx512bf16", "avx512_bf16"}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (!strcmp(name, other[i][0])) return other[i][1];
    return name;
}

static void as_the_system_says(void **state) {
    (void)state;
    char line[8192], word[64];
    const char *built[SETS];
    if (!read_flags(line, sizeof line)) skip();
    for (int i = 0; i < SETS; i++) {
        for (int k = 0; k < SETS; k++) built[k] = k == i ? "1" : "__NO__";
        snprintf(word, sizeof word, " %s ", flag_of(names[i]));
        const char *missing = instructions_missing(built);
        if (strstr(line, word) ? missing != NULL : !missing || strcmp(missing, names[i]) != 0)
            fail_msg("%s: missing is %s", names[i], missing ? missing : "nothing");
    }
}

static void this_build_runs_here(void **state) {
    (void)state;
    assert_null(instructions_missing(instructions_built));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_system_says), cmocka_unit_test(this_build_runs_here)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
