/* test_device.c: device memory and copies, the error that sticks, streams, flush-to-zero, arenas, scratch, and in
   GUARD=1 builds that the host cannot reach device memory. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

static void threads_are_as_asked(void **state) {
    (void)state;
    assert_int_equal(device_init(3), OK);
    assert_int_equal(device_threads(), 3);
    assert_int_equal(device_init(0), OK);
    assert_true(device_threads() >= 1);
    assert_int_equal(device_init(-1), ERR_DEVICE);
    assert_int_equal(device_init(2), OK);
    assert_true(strlen(device_name()) > 0);
    assert_true(device_exists(0) && !device_exists(-1));
}

static void memory_is_aligned_and_poisoned(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
    device_poison(1);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        unsigned char *p = device_alloc(sizes[k]), *host = malloc(sizes[k] + 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        mem_download(host, p, sizes[k]);
        for (size_t i = 0; i < sizes[k]; i++) assert_int_equal(host[i], 0xff);
        free(host);
        device_free(p);
    }
    device_poison(0);
    device_free(NULL);
    assert_null(device_alloc(SIZE_MAX / 2)); /* nothing wraps */
    assert_null(device_alloc(SIZE_MAX));
    assert_null(device_alloc((size_t)1 << 50)); /* more than any machine has: refused, not promised */
}

static void copies(void **state) {
    (void)state;
    char from[24] = "0123456789abcdefghijklm", to[24];
    char *a = device_alloc(24), *b = device_alloc(24);
    mem_upload(a, from, 24);
    mem_copy(b, a, 24);
    mem_zero(b + 2, 3);
    mem_download(to, b, 24);
    assert_memory_equal(to,
                        "01\0\0\0"
                        "56789",
                        10);
    mem_zero(b, 24);
    mem_copy_rows(b + 1, 5, a, 7, 3, 3); /* rows of 3: from 0, 7, 14 to 1, 6, 11 */
    mem_download(to, b, 24);
    assert_memory_equal(to,
                        "\0"
                        "012\0\0"
                        "789\0\0"
                        "efg\0\0",
                        16);
    mem_upload(a, NULL, 0), mem_copy(b, a, 0), mem_zero(a, 0); /* nothing of nothing */
    device_free(a), device_free(b);
}

/* Host memory reads the same pinned or not; what was not pinned, or no more, may be unpinned. */
static void pinned_memory(void **state) {
    (void)state;
    enum { N = 1 << 16 };
    char *host = malloc(N), *beside = malloc(N), *device = device_alloc(N);
    assert_true(host && beside && device);
    int pinned = device_pin(host, N);
    assert_int_equal(pinned, device_overlaps()); /* a device beside the host has use for it */
    assert_int_equal(device_pin(host, N), 0);
    for (int i = 0; i < N; i++) host[i] = (char)(i * 7);
    mem_upload(device, host, N);
    memset(host, 0, N);
    mem_download(host, device, N);
    mem_download(beside, device, N);
    for (int i = 0; i < N; i++) assert_int_equal(host[i], (char)(i * 7));
    assert_memory_equal(host, beside, N);
    device_unpin(host);
    device_unpin(host);
    device_unpin(beside);
    device_unpin(NULL);
    assert_int_equal(device_sync(), OK);
    free(host);
    free(beside);
    device_free(device);
}

static void failures_stick(void **state) {
    (void)state;
    assert_int_equal(device_sync(), OK);
    long before = device_failures();
    device_fail("first %d", 1);
    device_fail("second");
    assert_int_equal(device_sync(), ERR_DEVICE);
    assert_string_equal(error_text(), "first 1");
    assert_int_equal(device_sync(), OK);
    assert_int_equal(device_failures(), before + 2);
}

static void streams_and_events(void **state) {
    (void)state;
    struct device_stream *stream = device_stream_create();
    struct device_event *event = device_event_create();
    assert_true(stream && event);
    real one[4] = {1, 1, 1, 1}, host[4], *x = device_alloc(sizeof one);
    device_stream_use(stream);
    mem_upload(x, one, sizeof one);
    real_axpby(x, 1, x, 1, 4);
    device_event_record(event);
    device_stream_use(NULL);
    device_event_wait(event);
    real_axpby(x, 1, x, 1, 4);
    mem_download(host, x, sizeof host);
    assert_true(host[0] == 4 && host[3] == 4);
    device_event_destroy(event);
    device_stream_destroy(stream);
    device_free(x);
}

/* A thread copies on a stream of its own while kernels run on other memory. */
struct beside {
    struct device_stream *stream;
    const real *device;
    real *host;
    size_t bytes;
};
static void *copy_beside(void *argument) {
    const struct beside *b = argument;
    device_stream_use(b->stream);
    mem_download(b->host, b->device, b->bytes);
    return NULL;
}
static void copies_beside_kernels(void **state) {
    (void)state;
    enum { COUNT = 3 << 20 };
    real *x = device_alloc(sizeof(real) * COUNT), *y = device_alloc(sizeof(real) * COUNT), sum[1];
    struct beside b = {device_stream_create(), x, malloc(sizeof(real) * COUNT), sizeof(real) * COUNT};
    pthread_t thread;
    assert_true(x && y && b.stream && b.host);
    real_fill(x, 3, COUNT);
    real_fill(y, 1, COUNT);
    assert_int_equal(device_sync(), OK);
    assert_int_equal(pthread_create(&thread, NULL, copy_beside, &b), 0);
    for (int i = 0; i < 10; i++) real_axpby(y, 1, x, 1, COUNT);
    pthread_join(thread, NULL);
    for (long i = 0; i < COUNT; i++) assert_true(b.host[i] == 3);
    mem_download(sum, y + COUNT - 1, sizeof sum);
    assert_true(sum[0] == 31);
    assert_int_equal(device_sync(), OK);
    device_stream_destroy(b.stream);
    free(b.host);
    device_free(x);
    device_free(y);
}

/* The square is a denormal number that must become zero, in each thread: many elements. */
static void denormals_are_flushed(void **state) {
    (void)state;
    enum { COUNT = 100000 };
    double tiny = sizeof(real) == 4 ? 1e-20 : 1e-160;
    real *x = device_alloc(sizeof(real) * COUNT), *host = malloc(sizeof(real) * COUNT);
    real_fill(x, (real)tiny, COUNT);
    real_axpby(x, (real)tiny, x, 0, COUNT);
    mem_download(host, x, sizeof(real) * COUNT);
    for (long i = 0; i < COUNT; i++) assert_true(host[i] == 0);
    free(host);
    device_free(x);
}

struct layout {
    float *a, *b;
    char *c;
};
static struct layout lay_out(struct arena *arena, int count) {
    struct layout l;
    l.a = ARENA_TAKE(arena, "a", float, count);
    l.b = ARENA_TAKE(arena, "b", float, 7);
    l.c = ARENA_TAKE(arena, "c", char, 1);
    return l;
}

static void arena_plans_what_it_gives(void **state) {
    (void)state;
    struct arena first, second;
    struct layout plan, one, two;
    arena_begin(&first, "first");
    arena_begin(&second, "second");
    plan = lay_out(&first, 33);
    assert_true(!plan.a && !plan.b && !plan.c);
    lay_out(&second, 33);
    assert_int_equal(first.used, 192 + 64 + 64);
    assert_int_equal(arena_commit(&first), OK);
    assert_int_equal(arena_commit(&second), OK);
    one = lay_out(&first, 33);
    two = lay_out(&second, 33);
    assert_ptr_equal(one.a, first.base);
    assert_int_equal((char *)one.b - first.base, 192);
    assert_int_equal((char *)one.b - (char *)one.a, (char *)two.b - (char *)two.a);
    assert_int_equal(one.c - (char *)one.a, two.c - (char *)two.a);
    assert_int_equal((uintptr_t)one.b % 64, 0);
    assert_int_equal(first.used, first.size);
    assert_int_equal(device_sync(), OK);
    assert_null(arena_take(&first, "more than planned", 1));
    assert_int_equal(device_sync(), ERR_DEVICE);
    arena_free(&first);
    arena_free(&second);
    arena_free(&second); /* an empty one */
}

static void arena_refuses_another_layout(void **state) {
    (void)state;
    struct arena arena;
    arena_begin(&arena, "weights");
    lay_out(&arena, 33);
    assert_int_equal(arena_commit(&arena), OK);
    struct layout l = lay_out(&arena, 34);
    assert_null(l.a);
    assert_int_equal(device_sync(), ERR_DEVICE);
    assert_non_null(strstr(error_text(), "weights"));
    arena_free(&arena);
}

/* Planning allocates nothing, so it works for sizes that do not fit; the error says what was largest. */
static void arena_names_what_does_not_fit(void **state) {
    (void)state;
    struct arena arena;
    arena_begin(&arena, "giant activations");
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "block.%d", i);
        arena_take(&arena, name, ((size_t)1 << 40) + (i == 42 ? 4096u : 0u));
    }
    assert_int_equal(arena_commit(&arena), ERR_DEVICE);
    assert_non_null(strstr(error_text(), "giant activations"));
    assert_non_null(strstr(error_text(), "block.42 1048576.0 MiB, block.0 1048576.0 MiB, block.1 "));
    char text[8192];
    FILE *out = fmemopen(text, sizeof text, "w");
    arena_print(&arena, out, 1);
    fclose(out);
    assert_non_null(strstr(text, "104857600.0 MiB"));
    assert_non_null(strstr(text, "block.99"));
    arena_free(&arena);
}

static void scratch_is_a_stack(void **state) {
    (void)state;
    struct scratch s;
    assert_int_equal(scratch_open(&s, 1000), OK);
    char *a = scratch_push(&s, 100), *b = scratch_push(&s, 1), *c;
    assert_true(a && b == a + 128);
    scratch_pop(&s, b);
    c = scratch_push(&s, 500);
    assert_ptr_equal(b, c);
    assert_int_equal(s.high, 128 + 512);
    assert_null(scratch_push(&s, 400)); /* 384 are left */
    assert_non_null(strstr(error_text(), "scratch"));
    assert_null(scratch_push(&s, SIZE_MAX));
    assert_int_equal(device_sync(), OK);
    scratch_pop(&s, a); /* not the last */
    assert_int_equal(device_sync(), ERR_DEVICE);
    scratch_pop(&s, c);
    scratch_pop(&s, a);
    assert_int_equal(device_sync(), OK);
    assert_int_equal(s.used, 0);
    scratch_pop(&s, a); /* nothing is left */
    assert_int_equal(device_sync(), ERR_DEVICE);
    scratch_close(&s);
    assert_int_equal(scratch_open(&s, (size_t)1 << 50), ERR_DEVICE);
}

static void workspace_of_the_caller(void **state) {
    (void)state;
    char *memory = device_alloc(256);
    device_workspace(memory, 256);
    void *p = workspace_push(200);
    assert_ptr_equal(p, memory);
    assert_null(workspace_push(1));
    assert_int_equal(device_sync(), ERR_DEVICE);
    workspace_pop(p);
    workspace_pop(NULL); /* what a failed push gave */
    assert_int_equal(device_sync(), OK);
    device_workspace(NULL, 0);
    if (!device_overlaps()) assert_null(workspace_push(1));
    device_sync();
    device_free(memory);
}

/* Programs that plan no workspace, or none any more, get one on cuda. */
static void workspace_of_the_backend(void **state) {
    (void)state;
    if (strncmp(device_name(), "cuda", 4)) skip();
    device_shutdown();
    assert_int_equal(device_init(2), OK);
    char *memory = device_alloc(256);
    for (int i = 0; i < 2; i++) {
        char *p = workspace_push(32 << 20);
        assert_non_null(p);
        assert_true(p + (32 << 20) <= memory || p >= memory + 256);
        workspace_pop(p);
        assert_int_equal(device_sync(), OK);
        device_workspace(memory, 256);
        assert_null(workspace_push(257));
        assert_int_equal(device_sync(), ERR_DEVICE);
        device_workspace(NULL, 0);
    }
    device_free(memory);
}

/* 1 when a child process that runs `action` on the pointer ends normally. */
static int child_survives(void (*action)(char *), char *pointer) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL), signal(SIGBUS, SIG_DFL);
        action(pointer);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void read_on_host(char *p) { (void)*(volatile char *)p; }
static void write_on_host(char *p) { *(volatile char *)p = 1; }
static void read_in_kernel(char *p) {
    char byte;
    mem_download(&byte, p, 1);
}
static void read_after_kernel(char *p) {
    read_in_kernel(p);
    read_on_host(p);
}
static void read_beyond_in_kernel(char *p) { read_in_kernel(p + 64); }
static void read_nested(char *p) {
    KERNEL_SCOPE;
    read_in_kernel(p); /* a kernel that calls another must stay open */
    read_on_host(p);
}

static void guard_keeps_the_host_out(void **state) {
    (void)state;
    char *p = device_alloc(64);
    assert_true(child_survives(read_in_kernel, p));
    assert_true(child_survives(read_nested, p));
#ifndef GUARD
    device_free(p);
    skip();
#endif
    assert_false(child_survives(read_on_host, p));
    assert_false(child_survives(write_on_host, p));
    assert_false(child_survives(read_after_kernel, p));
    assert_false(child_survives(read_beyond_in_kernel, p));
    device_free(p);
    assert_false(child_survives(read_in_kernel, p));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_are_as_asked),
        cmocka_unit_test(memory_is_aligned_and_poisoned),
        cmocka_unit_test(copies),
        cmocka_unit_test(pinned_memory),
        cmocka_unit_test(failures_stick),
        cmocka_unit_test(streams_and_events),
        cmocka_unit_test(copies_beside_kernels),
        cmocka_unit_test(denormals_are_flushed),
        cmocka_unit_test(arena_plans_what_it_gives),
        cmocka_unit_test(arena_refuses_another_layout),
        cmocka_unit_test(arena_names_what_does_not_fit),
        cmocka_unit_test(scratch_is_a_stack),
        cmocka_unit_test(workspace_of_the_caller),
        cmocka_unit_test(workspace_of_the_backend),
        cmocka_unit_test(guard_keeps_the_host_out),
    };
    if (device_init(2)) return fprintf(stderr, "%s\n", error_text()), 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
