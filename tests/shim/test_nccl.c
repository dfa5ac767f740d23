/* test_nccl.c: comm over NCCL (comm/nccl.c) against a fake of it (nccl_fake.h): what ranks say and do when NCCL
   refuses, fails, is stuck or never ends, when a rank dies, or when the watcher aborts while the program calls; two
   communicators at once; a close that leaves nobody without what was sent; the stream's priority. The collectives
   themselves are test_comm's and test_sequence's, which run over the fake as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cuda_runtime_api.h>
#include <math.h>

#include "tests/shim/nccl_fake.h"
#include "tests/unit/ranks.h"

enum { N = 20000, AT_FAULT = 1 };
static const double TIMEOUT = 1.5;
static struct comm world;

static int opened(void) {
    CHECK(device_init(1) == OK);
    return comm_open(&world, &(struct comm_options){.timeout = TIMEOUT, .connect_timeout = 3 * TIMEOUT});
}

static real *ones(long n) {
    real *host = malloc((size_t)n * sizeof *host), *x = device_alloc((size_t)n * sizeof *x);
    CHECK(host && x);
    for (long i = 0; i < n; i++) host[i] = 1;
    mem_upload(x, host, (size_t)n * sizeof *host);
    free(host);
    return x;
}

/* Ends as a program does after a failure; the text must hold `pattern`. */
static int failed_with(int code, const char *pattern) {
    CHECK(code == ERR_DEVICE && strstr(error_text(), pattern));
    CHECK(comm_barrier(&world) == ERR_DEVICE); /* it stays failed, at once */
    comm_abort(&world, code);
    CHECK(device_sync() == OK); /* nothing on the device waits any more */
    return 0;
}

/* All-reduces until one fails; the device is not waited for, so that calls go on while others fail. */
static int work_until_it_fails(const char *pattern) {
    real *x = ones(N);
    int code = OK;
    double until = wall_seconds() + 30;
    for (long step = 0; !code && wall_seconds() < until; step++) {
        comm_at(&world, step, "grads block", 7);
        code = comm_all_reduce(&world, x, N);
        if (!code && step % 50 == 49) code = comm_barrier(&world);
    }
    int bad = failed_with(code, pattern);
    device_free(x);
    return bad;
}

/* ---- faults of NCCL ---- */

struct trouble {
    enum nccl_fault fault;
    long at;
    const char *on_faulty, *on_others; /* what the ranks say; "": anything, as one that was met in an opening may */
};

static int in_trouble(int rank, int size, void *context) {
    const struct trouble *t = context;
    (void)size;
    if (rank == AT_FAULT) nccl_fake = (struct nccl_fake){.fault = t->fault, .at = t->at};
    nccl_fake.call_us = 50;
    int code = opened();
    const char *text = rank == AT_FAULT ? t->on_faulty : t->on_others;
    if (!code) return work_until_it_fails(text);
    CHECK(t->at == 1 && code == ERR_DEVICE && strstr(error_text(), text));
    return 0;
}

static void run_trouble(const struct trouble *t, int count) {
    for (int i = 0; i < count; i++) assert_int_equal(ranks_run(3, in_trouble, (void *)&t[i]), 0);
}

static void a_call_that_nccl_refuses_is_named(void **state) {
    static const struct trouble all[] = {
        {NCCL_REFUSES, 1, "rank 1: ncclCommInitRankConfig: internal error", ""},
        {NCCL_REFUSES, 2, "rank 1: all_reduce: internal error", "rank 1: all_reduce: internal error"},
        {NCCL_REFUSES, 9, "rank 1: all_reduce: internal error", "rank 1: all_reduce: internal error"}};
    (void)state;
    run_trouble(all, 3);
}

static void an_error_that_comes_later_is_named(void **state) {
    static const struct trouble all[] = {
        {NCCL_FAILS, 1, "rank 1: ncclCommInitRankConfig: remote process", ""},
        {NCCL_FAILS, 7, "rank 1: all_reduce: remote process exited", "rank 1: all_reduce: remote process exited"}};
    (void)state;
    run_trouble(all, 2);
}

static void a_call_that_is_never_taken_ends(void **state) {
    static const struct trouble all[] = {{NCCL_STUCK, 1, "ncclCommInitRankConfig is still in progress", ""},
                                         {NCCL_STUCK, 5, "", ""}};
    (void)state;
    run_trouble(all, 2);
}

static void a_collective_that_never_ends_is_given_up(void **state) {
    static const struct trouble all[] = {{NCCL_HANGS, 6, "has waited in or before", "has waited in or before"}};
    (void)state;
    run_trouble(all, 1);
}

/* The watcher aborts at a moment by chance while the program makes call after call. */
static int aborted_while_calling(int rank, int size, void *context) {
    (void)size;
    nccl_fake = (struct nccl_fake){.call_us = 30, .device_us = 100};
    if (rank == AT_FAULT) nccl_fake.fault = NCCL_HANGS, nccl_fake.at = 2 + *(int *)context;
    CHECK(opened() == OK);
    return work_until_it_fails("");
}

static void an_abort_never_meets_a_call(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        int at = 13 * i;
        assert_int_equal(ranks_run(2, aborted_while_calling, &at), 0);
    }
}

/* ---- faults of ranks ---- */

static int loses_one(int rank, int size, void *context) {
    const int *number = context;
    (void)size;
    CHECK(opened() == OK);
    CHECK(comm_barrier(&world) == OK);
    if (rank == AT_FAULT) {
        if (*number) raise(*number);
        usleep((useconds_t)(1e6 * (2 * TIMEOUT + 3)));
        _exit(50);
    }
    return work_until_it_fails("rank 1 (");
}

/* The others end in time, and name it. */
static void expect_loss(int number, double limit) {
    struct ranks r;
    int status, left = 2;
    ranks_start(&r, 3, loses_one, &number);
    while (left) {
        pid_t pid = waitpid(-1, &status, 0);
        assert_true(pid > 0);
        if (pid == r.pids[AT_FAULT]) {
            r.pids[AT_FAULT] = 0;
            continue;
        }
        assert_int_equal(status, 0);
        left--;
    }
    assert_true(wall_seconds() - r.start < limit);
    if (r.pids[AT_FAULT]) kill(r.pids[AT_FAULT], SIGKILL), waitpid(r.pids[AT_FAULT], NULL, 0);
}

static void a_rank_that_dies_is_named(void **state) {
    (void)state;
    expect_loss(SIGKILL, 8);
}
static void a_rank_that_stops_is_named(void **state) {
    (void)state;
    expect_loss(SIGSTOP, 3 * TIMEOUT + 8);
}
static void a_rank_that_never_comes_is_named(void **state) {
    (void)state;
    expect_loss(0, 3 * TIMEOUT + 8);
}

/* ---- two communicators ---- */

/* The group's exchanges and the job's sums, started together and waited for late, as a divided clip's are. */
static int two_at_once(int rank, int size, void *context) {
    enum { ROUNDS = 20 };
    struct comm pair;
    long counts[2] = {N / 2 * sizeof(real), N / 2 * sizeof(real)};
    comm_ticket first, second;
    int code = OK;
    nccl_fake = (struct nccl_fake){.call_us = 50, .device_us = 100, .contrary = rank % 2};
    setenv("NCCL_LAUNCH_ORDER_IMPLICIT", context ? "0" : "1", 1);
    CHECK(opened() == OK && world.size == size);
    real *sums = ones(N), *sent = ones(N), *got = ones(N);
    CHECK(comm_split(&pair, &world, rank / 2, 0) == OK);
    for (int i = 0; i < ROUNDS && !code; i++) {
        code = comm_start_all_reduce(&world, sums, N, &first);
        if (!code) code = comm_start_all_to_all(&pair, got, counts, sent, counts, &second);
        if (!code) code = comm_wait(&pair, second);
        if (!code) code = comm_wait(&world, first);
        if (!code) code = comm_barrier(&world);
    }
    if (context) { /* each process's device is at another collective than the other's */
        CHECK(code == ERR_DEVICE && strstr(error_text(), "has waited in or before"));
        comm_abort(&pair, code);
        comm_abort(&world, code);
        return 0;
    }
    CHECK(code == OK);
    real last;
    mem_download(&last, sums + N - 1, sizeof last);
    CHECK(last == (real)ldexp(1, 2 * ROUNDS));
    comm_close(&pair);
    comm_close(&world);
    return 0;
}

static void two_communicators_keep_the_order_of_calls(void **state) {
    (void)state;
    assert_int_equal(ranks_run(4, two_at_once, NULL), 0);
}
static void without_that_order_they_hang_and_it_is_said(void **state) {
    (void)state;
    assert_int_equal(ranks_run(4, two_at_once, &world), 0);
}

/* ---- the end ---- */

/* The first rank alone sends: it is done long before the others, whose devices are slow, have read it. */
static int sends_and_leaves(int rank, int size, void *context) {
    long sent[RANKS_MAX], received[RANKS_MAX];
    unsigned char host[4 * RANKS_MAX] = {0};
    (void)context;
    nccl_fake = (struct nccl_fake){.device_us = rank ? 1000000 : 0};
    CHECK(opened() == OK);
    unsigned char *from = device_alloc(sizeof host), *to = device_alloc(sizeof host);
    for (int r = 0; r < size; r++) sent[r] = rank ? 0 : 4, received[r] = r ? 0 : 4;
    for (int i = 0; i < 4 * size; i++) host[i] = (unsigned char)(1 + i / 4);
    mem_upload(from, host, sizeof host);
    CHECK(comm_all_to_all(&world, to, received, from, sent) == OK);
    comm_close(&world);
    mem_download(host, to, sizeof host);
    for (int i = 0; i < 4; i++) CHECK(host[i] == 1 + rank);
    return 0;
}

static void who_closes_leaves_nobody_without_what_it_sent(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) assert_int_equal(ranks_run(3, sends_and_leaves, NULL), 0);
}

/* A part is closed before its whole, and the job goes on. */
static int opens_and_closes(int rank, int size, void *context) {
    struct comm part;
    int least, greatest;
    (void)context;
    CHECK(opened() == OK);
    real *x = ones(8);
    for (int i = 0; i < 3; i++) {
        CHECK(comm_split(&part, &world, 0, -rank) == OK && part.rank == size - 1 - rank);
        CHECK(comm_all_reduce(&part, x, 8) == OK);
        comm_close(&part);
        CHECK(comm_all_reduce(&world, x, 8) == OK);
    }
    CHECK(device_sync() == OK);
    cudaDeviceGetStreamPriorityRange(&least, &greatest);
    CHECK(least > greatest && nccl_fake.priority == greatest);
    comm_close(&world);
    device_free(x);
    return 0;
}

static void communicators_come_and_go(void **state) {
    (void)state;
    assert_int_equal(ranks_run(3, opens_and_closes, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_nccl_refuses_is_named),
        cmocka_unit_test(an_error_that_comes_later_is_named),
        cmocka_unit_test(a_call_that_is_never_taken_ends),
        cmocka_unit_test(a_collective_that_never_ends_is_given_up),
        cmocka_unit_test(an_abort_never_meets_a_call),
        cmocka_unit_test(a_rank_that_dies_is_named),
        cmocka_unit_test(a_rank_that_stops_is_named),
        cmocka_unit_test(a_rank_that_never_comes_is_named),
        cmocka_unit_test(two_communicators_keep_the_order_of_calls),
        cmocka_unit_test(without_that_order_they_hang_and_it_is_said),
        cmocka_unit_test(who_closes_leaves_nobody_without_what_it_sent),
        cmocka_unit_test(communicators_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
