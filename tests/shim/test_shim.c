/* test_shim.c: what the shim is strict about, because a device is and a host is not: copies onto part of themselves,
   waits for the whole device while a stream is recorded, shared memory that not every device has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/device.h"
#include "kernels/kernels.h"

enum { N = 64 };

static int start(void **state) { return (void)state, device_init(1); }

/* ---- copies ---- */

static void copies_apart(char *x) {
    mem_copy(x + N / 2, x, N / 2);
    mem_copy_rows(x + 4, 8, x, 8, 4, N / 8);          /* other columns of the same rows */
    mem_copy_rows(x + N / 2, 8, x, 8, 8, N / 16);     /* other rows */
    mem_copy_rows(x + N / 2, 8, x + 1, 4, 3, N / 16); /* another pitch */
}
static void copy_moved(char *x) { mem_copy(x + 1, x, N - 1); }
static void rows_moved(char *x) { mem_copy_rows(x + 8, 8, x, 8, 8, N / 8 - 1); } /* each onto the next */
static void rows_spread(char *x) { mem_copy_rows(x, 8, x + 4, 4, 4, N / 8); }    /* the second onto the third's place */

/* Does it in a process of its own; returns whether the shim ended that. */
static int ended(void (*work)(char *x)) {
    int status;
    pid_t child = fork();
    if (!child) {
        char *x = device_alloc(N);
        close(2);
        if (!x) _exit(1);
        mem_zero(x, N);
        work(x);
        _exit(device_sync());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || !WEXITSTATUS(status));
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void copies_onto_themselves_are_seen(void **state) {
    (void)state;
    assert_false(ended(copies_apart));
    assert_true(ended(copy_moved));
    assert_true(ended(rows_moved));
    assert_true(ended(rows_spread));
}

static void pitches_beyond_the_driver_fail(void **state) {
    (void)state;
    char *x = device_alloc(N);
    mem_copy_rows(x, (size_t)1 << 31, x, 4, 4, 2);
    assert_int_not_equal(device_sync(), 0);
    device_free(x);
}

/* ---- recordings ---- */

static void *wait_for_all(void *code) {
    device_thread();
    *(int *)code = device_sync(); /* on the default stream: for all streams */
    return NULL;
}
static void *wait_for_own(void *code) {
    struct device_stream *own = device_stream_create();
    device_stream_use(own);
    void *x = device_alloc(N); /* memory may be had and given back meanwhile */
    if (x) mem_zero(x, N);
    *(int *)code = x ? device_sync() : -1;
    device_free(x);
    device_stream_destroy(own);
    return NULL;
}

/* Runs `other` in a thread while this one records; its code, and whether there is a recording. */
static int beside_recording(void *(*other)(void *), int *code) {
    pthread_t thread;
    real *x = device_alloc(N * sizeof *x);
    struct device_stream *stream = device_stream_create();
    device_stream_use(stream);
    assert_true(device_record_begin());
    real_fill(x, 1, N);
    assert_int_equal(pthread_create(&thread, NULL, other, code), 0);
    pthread_join(thread, NULL);
    struct device_graph *graph = device_record_end();
    device_graph_destroy(graph);
    assert_int_equal(device_sync(), 0);
    device_stream_destroy(stream);
    device_free(x);
    return graph != NULL;
}

static void nobody_waits_for_all_beside_a_recording(void **state) {
    int code;
    (void)state;
    assert_true(beside_recording(wait_for_own, &code) && !code);
    assert_false(beside_recording(wait_for_all, &code));
    assert_int_not_equal(code, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(copies_onto_themselves_are_seen),
                                       cmocka_unit_test(pitches_beyond_the_driver_fail),
                                       cmocka_unit_test(nobody_waits_for_all_beside_a_recording)};
    return cmocka_run_group_tests(tests, start, NULL);
}
