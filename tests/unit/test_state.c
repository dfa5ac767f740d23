/* test_state.c: training states come back bit for bit; a kill at any moment, a full disk, truncation and flipped bits
   leave the old state or the new one whole, and the newest whole one is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/progress.h"
#include "checkpoints/state.h"
#include "tests/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[FOLDER_MAX], path[FILE_PATH_MAX];
static struct param_table table;
enum { VALUES_MAX = 4096 };

static void fill(float *values, int seed) {
    for (size_t i = 0; i < table.total; i++) values[i] = (float)(i * 7 + (size_t)seed) * 0.125f;
}

/* One of `writers`: its share of every slice, and of the replay's rows. */
static int write_part(const char *file, const float *values, int writer, int writers) {
    struct state_part *p;
    int code = state_part_open(&p, file);
    if (code) return code;
    for (int s = 0; s < table.slices && !code; s++) {
        const float *slice = values + table.slice_offset[s];
        size_t size = table.slice_offset[s + 1] - table.slice_offset[s];
        size_t at = size * (size_t)writer / (size_t)writers, end = size * (size_t)(writer + 1) / (size_t)writers;
        code = state_part_put_slice(p, "student/master", &table, s, at, end - at, slice + at);
    }
    size_t first = 6 * (size_t)writer / (size_t)writers, end = 6 * (size_t)(writer + 1) / (size_t)writers;
    if (!code) code = state_part_put(p, "replay", first, end - first, values + first);
    if (!code) return state_part_close(p);
    state_part_abandon(p);
    return code;
}

static int save_by(const char *file, int seed, int writers) {
    struct state_writer *w;
    float values[VALUES_MAX];
    const long shape[] = {3, 2};
    fill(values, seed);
    int code = state_create(&w, file);
    if (code) return code;
    code = state_room_params(w, "student/master", &table);
    if (!code) code = state_room_floats(w, "replay", 2, shape);
    if (!code) code = state_put_floats(w, "norm", values + 1, 0, NULL);
    if (!code) code = state_put_integer(w, "step", (int64_t)seed << 33);
    if (!code) code = state_put_text(w, "config", "steps: 3\nname: \"\xc3\xa9\"\n");
    if (!code) code = state_lay_out(w);
    for (int i = writers - 1; i >= 0 && !code; i--) code = write_part(file, values, i, writers);
    if (!code) return state_finish(w);
    char text[512];
    snprintf(text, sizeof text, "%s", error_text());
    state_abandon(w);
    return error_set((enum error_code)code, "%s", text);
}

static int save(const char *file, int seed) { return save_by(file, seed, 1); }

/* The state holds exactly what save(seed) put there. */
static void expect_state(const char *file, int seed) {
    struct state_reader *r;
    float values[VALUES_MAX], expected[VALUES_MAX], replay[6];
    int64_t step;
    char *config;
    if (state_open(&r, file)) fail_msg("%s", error_text());
    fill(expected, seed);
    assert_int_equal(state_get_params(r, "student/master", &table, values), OK);
    for (int i = 0; i < table.count; i++) {
        size_t at = param_position(&table, &table.list[i]);
        assert_memory_equal(values + at, expected + at, table.list[i].count * sizeof *values);
    }
    assert_int_equal(state_get_floats(r, "replay", replay, 6), OK);
    assert_memory_equal(replay, expected, sizeof replay);
    assert_int_equal(state_get_integer(r, "step", &step), OK);
    assert_true(step == (int64_t)seed << 33);
    assert_int_equal(state_get_text(r, "config", &config), OK);
    assert_string_equal(config, "steps: 3\nname: \"\xc3\xa9\"\n");
    free(config);
    state_close(r);
}

static int seed_of(const char *file) {
    struct state_reader *r;
    int64_t step = -1;
    if (state_open(&r, file)) return -1;
    assert_int_equal(state_get_integer(r, "step", &step), OK);
    state_close(r);
    return (int)(step >> 33);
}

static int files_in(const char *where) {
    int n = 0;
    DIR *dir = opendir(where);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void comes_back(void **state) {
    (void)state;
    assert_int_equal(save(path, 5), OK);
    expect_state(path, 5);
    assert_int_equal(save(path, 6), OK);
    expect_state(path, 6);
    assert_int_equal(files_in(folder), 2); /* file and sum, nothing temporary */
    /* the same state gives the same bytes, whoever writes them */
    char *first, *second;
    size_t n, m;
    assert_int_equal(file_read(path, 1 << 24, &first, &n), OK);
    for (int writers = 1; writers <= 5; writers++) {
        assert_int_equal(save_by(path, 6, writers), OK);
        assert_int_equal(file_read(path, 1 << 24, &second, &m), OK);
        assert_int_equal(n, m);
        assert_memory_equal(first, second, n);
        free(second);
    }
    free(first);
}

/* A part has a place only while the file is being made, and only where there is room for it. */
static void parts_stay_in_their_places(void **state) {
    (void)state;
    struct state_writer *w;
    struct state_part *p;
    const float values[7] = {0};
    const long shape[] = {3, 2};
    assert_int_equal(save(path, 3), OK);
    assert_int_equal(state_part_open(&p, path), ERR_INPUT);
    assert_int_equal(state_create(&w, path), OK);
    assert_int_equal(state_room_floats(w, "replay", 2, shape), OK);
    assert_int_equal(state_put_integer(w, "step", 1), OK);
    assert_int_equal(state_lay_out(w), OK);
    assert_int_equal(state_part_open(&p, path), OK);
    assert_int_equal(state_part_put(p, "replay", 0, 7, values), ERR_INPUT);
    assert_int_equal(state_part_put(p, "replay", 6, 1, values), ERR_INPUT);
    assert_int_equal(state_part_put(p, "replay", (size_t)-1, 2, values), ERR_INPUT);
    assert_int_equal(state_part_put(p, "step", 0, 1, values), ERR_INPUT);
    assert_int_equal(state_part_put(p, "none", 0, 1, values), ERR_INPUT);
    assert_int_equal(state_part_put(p, "replay", 5, 1, values), OK);
    assert_int_equal(state_part_close(p), OK);
    state_abandon(w);
    expect_state(path, 3);
    assert_int_equal(files_in(folder), 2);
}

static void names_what_does_not_fit(void **state) {
    (void)state;
    struct state_reader *r;
    struct param_table other;
    float values[VALUES_MAX];
    int64_t step;
    char *text;
    assert_int_equal(save(path, 1), OK);
    assert_int_equal(state_open(&r, path), OK);
    param_table_open(&other);
    param_add(&other, 0, "a.weight", INIT_ZERO, 0, 0, (long[]){7, 5, 0});
    param_add(&other, 0, "c.weight", INIT_ZERO, 0, 0, (long[]){2, 0});
    param_table_close(&other);
    assert_int_equal(state_get_params(r, "student/master", &other, values), ERR_INPUT);
    assert_non_null(strstr(error_text(), "a.weight is [5, 7], expected [7, 5]"));
    assert_non_null(strstr(error_text(), "missing c.weight"));
    assert_non_null(strstr(error_text(), "surplus b.bias"));
    param_table_free(&other);
    assert_int_equal(state_has(r, "student/master/b.bias"), 1);
    assert_int_equal(state_has(r, "teacher/master/b.bias"), 0);
    assert_int_equal(state_get_params(r, "teacher/master", &table, values), ERR_INPUT);
    assert_int_equal(state_get_floats(r, "replay", values, 5), ERR_INPUT);
    assert_int_equal(state_get_floats(r, "step", values, 1), ERR_INPUT);
    assert_int_equal(state_get_floats(r, "student", values, 1), ERR_INPUT);
    assert_int_equal(state_get_integer(r, "replay", &step), ERR_INPUT);
    assert_int_equal(state_get_text(r, "step", &text), ERR_INPUT);
    assert_int_equal(state_get_integer(r, "nothing", &step), ERR_INPUT);
    state_close(r);
}

/* Every truncation (in strides) and a flip in every stretch of the file is found before the HDF5 library sees it. */
static void finds_damage(void **state) {
    (void)state;
    struct state_reader *r;
    char *bytes;
    size_t n;
    assert_int_equal(save(path, 2), OK);
    assert_int_equal(file_read(path, 1 << 24, &bytes, &n), OK);
    for (size_t cut = 0; cut < n; cut += 97) {
        assert_int_equal(truncate(path, (off_t)(n - 1 - cut)), 0);
        assert_int_equal(state_open(&r, path), ERR_INPUT);
    }
    for (size_t at = 0; at < n; at += 61) {
        bytes[at] ^= (char)(1 << (at % 8));
        FILE *file = fopen(path, "wb");
        fwrite(bytes, 1, n, file);
        fclose(file);
        assert_int_equal(state_open(&r, path), ERR_INPUT);
        assert_non_null(strstr(error_text(), "damaged"));
        bytes[at] ^= (char)(1 << (at % 8));
    }
    free(bytes);
    assert_int_equal(save(path, 2), OK);
    char sum[FILE_PATH_MAX + 8];
    snprintf(sum, sizeof sum, "%s.sum", path);
    assert_int_equal(truncate(sum, 9), 0);
    assert_int_equal(state_open(&r, path), ERR_INPUT);
    unlink(sum);
    assert_int_equal(state_open(&r, path), ERR_INPUT);
    assert_non_null(strstr(error_text(), "missing"));
    assert_int_equal(state_open(&r, "/nonexistent/x.h5"), ERR_INPUT);
    /* whole, but no state */
    assert_int_equal(file_write(path, "hello", 5), OK);
    assert_int_equal(file_write(sum, "length 5\ncrc32 3610a686\n", 24), OK);
    assert_int_equal(state_open(&r, path), ERR_INPUT);
    assert_null(strchr(error_text(), '\n'));
}

/* Kills a writer at sixty moments spread over the time that two writes take; the state is a whole one each time, and
   never older than the last that was finished. */
static void survives_kills(void **state) {
    (void)state;
    enum { KILLS = 60 };
    double start = clock_seconds();
    for (int i = 0; i < 5; i++) assert_int_equal(save(path, 10), OK);
    double one = (clock_seconds() - start) / 5;
    for (int i = 0, seed = 10; i < KILLS; i++) {
        int done[2], status, finished;
        assert_int_equal(pipe(done), 0);
        pid_t child = fork();
        for (int s = seed + 1; !child; s++)
            if (save(path, s) || write(done[1], &s, sizeof s) != sizeof s) _exit(1);
        assert_int_equal(read(done[0], &finished, sizeof finished), sizeof finished);
        usleep((useconds_t)(2e6 * one * i / KILLS));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        close(done[1]);
        while (read(done[0], &seed, sizeof seed) == sizeof seed) finished = seed;
        close(done[0]);
        seed = seed_of(path);
        if (seed < finished) fail_msg("kill %d: state %d after %d was finished: %s", i, seed, finished, error_text());
        expect_state(path, seed);
    }
}

/* The two renames, one by one, with a writer killed between them twice in a row. */
static void survives_every_rename(void **state) {
    (void)state;
    char sum[FILE_PATH_MAX + 8], fresh[FILE_PATH_MAX + 16], old_sum[64] = "";
    snprintf(sum, sizeof sum, "%s.sum", path);
    snprintf(fresh, sizeof fresh, "%s.sum.new", path);
    assert_int_equal(save(path, 1), OK);
    char *text;
    assert_int_equal(file_read(sum, 60, &text, NULL), OK);
    strcpy(old_sum, text);
    free(text);
    assert_int_equal(save(path, 2), OK);
    assert_int_equal(rename(sum, fresh), 0); /* killed before the second rename: FILE is new, .sum still old */
    assert_int_equal(file_write(sum, old_sum, strlen(old_sum)), OK);
    expect_state(path, 2);
    /* the next writer, stopped by a full disk before its first rename, must not take the matching sum away */
    pid_t child = fork();
    if (!child) {
        struct rlimit limit = {512, 512};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        _exit(save(path, 3) == ERR_INPUT ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_state(path, 2);
    assert_int_equal(save(path, 3), OK);
    expect_state(path, 3);
    assert_false(file_exists(fresh));
}

/* A file that may not grow past any of many sizes stands for a full disk: one error line, the old state whole, nothing
   left behind, and the process ends well (the library must not fall over what it could not write). */
static void survives_a_full_disk(void **state) {
    (void)state;
    struct stat info;
    assert_int_equal(save(path, 20), OK);
    assert_int_equal(stat(path, &info), 0);
    for (off_t size = 0; size < info.st_size; size += 211) {
        pid_t child = fork();
        if (!child) {
            struct rlimit limit = {(rlim_t)size, (rlim_t)size};
            signal(SIGXFSZ, SIG_IGN);
            setrlimit(RLIMIT_FSIZE, &limit);
            int code = save(path, 21);
            exit(code == ERR_INPUT && strstr(error_text(), path) && !strchr(error_text(), '\n') ? 0 : 1);
        }
        int status;
        waitpid(child, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("a limit of %ld bytes: status %x", (long)size, status);
        expect_state(path, 20);
        assert_int_equal(files_in(folder), 2);
    }
}

static void finds_the_newest_whole_one(void **state) {
    (void)state;
    char run[FOLDER_MAX + 16], name[FILE_PATH_MAX], found[FILE_PATH_MAX];
    snprintf(run, sizeof run, "%s/run", folder);
    assert_int_equal(state_newest(run, found, sizeof found, NULL), OK);
    assert_string_equal(found, "");
    snprintf(name, sizeof name, "%s/checkpoints", run);
    assert_int_equal(file_make_folders(name), OK);
    for (int step = 1; step <= 4; step++) {
        snprintf(name, sizeof name, "%s/checkpoints/step_%08d.h5", run, 9 + step);
        assert_int_equal(save(name, step), OK);
    }
    assert_int_equal(state_newest(run, found, sizeof found, NULL), OK);
    assert_int_equal(seed_of(found), 4);
    assert_int_equal(truncate(name, 1000), 0); /* the newest is damaged, the one before has lost its sum */
    snprintf(name, sizeof name, "%s/checkpoints/step_00000012.h5.sum", run);
    unlink(name);
    assert_int_equal(state_newest(run, found, sizeof found, NULL), OK);
    assert_int_equal(seed_of(found), 2);
    /* one goes on from there; what is kept is what was written last */
    snprintf(name, sizeof name, "%s/checkpoints/step_00000012.h5", run);
    assert_int_equal(save(name, 7), OK);
    snprintf(name, sizeof name, "%s/checkpoints/step_00000099.h5.tmp", run);
    assert_int_equal(file_write(name, "x", 1), OK);
    assert_int_equal(state_prune(run, 1, 0), OK);
    assert_int_equal(state_newest(run, found, sizeof found, NULL), OK);
    assert_int_equal(seed_of(found), 7);
    snprintf(name, sizeof name, "%s/checkpoints", run);
    assert_int_equal(files_in(name), 2);
}

/* The best state is kept beside the newest until another one is the best; it may be damaged or gone, and is said so. */
static void the_best_is_kept(void **state) {
    (void)state;
    char run[FOLDER_MAX + 16], name[FILE_PATH_MAX], found[FILE_PATH_MAX];
    snprintf(run, sizeof run, "%s/best_run", folder);
    snprintf(name, sizeof name, "%s/checkpoints", run);
    assert_int_equal(state_best(run, found, sizeof found), OK);
    assert_string_equal(found, "");
    assert_int_equal(file_make_folders(name), OK);
    for (int step = 1; step <= 4; step++) {
        snprintf(name, sizeof name, "%s/checkpoints/step_%08d.h5", run, step);
        assert_int_equal(save(name, step), OK);
        if (step <= 2) assert_int_equal(state_mark_best(run, step), OK);
        assert_int_equal(state_prune(run, 1, 0), OK);
        assert_int_equal(state_best(run, found, sizeof found), OK);
        assert_int_equal(seed_of(found), step < 2 ? step : 2);
    }
    snprintf(name, sizeof name, "%s/checkpoints", run);
    assert_int_equal(files_in(name), 5); /* two states, their sums, the link */
    assert_int_equal(truncate(found, 1000), 0);
    assert_int_equal(state_best(run, found, sizeof found), ERR_INPUT);
    assert_non_null(strstr(error_text(), "best state"));
}

/* What was found whole is not read again while it looks the same: damage that leaves length and time shows that. */
static void reads_through_once(void **state) {
    (void)state;
    struct file_identity seen = {0};
    struct stat info;
    assert_int_equal(save(path, 5), OK);
    assert_int_equal(state_verify(path, &seen), OK);
    assert_int_equal(stat(path, &info), 0);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "?", 1, 3000) == 1);
    const struct timespec times[2] = {info.st_atim, info.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    assert_int_equal(state_verify(path, &seen), OK);
    assert_int_equal(state_verify(path, NULL), ERR_INPUT);
    assert_int_equal(state_verify(path, &(struct file_identity){0}), ERR_INPUT);
    const struct timespec later[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    assert_int_equal(utimensat(AT_FDCWD, path, later, 0), 0);
    assert_int_equal(state_verify(path, &seen), ERR_INPUT);
    assert_int_equal(save(path, 6), OK);
    assert_int_equal(state_verify(path, &seen), OK);
}

static int set_up(void **state) {
    (void)state;
    if (folder_make(folder, "test_state")) return 1;
    snprintf(path, sizeof path, "%s/a.h5", folder);
    param_table_open(&table);
    param_add(&table, 0, "a.weight", INIT_ZERO, 0, 0, (long[]){5, 7, 0});
    param_add(&table, 0, "b.bias", INIT_ZERO, 0, 0, (long[]){3, 0});
    param_add(&table, 1, "blocks.0.modulation", INIT_ZERO, 0, 0, (long[]){1, 6, 33, 0});
    param_table_close(&table);
    return table.total > VALUES_MAX;
}
static int tear_down(void **state) {
    (void)state;
    param_table_free(&table);
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(parts_stay_in_their_places),
        cmocka_unit_test(names_what_does_not_fit),
        cmocka_unit_test(survives_a_full_disk),
        cmocka_unit_test(finds_damage),
        cmocka_unit_test(survives_kills),
        cmocka_unit_test(survives_every_rename),
        cmocka_unit_test(finds_the_newest_whole_one),
        cmocka_unit_test(the_best_is_kept),
        cmocka_unit_test(reads_through_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
