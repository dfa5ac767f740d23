/* test_text.c: texts and tables read the same whoever wrote them, row by row also through a pipe; what is no text or no
   table is refused with its line. YAML as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/config.h"
#include "base/csv.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/text.h"
#include "tests/folder.h"

static char folder[FOLDER_MAX], path[FILE_PATH_MAX];
static const char *const names[] = {"a", "b", "c"};

static void put(const char *text, size_t length) { assert_int_equal(file_write(path, text, length), OK); }

static void lines(void **state) {
    (void)state;
    static const char text[] = "\xef\xbb\xbfone\r\ntwo\rthree\n\n\r\nsix";
    char *all, *next, *line;
    static const char *const want[] = {"one", "two", "three", "", "", "six"};
    put(text, sizeof text - 1);
    assert_int_equal(text_read(path, 100, &all), OK);
    assert_int_equal(text_line_number(all, strstr(all, "three")), 3);
    assert_int_equal(text_line_number(all, strstr(all, "six")), 6);
    next = all;
    for (int i = 0; i < 6; i++) {
        assert_non_null(line = text_line(&next));
        assert_string_equal(line, want[i]);
    }
    assert_null(text_line(&next));
    free(all);
    put("a\rb\0c", 5);
    assert_int_equal(text_read(path, 100, &all), ERR_INPUT);
    assert_non_null(strstr(error_text(), ":2: a zero byte"));
    put("\xff\xfe"
        "a\0",
        4);
    assert_int_equal(text_read(path, 100, &all), ERR_INPUT);
    assert_non_null(strstr(error_text(), "UTF-16"));
    assert_int_equal(text_read(path, 3, &all), ERR_INPUT);
    put("", 0);
    assert_int_equal(text_read(path, 3, &all), OK);
    assert_string_equal(all, "");
    free(all);
}

/* Rows as "a|b|c;", or the error. */
static void table(const char *text, int required, const char *want) {
    struct csv csv;
    char got[400] = "";
    put(text, strlen(text));
    int result = csv_open(&csv, path, names, required, 3) ? -ERR_INPUT : 1;
    while (result > 0 && (result = csv_next(&csv)) > 0)
        for (int i = 0; i < 3; i++) {
            size_t used = strlen(got);
            snprintf(got + used, sizeof got - used, "%s%s", csv_text(&csv, i), i < 2 ? "|" : ";");
        }
    if (result < 0) snprintf(got, sizeof got, "%s", error_text() + strlen(path));
    csv_close(&csv);
    assert_string_equal(got, want);
}

static void tables(void **state) {
    (void)state;
    table("1,2,3\n4,5,6\n", 3, "1|2|3;4|5|6;");
    table("\xef\xbb\xbf"
          "C, A ,b\r\n3,1,2\r\n\r\n6,4,5",
          3, "1|2|3;4|5|6;");
    table("A,conf,C\r1,x,3\r\r", 1, "1||3;");
    table("1,2\n", 2, "1|2|;");
    table(" 1\t, \"2,\"\"x\"\"\" ,\"a\nb\"\n#4,5,6\n,,\n", 3, "1|2,\"x\"|a\nb;");
    table("\"# 1\",2,3\n", 3, "# 1|2|3;");
    table("", 3, "");
    table("\xef\xbb\xbf", 3, "");
    table("a,b\n", 3, ":1: no column \"c\"");
    table("1,2\n", 3, ":1: no column \"c\"");
    table("1,2,3,4\n", 3, ":1: 4 fields, expected at most 3");
    table("1,2,3\n\n1,2\n", 3, ":3: 2 fields, the first row has 3");
    table("a,b,c\n1,\"2\n\n\",3\n1\n", 3, ":5: 1 field, the first row has 3");
    table("1,2\"3,4\n", 3, ":1: a quote inside a field that does not begin with one");
    table("1,\"2\" 3,4\n", 3, ":1: text behind a field's closing quote");
    table("1,2,3\n1,\"2,3\n", 3, ":2: a quote is opened and not closed");
    table("\xff\xfe\x31", 3, ":1: is UTF-16 text, or no text; expected UTF-8");
    char *wide = malloc(CSV_ROW_MAX + 10);
    memset(wide, 'x', CSV_ROW_MAX + 9);
    wide[CSV_ROW_MAX + 9] = 0;
    table(wide, 1, ":1: a row of more than 4096 bytes");
    memset(wide, ',', 200);
    wide[200] = 0;
    table(wide, 1, ":1: more than 64 fields");
    free(wide);
}

static void numbers(void **state) {
    (void)state;
    static const char *const bad[] = {"nan", "1e999", "0x10", "1 2", "1;", "", "--1"};
    struct csv csv;
    double value;
    put("-1.5e1,7\n", 9);
    assert_int_equal(csv_open(&csv, path, names, 2, 2), OK);
    assert_int_equal(csv_next(&csv), 1);
    assert_int_equal(csv_number(&csv, 0, &value), OK);
    assert_true(value == -15);
    csv_close(&csv);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[32];
        snprintf(text, sizeof text, "1,%s\n", bad[i]);
        put(text, strlen(text));
        assert_int_equal(csv_open(&csv, path, names, 2, 2), OK);
        assert_int_equal(csv_next(&csv), 1);
        assert_int_equal(csv_number(&csv, 1, &value), ERR_INPUT);
        assert_non_null(strstr(error_text(), ":1: b: expected a number, got"));
        csv_close(&csv);
    }
}

/* A row is there as soon as its end came, CR included, although the writer keeps the pipe open. */
static void rows_of_a_pipe(void **state) {
    (void)state;
    struct csv csv;
    int done[2];
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pipe(done), 0);
    pid_t child = fork();
    if (!child) {
        FILE *out = fopen(path, "w");
        char byte;
        fputs("1,2,3\r", out);
        fflush(out);
        close(done[1]);
        (void)!read(done[0], &byte, 1); /* until the row was taken */
        fputs("\n4,5,6\r\n", out);
        fclose(out);
        _exit(0);
    }
    close(done[0]);
    alarm(20);
    assert_int_equal(csv_open(&csv, path, names, 3, 3), OK);
    assert_int_equal(csv_next(&csv), 1);
    assert_string_equal(csv_text(&csv, 2), "3");
    close(done[1]);
    assert_int_equal(csv_next(&csv), 1);
    assert_string_equal(csv_text(&csv, 0), "4");
    assert_int_equal(csv.line, 2);
    assert_int_equal(csv_next(&csv), 0);
    csv_close(&csv);
    alarm(0);
    waitpid(child, NULL, 0);
    unlink(path);
}

static void configs(void **state) {
    (void)state;
    static const char *const texts[] = {"\xef\xbb\xbfone: 3\r\ntwo: 4\r\n", "one: 3\rtwo: 4\r", "one: 3\ntwo: 4"};
    struct {
        int one, two;
    } config;
    const struct config_field fields[] = {{"one", CONFIG_INT, 0, 0, 9, "0", NULL, 0, 0, "a number"},
                                          {"two", CONFIG_INT, sizeof(int), 0, 9, "0", NULL, 0, 0, "a number"}};
    for (int i = 0; i < 3; i++) {
        put(texts[i], strlen(texts[i]));
        if (config_load(&config, fields, 2, path, NULL, 0)) fail_msg("%s", error_text());
        assert_true(config.one == 3 && config.two == 4);
    }
    put("one: 3\rtwo: x\r", 14);
    assert_int_equal(config_load(&config, fields, 2, path, NULL, 0), ERR_USAGE);
    assert_non_null(strstr(error_text(), ":2: two"));
    put("one: 3\ntwo: \0 4\n", 16);
    assert_int_equal(config_load(&config, fields, 2, path, NULL, 0), ERR_USAGE);
}

static int set_up(void **state) {
    (void)state;
    if (folder_make(folder, "test_text")) return 1;
    snprintf(path, sizeof path, "%s/file", folder);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),          cmocka_unit_test(tables),  cmocka_unit_test(numbers),
        cmocka_unit_test(rows_of_a_pipe), cmocka_unit_test(configs),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
