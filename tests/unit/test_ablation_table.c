/* test_ablation_table.c: rows of ablations and their table, on figures made up: what counts as the same settings, files
   that are damaged or foreign, steps that are there and steps that are not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fileio.h"
#include "base/philox.h"
#include "tests/check.h"
#include "tests/folder.h"
#include "tools/prepare/config.h"
#include "tools/table/lines.h"
#include "train/config/run_config.h"

enum { DIALOGUES = 10, SEEDS = 3 };

static double noise(int stream, int i) {
    const struct random_address at = {.seed = 18, .purpose = RANDOM_TEST, .sample = (uint32_t)stream};
    return 3.4641 * (random_uniform(&at, (uint32_t)i) - 0.5); /* deviation 1 */
}

/* ---- settings ---- */

static struct settings_numbers numbers_of(const char *last, const char *const *overrides, int count, int person) {
    static struct run_config config;
    static struct prepare_config data;
    struct settings_numbers numbers;
    CHECK(run_config_load(&config, NULL, overrides, count));
    const char *of_data[] = {"source=puppet", "out=x.h5", person ? "seed=2" : "seed=1"};
    CHECK(prepare_config_load(&data, NULL, of_data, 3));
    CHECK(settings_numbers(&numbers, &config, last, &data, 1));
    return numbers;
}

static void same_settings(void **state) {
    (void)state;
    const struct settings_numbers plain = numbers_of("distill", NULL, 0, 0);
    static const struct {
        const char *key;
        int method, measured; /* 1: that number must differ from the plain one */
    } cases[] = {{"distill.alpha=0.9", 1, 0},
                 {"causal.sink=0", 1, 0},
                 {"teacher.optimiser.lr=2e-5", 1, 0},
                 {"rollout.sigma=[1,0.5]", 1, 0},
                 {"distill.loss=dmd", 1, 0},
                 {"light_decoder.steps=7", 1, 0},
                 {"ode_init.loss=consistency", 1, 0},
                 {"ode_init.loss=trajectories", 0, 0},
                 {"causal.audio_lookahead=1", 1, 0},
                 {"causal.audio_lookahead=2", 0, 0},
                 {"causal.first_chunk=3", 1, 0},
                 {"causal.first_chunk=0", 0, 0},
                 {"refine.steps=7", 0, 0},
                 {"evaluate.seconds=30", 0, 1},
                 {"run=elsewhere", 0, 0},
                 {"seed=5", 0, 0},
                 {"threads=3", 0, 0},
                 {"distill.log_every=3", 0, 0},
                 {"distill.save_every=3", 0, 0},
                 {"decoder=x", 0, 0},
                 {"data=x", 0, 0},
                 {"evaluate.persons=test", 0, 0},
                 {"distill.keep_every=4", 0, 0},
                 {"samples=2", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct settings_numbers with = numbers_of("distill", &cases[i].key, 1, 0);
        if ((with.method != plain.method) != cases[i].method || (with.measured != plain.measured) != cases[i].measured)
            fail_msg("%s", cases[i].key);
        assert_true(with.layout == plain.layout);
    }
    const char *refine = "refine.steps=7";
    assert_true(numbers_of("refine", NULL, 0, 0).method != numbers_of("refine", &refine, 1, 0).method);
    const char *passes = "refine.passes=1", *none = "refine.passes=0";
    assert_true(numbers_of("refine", NULL, 0, 0).method != numbers_of("refine", &passes, 1, 0).method);
    assert_true(numbers_of("refine", NULL, 0, 0).method == numbers_of("refine", &none, 1, 0).method);
    assert_true(numbers_of("distill", NULL, 0, 1).measured != plain.measured);
    struct run_config config;
    struct settings_numbers numbers;
    CHECK(run_config_load(&config, NULL, NULL, 0));
    assert_int_equal(settings_numbers(&numbers, &config, "polish", NULL, 0), ERR_USAGE);
}

/* ---- rows ---- */

/* Adds the figure [DIALOGUES]: base + dialogue's noise + seed's + the row's own noise of a tenth. */
static void add_figure(cJSON *source, const char *name, double base, int row, long seed, int known) {
    cJSON *values = cJSON_AddArrayToObject(source, name);
    for (int d = 0; d < DIALOGUES; d++) {
        double value =
            base + noise(0, d) + 0.1 * noise(1 + row, (int)seed) + 0.1 * noise(1000 + 100 * row + (int)seed, d);
        cJSON_AddItemToArray(values, d < known ? cJSON_CreateNumber(value) : cJSON_CreateNull());
    }
}

static struct table_row make_row(const char *name, int row, long seed, double base) {
    struct table_row r = {.seed = seed, .seconds = 60, .settings = {1, 2, 3}, .dialogues = DIALOGUES};
    snprintf(r.name, sizeof r.name, "%s", name);
    snprintf(r.stage, sizeof r.stage, "refine");
    snprintf(r.what, sizeof r.what, "the row %s", name);
    snprintf(r.commit, sizeof r.commit, "abc");
    snprintf(r.machine, sizeof r.machine, "here");
    snprintf(r.persons, sizeof r.persons, "test");
    r.sources = cJSON_CreateObject();
    cJSON *student = cJSON_AddObjectToObject(r.sources, "student"),
          *no_sink = cJSON_AddObjectToObject(r.sources, "no_sink");
    add_figure(student, "frechet_hands", base, row, seed, DIALOGUES);
    add_figure(student, "hands_slope", 1, row, seed, DIALOGUES);
    add_figure(student, "nothing", 0, row, seed, 0);
    add_figure(no_sink, "frechet_hands", base + 5, row, seed, 3);
    return r;
}

static void a_row_comes_back(void **state) {
    (void)state;
    char folder[FOLDER_MAX], path[FILE_PATH_MAX];
    assert_int_equal(folder_make(folder, "ablation_table"), 0);
    snprintf(path, sizeof path, "%s/a-2.json", folder);
    struct table_row row = make_row("a", 0, 2, 3), back;
    double values[DIALOGUES], first[DIALOGUES];
    CHECK(row_write(&row, path));
    CHECK(row_read(&back, path));
    assert_string_equal(back.name, "a");
    assert_true(back.seed == 2 && back.seconds == 60 && back.dialogues == DIALOGUES);
    assert_memory_equal(&back.settings, &row.settings, sizeof row.settings);
    assert_int_equal(row_values(&row, "student", "frechet_hands", first), 1);
    assert_int_equal(row_values(&back, "student", "frechet_hands", values), 1);
    for (int d = 0; d < DIALOGUES; d++) assert_true(fabs(values[d] - first[d]) < 1e-12); /* 15 digits */
    assert_int_equal(row_values(&back, "student", "nothing", values), 0);
    assert_true(isnan(values[0]));
    /* a second rollout: the student's value is the mean of both, where both are there */
    const double second[] = {7, 8};
    cJSON *reseeded = cJSON_AddObjectToObject(back.sources, "reseeded");
    cJSON_AddItemToObject(reseeded, "frechet_hands", cJSON_CreateDoubleArray(second, 2));
    assert_int_equal(row_values(&back, "student", "frechet_hands", values), 1);
    assert_true(fabs(values[1] - (first[1] + 8) / 2) < 1e-12 && fabs(values[2] - first[2]) < 1e-12);
    CHECK(row_expect(&back, path, 2, &row.settings));
    struct settings_numbers other = row.settings;
    other.method++;
    assert_int_equal(row_expect(&back, path, 2, &other), ERR_INPUT);
    assert_int_equal(row_expect(&back, path, 3, &row.settings), ERR_INPUT);
    row_close(&row);
    row_close(&back);
    folder_remove(folder);
}

/* Files that are no row: each is the good one with one text in place of another. */
static void damaged_rows(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{", "["},
        {"\"row\"", "\"raw\""},
        {"\"seed\":\t2", "\"seed\":\t2.5"},
        {"\"seed\":\t2", "\"seed\":\t1e999"},
        {"0000000000000001", "000000000000000g"},
        {"0000000000000001", "1"},
        {"the row a", "the | row"},
        {"\"student\"", "\"teacher\""},
        {"\"hands_slope\":\t[", "\"hands_slope\":\t[1, "},
        {"\"hands_slope\":\t[", "\"hands_slope\":\t7, \"x\":\t["},
        {"null", "true"},
        {"null", "1e999"},
        {"\"figures\"", "\"sources\""},
    };
    char folder[FOLDER_MAX], path[FILE_PATH_MAX], *text;
    assert_int_equal(folder_make(folder, "ablation_table"), 0);
    snprintf(path, sizeof path, "%s/a-2.json", folder);
    struct table_row row = make_row("a", 0, 2, 3), back;
    CHECK(row_write(&row, path));
    CHECK(file_read(path, 1 << 20, &text, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *at = strstr(text, cases[i][0]);
        char *bad = malloc(strlen(text) + 64);
        assert_non_null(at);
        sprintf(bad, "%.*s%s%s", (int)(at - text), text, cases[i][1], at + strlen(cases[i][0]));
        CHECK(file_write(path, bad, strlen(bad)));
        if (row_read(&back, path) != ERR_INPUT) fail_msg("%s for %s was read", cases[i][1], cases[i][0]);
        assert_true(strstr(error_text(), path) == error_text() && !strchr(error_text(), '\n'));
        free(bad);
    }
    for (size_t length = 0; length < strlen(text); length += 97) { /* cut off */
        CHECK(file_write(path, text, length));
        assert_int_equal(row_read(&back, path), ERR_INPUT);
    }
    free(text);
    row_close(&row);
    folder_remove(folder);
}

/* ---- intervals ---- */

static void intervals(void **state) {
    (void)state;
    assert_true(fabs(interval_student(2) - 4.3027) < 1e-4 && fabs(interval_student(1e9) - 1.96) < 1e-3);
    assert_true(fabs(interval_student(7) - 2.3646) < 2e-3 && fabs(interval_student(40) - 2.0211) < 2e-3);
    assert_true(fabs(interval_student(2.5) - 3.575) < 0.06); /* between two degrees, where it is least straight */
    const double one_run[] = {1, 2, 3, NAN}, one_dialogue[] = {1, 2, 3}, both[] = {1, 3, 2, 4};
    struct interval i = interval_of(one_run, 1, 4), j = interval_of(one_dialogue, 3, 1);
    double half = 4.3027 / sqrt(3); /* three values with deviation 1 */
    assert_true(i.value == 2 && fabs(i.low - (2 - half)) < 1e-3 && fabs(i.high - (2 + half)) < 1e-3);
    assert_true(j.value == 2 && fabs(j.low - i.low) < 1e-12 && fabs(j.high - i.high) < 1e-12);
    /* means of the runs 2, 3 and of the dialogues 1.5, 3.5: squared errors 0.25 and 1, freedom 1.5625 / 1.0625 */
    i = interval_of(both, 2, 2);
    half = interval_student(1.5625 / 1.0625) * sqrt(1.25);
    assert_true(i.value == 2.5 && fabs(i.high - 2.5 - half) < 1e-9 && fabs(2.5 - i.low - half) < 1e-9);
    i = interval_of(one_run, 1, 1);
    assert_true(i.value == 1 && i.low == 1 && i.high == 1);
    assert_true(isnan(interval_of(one_run + 3, 1, 1).value));
}

/* ---- the table ---- */

static void close_rows(struct table_row *rows, int count) {
    for (int i = 0; i < count; i++) row_close(&rows[i]);
}

/* Rows "first", "control" (the same figures), "better" (hands by 0.5 lower), each with SEEDS seeds, given by falling
   seed. */
static int make_rows(struct table_row *rows) {
    int n = 0;
    for (long seed = SEEDS; seed > 0; seed--) rows[n++] = make_row("first", 0, seed, 3);
    for (long seed = SEEDS; seed > 0; seed--) rows[n++] = make_row("control", 0, seed, 3);
    for (long seed = SEEDS; seed > 0; seed--) rows[n++] = make_row("better", 1, seed, 2.5);
    return n;
}

static void steps_and_stars(void **state) {
    (void)state;
    struct table_row rows[3 * SEEDS];
    struct lines lines;
    int count = make_rows(rows);
    char columns[] = "frechet_*, nothing, not_there, hands_slope";
    CHECK(lines_open(&lines, rows, count, "better", columns));
    assert_int_equal(lines.columns, 2);
    assert_int_equal(lines.count, 4); /* the last: better, without its sink */
    const struct line *first = &lines.line[0], *control = &lines.line[1], *better = &lines.line[2];
    assert_string_equal(first->run[0]->name, "first");
    assert_true(first->runs == SEEDS && first->run[0]->seed == 1 && first->before == -1);
    assert_true(control->step[0].value == 0 && !line_has_star(control, 0));
    assert_true(first->figure[0].low < 3 && first->figure[0].high > 3);
    /* the dialogues' spread of 1 does not hide a step of 0.5, because it is paired */
    assert_true(better->figure[0].high > control->figure[0].low);
    print_message("step %.3f [%.3f, %.3f]\n", better->step[0].value, better->step[0].low, better->step[0].high);
    assert_true(line_has_star(better, 0) && better->step[0].low > -1.3);
    assert_false(line_has_star(better, 1));
    assert_string_equal(lines.line[3].source, "no_sink");
    assert_true(lines.line[3].before == 2 && line_has_star(&lines.line[3], 0));
    lines_close(&lines);
    for (int i = 0; i < SEEDS; i++) strcpy(rows[2 * SEEDS + i].against, "first");
    char again[] = "hands_slope";
    CHECK(lines_open(&lines, rows, count, "", again));
    assert_int_equal(lines.line[2].before, 0);
    lines_close(&lines);
    close_rows(rows, count);
}

static void refuses(const struct table_row *rows, int count, const char *columns, int code) {
    struct lines lines;
    char text[64];
    snprintf(text, sizeof text, "%s", columns);
    assert_int_equal(lines_open(&lines, rows, count, "", text), code);
    lines_close(&lines);
}

static void rows_that_do_not_go_together(void **state) {
    (void)state;
    struct table_row rows[3 * SEEDS];
    int count = make_rows(rows);
    refuses(rows, count, "nothing", ERR_USAGE);
    rows[1].seed = 3; /* twice */
    refuses(rows, count, "hands_slope", ERR_INPUT);
    rows[1].seed = 2;
    rows[4].settings.measured++;
    refuses(rows, count, "hands_slope", ERR_INPUT);
    rows[4].settings.measured--;
    strcpy(rows[4].features, "another");
    refuses(rows, count, "hands_slope", ERR_INPUT);
    rows[4].features[0] = 0;
    rows[5].settings.method++; /* one of the control's seeds */
    refuses(rows, count, "hands_slope", ERR_INPUT);
    close_rows(rows, count);
}

/* Of 400 tables of two rows that differ by nothing but noise of seed and dialogue, 5 % or fewer may have a star: the
   interval errs to the wide side. 33 would be three deviations (4.4) above 20. */
static void no_star_by_chance(void **state) {
    (void)state;
    int stars = 0;
    for (int trial = 0; trial < 400; trial++) {
        struct table_row rows[2 * SEEDS];
        struct lines lines;
        int n = 0;
        for (int row = 0; row < 2; row++)
            for (long seed = 1; seed <= SEEDS; seed++)
                rows[n++] = make_row(row ? "b" : "a", 10 + 2 * trial + row, seed, 3);
        char columns[] = "frechet_hands";
        CHECK(lines_open(&lines, rows, n, "", columns));
        stars += line_has_star(&lines.line[1], 0);
        lines_close(&lines);
        close_rows(rows, n);
    }
    print_message("%d of 400 steps of nothing have a star\n", stars);
    assert_true(stars <= 33);
}

static void markdown(void **state) {
    (void)state;
    struct table_row rows[3 * SEEDS];
    struct lines lines;
    int count = make_rows(rows);
    char columns[] = "frechet_hands,hands_slope", *text;
    size_t size;
    CHECK(lines_open(&lines, rows, count, "better", columns));
    FILE *file = open_memstream(&text, &size);
    lines_markdown(&lines, file);
    fclose(file);
    const char *first = strstr(text, "| first | "), *control = strstr(text, "| control | "),
               *better = strstr(text, "| better | "), *off = strstr(text, "| better, sink off | ");
    assert_true(first && control > first && better > control && off > better);
    assert_true(memchr(better, '*', (size_t)(strchr(better, '\n') - better)) != NULL);
    assert_true(memchr(control, '*', (size_t)(strchr(control, '\n') - control)) == NULL);
    assert_non_null(strstr(text, "the row better |"));
    assert_non_null(strstr(text, "| better less control | -0."));
    assert_non_null(strstr(text, "Seeds: first 1, 2, 3; control 1, 2, 3; better 1, 2, 3."));
    free(text);
    lines_close(&lines);
    close_rows(rows, count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_settings),     cmocka_unit_test(a_row_comes_back),
        cmocka_unit_test(damaged_rows),      cmocka_unit_test(intervals),
        cmocka_unit_test(steps_and_stars),   cmocka_unit_test(rows_that_do_not_go_together),
        cmocka_unit_test(no_star_by_chance), cmocka_unit_test(markdown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
