/* test_inspect.c: inspect prints what files hold and refuses wrong ones with one line; the statistics behind stats=yes.
   The program is $BIN/inspect; without BIN its part is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/state.h"
#include "tests/folder.h"
#include "tools/tensor_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[FOLDER_MAX];
static const float values[] = {1, 2, 3, 4, 5, INFINITY};

static const char *file_named(const char *name) {
    static char path[4][FILE_PATH_MAX];
    static int next;
    char *text = path[next++ % 4];
    snprintf(text, sizeof path[0], "%s/%s", folder, name);
    return text;
}

static void statistics(void **state) {
    (void)state;
    struct tensor_stats s = {0};
    char text[200];
    tensor_stats_text(&s, text, sizeof text);
    assert_string_equal(text, "no values");
    tensor_stats_add(&s, values, 2);
    tensor_stats_add(&s, values + 2, 4);
    assert_true(s.min == 1 && s.max == 5 && s.mean == 3 && s.count == 5 && s.wrong == 1);
    assert_true(fabs(tensor_stats_deviation(&s) - sqrt(2)) < 1e-15);
    tensor_stats_text(&s, text, sizeof text);
    assert_string_equal(text, "[1, 5], mean 3, deviation 1.414, 1 not finite");
}

/* Runs inspect; its whole output, errors too, into text. Returns the exit code. */
static int inspect(const char *arguments, char *text, size_t size) {
    char command[4 * FILE_PATH_MAX];
    snprintf(command, sizeof command, "%s/inspect %s 2>&1", getenv("BIN"), arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(text, 1, size - 1, pipe);
    text[n] = 0;
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void needs_the_program(void) {
    char path[512];
    snprintf(path, sizeof path, "%s/inspect", getenv("BIN") ? getenv("BIN") : "");
    if (access(path, X_OK)) {
        print_message("no inspect in $BIN\n");
        skip();
    }
}

static void write_state(const char *path) {
    struct state_writer *w;
    assert_int_equal(state_create(&w, path), OK);
    assert_int_equal(state_put_floats(w, "student/m/x.weight", values, 2, (long[]){2, 3}), OK);
    assert_int_equal(state_put_integer(w, "step", 12), OK);
    assert_int_equal(state_put_text(w, "config", "steps: 1\na:\n  b: 2\n"), OK);
    assert_int_equal(state_finish(w), OK);
}

static void write_tensors(const char *path) {
    const struct safetensors_entry e = {
        .name = "x\ny", .type = ST_F32, .ndim = 2, .shape = {3, 2}, .count = 6, .bytes = 24, .data = values};
    const char *const metadata[] = {"format", "pt", NULL};
    assert_int_equal(safetensors_write(path, &e, 1, metadata), OK);
}

static void shows(const char *arguments, const char *const *parts) {
    char text[8192];
    int code = inspect(arguments, text, sizeof text);
    if (code) fail_msg("%s: exit code %d: %s", arguments, code, text);
    for (; *parts; parts++)
        if (!strstr(text, *parts)) fail_msg("%s: no \"%s\" in\n%s", arguments, *parts, text);
}

static void prints_what_is_there(void **state) {
    (void)state;
    needs_the_program();
    char arguments[2 * FILE_PATH_MAX];
    assert_int_equal(file_make_folders(file_named("run/checkpoints")), OK);
    write_state(file_named("run/checkpoints/step_00000012.h5"));
    snprintf(arguments, sizeof arguments, "stats=yes %s", file_named("run"));
    shows(arguments, (const char *const[]){"step_00000012.h5: HDF5, whole by its checksum\n",
                                           "      steps: 1\n      a:\n        b: 2\n", "int64 = 12\n",
                                           "float32 2 x 3  [1, 5], mean 3, deviation 1.414, 1 not finite\n", "format",
                                           "streamavatar training state\n", "1 arrays, 6 values\n", NULL});
    assert_int_equal(file_make_folders(file_named("student")), OK);
    assert_int_equal(file_write(file_named("student/config.json"), "{\n \"dim\": 3}", 12), OK);
    write_tensors(file_named("student/b.safetensors"));
    shows(file_named("student"), (const char *const[]){"   \"dim\": 3}\n", "b.safetensors: safetensors\n",
                                                       "@format = pt\n", "x?y ", " F32 3 x 2\n", NULL});
}

static void refuses(const char *arguments, int code, const char *why) {
    char text[8192];
    int got = inspect(arguments, text, sizeof text);
    char *line = strstr(text, "inspect: ");
    if (got != code || !line || !strstr(line, why) || strchr(line, '\n') != line + strlen(line) - 1)
        fail_msg("inspect %s: code %d, \"%s\"", arguments, got, text);
}

static void refuses_wrong_files(void **state) {
    (void)state;
    needs_the_program();
    const char *path = file_named("a.h5");
    refuses("", ERR_USAGE, "missing");
    refuses("--what x", ERR_USAGE, "unknown option --what");
    refuses("a=b x", ERR_USAGE, "a: unknown key");
    refuses("--stats x", ERR_USAGE, "write stats=yes instead of --stats");
    refuses("/nonexistent", ERR_INPUT, "/nonexistent: cannot open");
    refuses("/dev/null", ERR_INPUT, "neither");
    refuses(file_named("."), ERR_INPUT, "neither");
    assert_int_equal(file_write(path, "plain text, long enough", 23), OK);
    refuses(path, ERR_INPUT, "neither");
    assert_int_equal(file_write(path, "\377\377\377\377\377\377\377\377{}", 10), OK);
    refuses(path, ERR_INPUT, "does not fit");
    write_state(path);
    assert_int_equal(truncate(path, 1500), 0);
    refuses(path, ERR_INPUT, "damaged");
    assert_int_equal(unlink(file_named("a.h5.sum")), 0);
    refuses(path, ERR_INPUT, "cannot be read as HDF5");
}

/* HDF5 without a sum and with flipped bits: printed or refused, never a crash of the program. */
static void survives_damaged_hdf5(void **state) {
    (void)state;
    needs_the_program();
    char *bytes, text[16384], arguments[2 * FILE_PATH_MAX];
    size_t n;
    const char *path = file_named("b.h5");
    write_state(path);
    assert_int_equal(unlink(file_named("b.h5.sum")), 0);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &n), OK);
    snprintf(arguments, sizeof arguments, "stats=yes %s", path);
    for (size_t i = 0; i < 60; i++) {
        size_t at = 9 + i * (n - 9) / 60;
        bytes[at] ^= (char)(1 << (i % 8));
        FILE *file = fopen(path, "wb");
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        fclose(file);
        bytes[at] ^= (char)(1 << (i % 8));
        int code = inspect(arguments, text, sizeof text);
        if (code != OK && code != ERR_INPUT) fail_msg("byte %zu: code %d: %s", at, code, text);
    }
    free(bytes);
}

static int set_up(void **state) {
    (void)state;
    return folder_make(folder, "test_inspect");
}
static int tear_down(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics),
        cmocka_unit_test(prints_what_is_there),
        cmocka_unit_test(refuses_wrong_files),
        cmocka_unit_test(survives_damaged_hdf5),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
