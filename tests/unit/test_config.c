/* test_config.c: configs read right, written and read back to the same bytes, and every wrong input refused with one
   line that names file, line, key and what was expected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/config.h"
#include "base/error.h"
#include "base/fileio.h"
#include "tests/folder.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sample {
    int steps, ema, mode;
    long seed;
    double lr, betas[3];
    int beta_count;
    char data[24], note[64];
    double loss_weight;
};
static const char *const modes[] = {"off", "end", "start", NULL};
#define AT(member) offsetof(struct sample, member)
static const struct config_field fields[] = {
    {.key = "steps", .type = CONFIG_INT, .offset = AT(steps), .min = 1, .max = 100000, .help = "updates"},
    {.key = "seed", .type = CONFIG_LONG, .offset = AT(seed), .min = 0, .max = INFINITY, .fallback = "7"},
    {.key = "optimiser.lr", .type = CONFIG_REAL, .offset = AT(lr), .min = 0, .max = 1, .fallback = "1e-4"},
    {.key = "data", .type = CONFIG_STRING, .offset = AT(data), .size = 24, .fallback = "\"\""},
    {.key = "optimiser.betas",
     .type = CONFIG_REALS,
     .offset = AT(betas),
     .min = 0,
     .max = 1,
     .size = 3,
     .count_offset = AT(beta_count),
     .fallback = "[0.9, 0.999]"},
    {.key = "student.cache.rapr", .type = CONFIG_CHOICE, .offset = AT(mode), .choices = modes, .fallback = "end"},
    {.key = "student.ema", .type = CONFIG_BOOL, .offset = AT(ema), .fallback = "true"},
    {.key = "note", .type = CONFIG_STRING, .offset = AT(note), .size = 64, .fallback = ""},
    {.key = "loss_weight", .type = CONFIG_REAL, .offset = AT(loss_weight), .fallback = "-2.5"},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static char folder[FOLDER_MAX], path[FILE_PATH_MAX], other[FILE_PATH_MAX];

static int load(struct sample *s, const char *text) {
    memset(s, 0, sizeof *s);
    assert_int_equal(file_write(path, text, strlen(text)), OK);
    return config_load(s, fields, FIELDS, path, NULL, 0);
}

static int load_over(struct sample *s, const char *override) {
    const char *text = "steps: 10\n";
    memset(s, 0, sizeof *s);
    assert_int_equal(file_write(path, text, strlen(text)), OK);
    return config_load(s, fields, FIELDS, path, &override, 1);
}

static void reads_all_types(void **state) {
    (void)state;
    struct sample s;
    assert_int_equal(load(&s, "# comment\nsteps: 12\nseed: 9000000000\noptimiser:\n  lr: 2.5e-3\n  betas: [0.5, 0, 1]\n"
                              "data: runs/a b\nstudent:\n  ema: false\n  cache: {rapr: off}\n"),
                     OK);
    assert_int_equal(s.steps, 12);
    assert_int_equal(s.seed, 9000000000L);
    assert_true(s.lr == 2.5e-3 && s.betas[0] == 0.5 && s.betas[1] == 0 && s.betas[2] == 1 && s.beta_count == 3);
    assert_string_equal(s.data, "runs/a b");
    assert_int_equal(s.ema, 0);
    assert_int_equal(s.mode, 0);
    assert_true(s.loss_weight == -2.5);
}

static void fills_defaults(void **state) {
    (void)state;
    struct sample s;
    assert_int_equal(load(&s, "steps: 1\noptimiser:\n"), OK);
    assert_int_equal(s.seed, 7);
    assert_true(s.lr == 1e-4 && s.beta_count == 2 && s.betas[1] == 0.999 && s.betas[2] == 0);
    assert_int_equal(s.mode, 1);
    assert_int_equal(s.ema, 1);
    assert_string_equal(s.data, "");
    const char *only[] = {"steps=3"};
    assert_int_equal(config_load(&s, fields, FIELDS, NULL, only, 1), OK);
    assert_int_equal(s.steps, 3);
}

static void overrides_win(void **state) {
    (void)state;
    struct sample s;
    const char *text = "steps: 1\noptimiser: {lr: 0.5}\n";
    const char *list[] = {"optimiser.lr=0.25",
                          "student.cache.rapr=start",
                          "optimiser.betas=[1]",
                          "steps=5",
                          "steps=6",
                          "student={ema: false}",
                          "data=",
                          "note=-"};
    assert_int_equal(file_write(path, text, strlen(text)), OK);
    assert_int_equal(config_load(&s, fields, FIELDS, path, list, 8), OK);
    assert_string_equal(s.note, "-");
    assert_true(s.lr == 0.25 && s.mode == 2 && s.beta_count == 1 && s.betas[0] == 1 && s.steps == 6 && s.ema == 0);
}

/* The resolved file reads back to the same bytes, whatever the values. */
static void writes_what_it_reads(void **state) {
    (void)state;
    struct sample s, back;
    assert_int_equal(load(&s, "steps: 12\nnote: \"a \\\"quote\\\", \\\\ , \\n, #, \xc3\xa9 \\u2028\\u2029\\x85\\ufeff: "
                              "- {x}\"\ndata: 'off'\n"),
                     OK);
    s.lr = 0.1 + 0.2;
    s.loss_weight = -1.0 / 3;
    s.betas[0] = 5e-324;
    s.seed = LONG_MAX;
    FILE *file = fopen(other, "w");
    assert_int_equal(config_write(&s, fields, FIELDS, file), OK);
    fclose(file);
    memset(&back, 0, sizeof back);
    assert_int_equal(config_load(&back, fields, FIELDS, other, NULL, 0), OK);
    assert_memory_equal(&s, &back, sizeof s);
}

static void refuses(const char *text, const char *expected) {
    struct sample s;
    char line[2 * FILE_PATH_MAX];
    int code = load(&s, text);
    if (code != ERR_USAGE) fail_msg("accepted: %s", text);
    snprintf(line, sizeof line, "%s%s", path, expected);
    if (strcmp(error_text(), line)) fail_msg("got \"%s\", expected \"%s\"", error_text(), line);
}

static void refuses_wrong_keys(void **state) {
    (void)state;
    refuses("steps: 1\noptimiser:\n  lrr: 1\n", ":3: optimiser.lrr: unknown key; did you mean optimiser.lr?");
    refuses("lr: 1\nsteps: 1\n", ":1: lr: unknown key; did you mean optimiser.lr?");
    refuses("steps: 1\nqwertyuiopas: 1\n", ":2: qwertyuiopas: unknown key");
    refuses("steps: 1\nseed: 1\nsteps: 2\n", ":3: steps: duplicate key; it is already in line 1");
    refuses("steps: 1\nstudent.ema: true\nstudent: {ema: true}\n", ":3: student.ema: duplicate key");
    refuses("steps: 1\nstudent: 3\n", ":2: student: expected a section of keys, got \"3\"");
    refuses("- steps\n", ":1: expected a section of keys, got a list");
    refuses("steps: 1\n[a]: 1\n", ":2: a key must be a plain word");
    refuses("seed: 1\n", ": steps: missing, expected a whole number from 1 to 100000");
    refuses("", ": steps: missing, expected a whole number from 1 to 100000");
}

static void refuses_wrong_values(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"one", "\"one\""},       {"1.5", "\"1.5\""},
        {"\"3\"", "\"3\""},       {"", "nothing"},
        {"0", "\"0\""},           {"[1]", "a list"},
        {"{a: 1}", "a section"},  {"99999999999999999999", "\"99999999999999999999\""},
        {"100001", "\"100001\""}, {"1-1", "\"1-1\""}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[100], expected[200];
        snprintf(text, sizeof text, "steps: %s\n", wrong[i][0]);
        snprintf(expected, sizeof expected, ":1: steps: expected a whole number from 1 to 100000, got %s", wrong[i][1]);
        refuses(text, expected);
    }
    refuses("seed: -1\nsteps: 1\n", ":1: seed: expected a whole number of at least 0, got \"-1\"");
    refuses("steps: 1\noptimiser:\n  lr: 2\n", ":3: optimiser.lr: expected a number from 0 to 1, got \"2\"");
    refuses("steps: 1\noptimiser:\n  lr: nan\n", ":3: optimiser.lr: expected a number from 0 to 1, got \"nan\"");
    refuses("steps: 1\noptimiser:\n  lr: 0x1\n", ":3: optimiser.lr: expected a number from 0 to 1, got \"0x1\"");
    refuses("steps: 1\nloss_weight: 1e999\n", ":2: loss_weight: expected a number, got \"1e999\"");
#define BETAS ":3: optimiser.betas: expected a list of at most 3 numbers, each from 0 to 1, got "
    refuses("steps: 1\noptimiser:\n  betas: [1, 2]\n", BETAS "\"2\"");
    refuses("steps: 1\noptimiser:\n  betas: [0, 0, 0, 0]\n", BETAS "a list");
    refuses("steps: 1\noptimiser:\n  betas: 0.5\n", BETAS "\"0.5\"");
    refuses("steps: 1\nstudent: {ema: maybe}\n", ":2: student.ema: expected yes or no, got \"maybe\"");
    refuses("steps: 1\nstudent: {cache: {rapr: of}}\n",
            ":2: student.cache.rapr: expected one of off, end, start, got \"of\"");
    refuses("steps: 1\ndata: 123456789012345678901234\n",
            ":2: data: expected a text of at most 23 bytes, got \"123456789012345678901234\"");
    refuses("steps: 1\ndata: \"a\\0b\"\n", ":2: data: expected a text of at most 23 bytes, got \"a?b\"");
}

static void refuses_wrong_yaml(void **state) {
    (void)state;
    refuses("steps: 1\n---\nsteps: 2\n", ":3: expected one YAML document, got a second");
    refuses("steps: 1\noptimiser: {lr: 1\n", ":3: not YAML: did not find expected ',' or '}'");
    refuses("steps: *x\n", ":1: not YAML: found undefined alias");
}

static void refuses_wrong_overrides(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"step=1", "command line: step: unknown key; did you mean steps?"},
        {"steps=x", "command line: steps: expected a whole number from 1 to 100000, got \"x\""},
        {"steps=", "command line: steps: expected a whole number from 1 to 100000, got nothing"},
        {"steps", "command line: \"steps\": expected key=value"},
        {"=1", "command line: \"=1\": expected key=value"},
        {"optimiser.betas=[1", "command line: optimiser.betas: not YAML"},
        {"student={emma: true}", "command line: student.emma: unknown key; did you mean student.ema?"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct sample s;
        assert_int_equal(load_over(&s, wrong[i][0]), ERR_USAGE);
        assert_string_equal(error_text(), wrong[i][1]);
    }
}

static void refuses_what_is_no_file(void **state) {
    (void)state;
    struct sample s;
    assert_int_equal(config_load(&s, fields, FIELDS, "/nonexistent/x.yaml", NULL, 0), ERR_USAGE);
    assert_string_equal(error_text(), "/nonexistent/x.yaml: cannot open the config file: No such file or directory");
    assert_int_equal(config_load(&s, fields, FIELDS, folder, NULL, 0), ERR_USAGE);
    size_t n = 2 << 20;
    char *big = malloc(n);
    memset(big, ' ', n);
    assert_int_equal(file_write(path, big, n), OK);
    free(big);
    assert_int_equal(config_load(&s, fields, FIELDS, path, NULL, 0), ERR_USAGE);
    assert_int_equal(config_load(&s, fields, FIELDS, "/dev/null", NULL, 0), ERR_USAGE); /* empty: steps is missing */
}

/* Deep nesting, cyclic aliases and every truncation and bit flip of a good file: an error or a config, never a
   crash. */
static void survives_anything(void **state) {
    (void)state;
    struct sample s;
    char deep[4096] = "";
    for (int i = 0; i < 900; i++) strcat(deep, "{a: ");
    assert_int_equal(load(&s, deep), ERR_USAGE);
    assert_int_equal(load(&s, "steps: 1\nstudent: &x {cache: *x}\n"), ERR_USAGE);
    static const char good[] = "steps: 12\noptimiser:\n  lr: 2.5e-3\n  betas: [0.5, 0, 1]\nstudent: {ema: false}\n";
    int accepted = 0;
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        text[i] = 0;
        accepted += load(&s, text) == OK;
        for (int bit = 0; bit < 8; bit++) {
            memcpy(text, good, sizeof good);
            text[i] ^= (char)(1 << bit);
            int code = load(&s, text);
            assert_true(code == OK || code == ERR_USAGE);
            if (code) assert_true(strchr(error_text(), '\n') == NULL && strstr(error_text(), path));
        }
    }
    assert_true(accepted > 5);
}

static void describes_all_keys(void **state) {
    (void)state;
    FILE *file = fopen(other, "w");
    config_describe(fields, FIELDS, file);
    fclose(file);
    char *text;
    assert_int_equal(file_read(other, 100000, &text, NULL), OK);
    for (int i = 0; i < FIELDS; i++) assert_non_null(strstr(text, fields[i].key));
    assert_non_null(strstr(text, "must be given"));
    free(text);
}

static int set_up(void **state) {
    (void)state;
    if (folder_make(folder, "test_config")) return 1;
    snprintf(path, sizeof path, "%s/a.yaml", folder);
    snprintf(other, sizeof other, "%s/b.yaml", folder);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_types),         cmocka_unit_test(fills_defaults),
        cmocka_unit_test(overrides_win),           cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(refuses_wrong_keys),      cmocka_unit_test(refuses_wrong_values),
        cmocka_unit_test(refuses_wrong_yaml),      cmocka_unit_test(refuses_wrong_overrides),
        cmocka_unit_test(refuses_what_is_no_file), cmocka_unit_test(survives_anything),
        cmocka_unit_test(describes_all_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
