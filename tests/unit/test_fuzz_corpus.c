/* test_fuzz_corpus.c: every file in tests/fuzz/corpus/NAME through the target NAME (tests/fuzz/fuzz.h): examples, and
   what fuzzing found. A crash, or a sanitizer's word in a SANITIZE=1 build, is the failure. Files whose names start
   with "good" must be taken, with "bad" refused with a text. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "tests/fuzz/fuzz.h"

static void replay(const char *name, fuzz_target *target) {
    char folder[128], path[512], *bytes;
    size_t length;
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", name);
    DIR *dir = opendir(folder);
    if (!dir) fail_msg("%s: is not there", folder);
    int files = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (*e->d_name == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        assert_int_equal(file_read(path, 1 << 20, &bytes, &length), OK);
        unsigned char *exact = malloc(length ? length : 1); /* exact size: reading a byte too far is seen */
        assert_non_null(exact);
        memcpy(exact, bytes, length);
        free(bytes);
        int taken = target(exact, length);
        free(exact);
        if (!strncmp(e->d_name, "good", 4) && !taken) fail_msg("%s: refused: %s", path, error_text());
        if (!strncmp(e->d_name, "bad", 3)) {
            if (taken) fail_msg("%s: taken", path);
            if (!*error_text()) fail_msg("%s: refused without a word", path);
        }
        files++;
    }
    closedir(dir);
    if (!files) fail_msg("%s: holds no file", folder);
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        replay(#name, fuzz_##name);                                                                                    \
    }
FUZZ_TARGETS(TEST)
#define ENTRY(name) cmocka_unit_test(test_##name),

int main(void) {
    const struct CMUnitTest tests[] = {FUZZ_TARGETS(ENTRY)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
