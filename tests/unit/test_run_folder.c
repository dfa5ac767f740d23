/* test_run_folder.c: one process a folder, metrics that a resume continues as if nothing had happened, event files that
   TensorBoard's format describes, and files that are the old or the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "tests/folder.h"
#include "train/stage/event_file.h"
#include "train/stage/run_folder.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[FOLDER_MAX];
struct settings {
    int steps;
};
static const struct config_field fields[] = {
    {.key = "steps", .type = CONFIG_INT, .min = 1, .max = 10, .fallback = "3", .help = "updates"}};

static void named(char *text, const char *name) { snprintf(text, FILE_PATH_MAX, "%s/%s", folder, name); }

static void write_steps(struct metrics *m, long from, long to) {
    for (long step = from; step <= to; step++) {
        const struct metric list[] = {{"loss", 1.0 / (double)(step + 3)},
                                      {"grad_norm/all", step == 3 ? NAN : 1e-9 * (double)step},
                                      {"skipped", 0}};
        assert_int_equal(metrics_write(m, step, list, 3), OK);
    }
}

/* metrics.jsonl with the times left out. */
static char *lines_without_times(const char *run) {
    char path[FILE_PATH_MAX], *text;
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    assert_int_equal(file_read(path, 1 << 20, &text, NULL), OK);
    for (char *at; (at = strstr(text, "\"time\": "));)
        memmove(at, strchr(at, ',') + 2, strlen(strchr(at, ',') + 2) + 1);
    return text;
}

static uint64_t little(const unsigned char *p, int bytes) {
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) v = v << 8 | p[i];
    return v;
}

/* Walks the records, checks both sums of each, and returns how many there are; *last: the last one's data. */
static int count_events(const char *run, unsigned char *last, size_t *last_length) {
    char path[FILE_PATH_MAX], *text;
    size_t n, at = 0;
    int count = 0;
    snprintf(path, sizeof path, "%s/events.out.tfevents.0.streamavatar", run);
    assert_int_equal(file_read(path, 1 << 20, &text, &n), OK);
    const unsigned char *p = (const unsigned char *)text;
    for (; at < n; count++) {
        assert_true(at + 12 <= n);
        size_t length = little(p + at, 8);
        assert_int_equal(little(p + at + 8, 4), event_masked_crc(p + at, 8));
        assert_true(at + 16 + length <= n);
        assert_int_equal(little(p + at + 12 + length, 4), event_masked_crc(p + at + 12, length));
        memcpy(last, p + at + 12, length);
        *last_length = length;
        at += 16 + length;
    }
    free(text);
    return count;
}

static void event_bytes(void **state) {
    (void)state;
    /* RFC 3720 B.4: CRC-32C of 32 zero bytes, of 32 times ff, and of "123456789" */
    unsigned char zeros[32] = {0}, ones[32];
    memset(ones, 255, 32);
    assert_int_equal(event_crc(zeros, 32), 0x8a9136aa);
    assert_int_equal(event_crc(ones, 32), 0x62a8ab43);
    assert_int_equal(event_crc("123456789", 9), 0xe3069283);
    char *bytes;
    size_t n;
    FILE *file = open_memstream(&bytes, &n);
    const struct metric list[] = {{"a/b", 0.5}, {"x", NAN}};
    event_write(file, 2.0, 300, list, 2);
    fclose(file);
    /* 1: double 2.0; 2: varint 300; 5: { 1: { 1: "a/b", 2: 0.5f } } */
    static const unsigned char expected[] = {0x09, 0,    0,  0,    0, 0,   0,   0,   0x40, 0x10, 0xac, 0x02, 0x2a,
                                             0x0c, 0x0a, 10, 0x0a, 3, 'a', '/', 'b', 0x15, 0,    0,    0,    0x3f};
    assert_int_equal(n, 16 + sizeof expected);
    assert_memory_equal(bytes + 12, expected, sizeof expected);
    free(bytes);
}

static void resumes_metrics(void **state) {
    (void)state;
    struct metrics *m;
    char whole[FILE_PATH_MAX], torn[FILE_PATH_MAX], path[FILE_PATH_MAX + 16];
    unsigned char event_a[4096], event_b[4096];
    size_t length_a, length_b;
    named(whole, "whole");
    named(torn, "torn");
    assert_int_equal(file_make_folders(whole), OK);
    assert_int_equal(file_make_folders(torn), OK);
    assert_int_equal(metrics_open(&m, whole, -1), OK);
    write_steps(m, 0, 9);
    metrics_close(m);
    assert_int_equal(metrics_open(&m, torn, -1), OK);
    write_steps(m, 0, 7);
    assert_int_equal(metrics_sync(m), OK);
    metrics_close(m);
    snprintf(path, sizeof path, "%s/metrics.jsonl", torn); /* killed in the midst of a line */
    FILE *file = fopen(path, "a");
    fputs("{\"step\": 8, \"time\": 17", file);
    fclose(file);
    assert_int_equal(metrics_open(&m, torn, 5), OK); /* the state is that of step 5 */
    write_steps(m, 6, 9);
    metrics_close(m);
    char *a = lines_without_times(whole), *b = lines_without_times(torn);
    assert_string_equal(a, b);
    assert_non_null(
        strstr(a, "{\"step\": 3, \"loss\": 0.16666666666666666, \"grad_norm/all\": null, \"skipped\": 0}\n"));
    free(a);
    free(b);
    assert_int_equal(count_events(whole, event_a, &length_a), 11); /* version and ten steps */
    assert_int_equal(count_events(torn, event_b, &length_b), 11);
    assert_int_equal(length_a, length_b);
    assert_memory_equal(event_a + 9, event_b + 9, length_a - 9); /* the time comes first */
    /* a torn line alone, without a later one; then a fresh start */
    file = fopen(path, "a");
    fputs("{\"step\": 9, \"ti", file);
    fclose(file);
    assert_int_equal(metrics_open(&m, torn, 100), OK);
    metrics_close(m);
    b = lines_without_times(torn);
    assert_non_null(strstr(b, "\"step\": 9, \"loss\""));
    assert_int_equal(b[strlen(b) - 1], '\n');
    free(b);
    assert_int_equal(metrics_open(&m, torn, -1), OK);
    metrics_close(m);
    b = lines_without_times(torn);
    assert_string_equal(b, "");
    free(b);
}

static void refuses_wrong_metrics(void **state) {
    (void)state;
    struct metrics *m;
    const struct metric wrong[] = {{"a b", 1}}, empty[] = {{"", 1}}, good[] = {{"a", 1}};
    assert_int_equal(metrics_open(&m, folder, -1), OK);
    assert_int_equal(metrics_write(m, 5, good, 1), OK);
    assert_int_equal(metrics_write(m, 4, good, 1), ERR_USAGE);
    assert_int_equal(metrics_write(m, 6, wrong, 1), ERR_USAGE);
    assert_int_equal(metrics_write(m, 6, empty, 1), ERR_USAGE);
    metrics_close(m);
    assert_int_equal(metrics_open(&m, "/nonexistent", -1), ERR_INPUT);
}

static void one_process_a_folder(void **state) {
    (void)state;
    struct run_folder run, second;
    char path[FILE_PATH_MAX], expected[FILE_PATH_MAX + 64];
    named(path, "run/of/mine");
    assert_int_equal(run_folder_open(&run, path), OK);
    assert_int_equal(run_folder_open(&second, path), ERR_INPUT);
    snprintf(expected, sizeof expected, "%s: is in use by process %ld on ", path, (long)getpid());
    assert_int_equal(strncmp(error_text(), expected, strlen(expected)), 0);
    run_folder_close(&run);
    /* a killed process leaves no lock behind */
    int ready[2], status;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        char ok = run_folder_open(&run, path) == OK;
        if (write(ready[1], &ok, 1) != 1) _exit(1);
        for (;;) pause();
    }
    char ok;
    assert_int_equal(read(ready[0], &ok, 1), 1);
    assert_int_equal(ok, 1);
    assert_int_equal(run_folder_open(&second, path), ERR_INPUT);
    snprintf(expected, sizeof expected, "%s: is in use by process %ld on ", path, (long)child);
    assert_int_equal(strncmp(error_text(), expected, strlen(expected)), 0);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(run_folder_open(&run, path), OK);
    run_folder_close(&run);
}

static void keeps_config_log_and_paths(void **state) {
    (void)state;
    struct run_folder run;
    struct settings settings = {7};
    char path[FILE_PATH_MAX], name[FILE_PATH_MAX + 64], *text;
    named(path, "run2/");
    assert_int_equal(run_folder_open(&run, path), OK);
    assert_int_equal(run_folder_begin(&run, &settings, fields, 1, -1), OK);
    log_line("hello %d", 5);
    assert_int_equal(run_folder_sample_path(&run, 7, "grid.png", name, sizeof name), OK);
    assert_string_equal(name + strlen(folder), "/run2/samples/step_00000007_grid.png");
    run_folder_close(&run);
    named(name, "run2/config.yaml");
    assert_int_equal(file_read(name, 1000, &text, NULL), OK);
    assert_string_equal(text, "steps: 7\n");
    free(text);
    named(name, "run2/log.txt");
    assert_int_equal(file_read(name, 1000, &text, NULL), OK);
    assert_non_null(strstr(text, " hello 5\n"));
    free(text);
    assert_int_equal(run_folder_open(&run, ""), ERR_USAGE);
    assert_int_equal(run_folder_open(&run, "/dev/null/run"), ERR_INPUT);
}

static void files_are_old_or_new(void **state) {
    (void)state;
    char path[FILE_PATH_MAX], temporary[FILE_PATH_MAX + 16], *text;
    int status;
    named(path, "file");
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_equal(file_write(path, "old", 3), OK);
    pid_t child = fork(); /* a full disk */
    if (!child) {
        struct rlimit limit = {10000, 10000};
        char big[20000] = {0};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(file_write(path, big, sizeof big) == ERR_INPUT && strstr(error_text(), "File too large") ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_false(file_exists(temporary));
    child = fork(); /* dies while writing */
    if (!child) {
        struct file_writer w;
        if (file_create(&w, path)) _exit(1);
        fputs("new", w.file);
        fflush(w.file);
        _exit(0);
    }
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(file_read(path, 10, &text, NULL), OK);
    assert_string_equal(text, "old");
    free(text);
    struct file_writer one, two; /* what the dead left is taken over; a living writer is not disturbed */
    assert_int_equal(file_create(&one, path), OK);
    assert_int_equal(file_create(&two, path), ERR_INPUT);
    fputs("newer", one.file);
    assert_int_equal(file_commit(&one), OK);
    assert_int_equal(file_read(path, 10, &text, NULL), OK);
    assert_string_equal(text, "newer");
    free(text);
    assert_int_equal(file_read(path, 4, &text, NULL), ERR_INPUT);
    assert_int_equal(file_read(folder, 4, &text, NULL), ERR_INPUT);
    uint64_t length;
    uint32_t crc;
    assert_int_equal(file_write(path, "123456789", 9), OK);
    assert_int_equal(file_checksum(path, &length, &crc), OK);
    assert_true(length == 9 && crc == 0xcbf43926);
    assert_int_equal(file_checksum("/nonexistent", &length, &crc), ERR_INPUT);
}

static int set_up(void **state) {
    (void)state;
    return folder_make(folder, "test_run_folder");
}
static int tear_down(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_bytes),
        cmocka_unit_test(resumes_metrics),
        cmocka_unit_test(refuses_wrong_metrics),
        cmocka_unit_test(one_process_a_folder),
        cmocka_unit_test(keeps_config_log_and_paths),
        cmocka_unit_test(files_are_old_or_new),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
