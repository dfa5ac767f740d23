/* test_comm_faults.c: what the ranks of a job over tcp say and do when one of them dies, stops, lags, diverges, ends
   with an error, or should never have been let in: all end in time and name the one at fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/unit/ranks.h"

enum { N = 100000, AT_FAULT = 1 };
static const double TIMEOUT = 2;
static struct comm world;
static atomic_int *joined; /* ranks that are at work; shared by the processes of a scenario */

static void join(void) {
    CHECK(device_init(1) == OK);
    CHECK(comm_open(&world, &(struct comm_options){.timeout = TIMEOUT}) == OK);
    CHECK(comm_barrier(&world) == OK);
    if (joined) (*joined)++;
}

/* All-reduces until one fails, which it must with this text; then ends as a program does. */
static int work_until(const char *pattern, const char *second) {
    real *x = device_alloc(N * sizeof(real));
    int code = OK;
    mem_zero(x, N * sizeof(real));
    for (long step = 0; !code; step++) {
        comm_at(&world, step, "grads block", 7);
        code = comm_all_reduce(&world, x, N);
    }
    CHECK(code == ERR_DEVICE);
    CHECK(strstr(error_text(), pattern) && strstr(error_text(), second));
    CHECK(comm_barrier(&world) == ERR_DEVICE); /* it stays failed, at once */
    comm_abort(&world, code);
    device_free(x);
    return code;
}

static void sleep_for(double seconds) { usleep((useconds_t)(1e6 * seconds)); }

/* Starts the ranks and sends the faulty one a signal (0: none) when `at_work` of them are; the others must end with
   ERR_DEVICE within so many seconds from then on. 0: so it was. */
static int expect(int size, int (*run)(int, int, void *), void *context, int number, int at_work, double limit) {
    struct ranks r;
    joined = mmap(NULL, sizeof *joined, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (joined == MAP_FAILED) abort();
    ranks_start(&r, size, run, context);
    for (int i = 0; *joined < at_work && i < 3000; i++) sleep_for(0.01);
    sleep_for(number ? 0.4 : 0);
    double begun = wall_seconds();
    if (number) kill(r.pids[AT_FAULT], number);
    for (int left = size - 1; left;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid == r.pids[AT_FAULT])
            r.pids[AT_FAULT] = 0;
        else
            left--;
        for (int i = 0; i < size; i++)
            if (i != AT_FAULT && r.pids[i] == pid) r.codes[i] = WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
    }
    double seconds = wall_seconds() - begun;
    if (r.pids[AT_FAULT]) {
        kill(r.pids[AT_FAULT], SIGKILL);
        waitpid(r.pids[AT_FAULT], NULL, 0);
    }
    int bad = seconds > limit;
    for (int i = 0; i < size; i++) bad |= i != AT_FAULT && r.codes[i] != ERR_DEVICE;
    for (int i = 0; i < size && bad; i++) fprintf(stderr, "rank %d ended with %d\n", i, r.codes[i]);
    if (bad) fprintf(stderr, "%.1f s, at most %.1f\n", seconds, limit);
    return bad;
}

static int victim_of_kill(int rank, int size, void *context) {
    (void)rank, (void)size, (void)context;
    join();
    return work_until("rank 1 (", "closed its connection");
}
static int a_rank_that_is_killed_is_named(void) { return expect(3, victim_of_kill, NULL, SIGKILL, 3, 4); }

static int victim_of_stop(int rank, int size, void *context) {
    (void)rank, (void)size, (void)context;
    join();
    return work_until("rank 1 (", "no sign of life");
}
static int a_rank_that_is_stopped_is_named(void) { return expect(3, victim_of_stop, NULL, SIGSTOP, 3, TIMEOUT + 4); }

/* It lives, but its main thread never comes. */
static int hangs(int rank, int size, void *context) {
    (void)size, (void)context;
    join();
    if (rank == AT_FAULT)
        for (;;) pause();
    return work_until("rank 1 (", "has not reached all_reduce 2 \"grads block 7\" of step 0 for");
}
static int a_rank_that_never_comes_is_named(void) { return expect(3, hangs, NULL, 0, 3, TIMEOUT + 5); }

/* Rank 2 waits for rank 1 in a part of theirs; rank 0 waits for rank 2, and names rank 1. */
static int hangs_behind(int rank, int size, void *context) {
    struct comm part;
    (void)size, (void)context;
    join();
    CHECK(comm_split(&part, &world, rank != 0, 0) == OK);
    if (rank == AT_FAULT)
        for (;;) pause();
    CHECK(comm_barrier(rank == 2 ? &part : &world) == ERR_DEVICE);
    CHECK(strstr(error_text(), "rank 1 ("));
    comm_abort(&world,
               ERR_DEVICE); /* programs do so too: the other rank learns the reason before the connection closes */
    return ERR_DEVICE;
}
static int the_end_of_the_chain_is_named(void) { return expect(3, hangs_behind, NULL, 0, 3, TIMEOUT + 5); }

/* Longer than the budget: it said that it would be. */
static int busy(int rank, int size, void *context) {
    (void)size, (void)context;
    join();
    if (rank == AT_FAULT) {
        comm_busy(&world, "writing a checkpoint");
        sleep_for(2.5 * TIMEOUT);
        comm_busy(&world, NULL);
    }
    CHECK(comm_barrier(&world) == OK);
    comm_close(&world);
    return 0;
}
static int a_rank_that_says_it_is_busy_is_waited_for(void) { return ranks_run(3, busy, NULL); }

/* Steps that are slower than the timeout on every rank: the budget grows with this rank's own. */
static int slow(int rank, int size, void *context) {
    (void)size, (void)context;
    join();
    sleep_for(TIMEOUT);
    CHECK(comm_barrier(&world) == OK);
    sleep_for(rank == AT_FAULT ? 2.2 * TIMEOUT : 0);
    CHECK(comm_barrier(&world) == OK);
    comm_close(&world);
    return 0;
}
static int a_slow_rank_is_told_from_a_hanging_one(void) { return ranks_run(2, slow, NULL); }

static int diverges(int rank, int size, void *context) {
    const int *kind = context;
    real x[4] = {0}, *device;
    (void)size;
    join();
    device = device_alloc(sizeof x);
    mem_upload(device, x, sizeof x);
    int odd = rank == AT_FAULT, code;
    comm_at(&world, *kind == 0 && odd ? 8 : 7, *kind == 1 && odd ? "critic" : "student", -1);
    if (*kind == 2 && odd)
        code = comm_broadcast(&world, device, sizeof x, 0);
    else
        code = comm_all_reduce(&world, device, *kind == 3 && odd ? 3 : 4);
    CHECK(code == ERR_DEVICE);
    const char *text = error_text();
    CHECK(strstr(text, "diverged") && strstr(text, "rank 1") && strstr(text, "rank 0"));
    if (*kind == 0) CHECK(strstr(text, "of step 8") && strstr(text, "of step 7"));
    if (*kind == 1) CHECK(strstr(text, "\"critic\"") && strstr(text, "\"student\""));
    if (*kind == 2) CHECK(strstr(text, "broadcast 2") && strstr(text, "all_reduce 2"));
    if (*kind == 3) CHECK(strstr(text, "other counts"));
    comm_abort(&world, code);
    return code;
}
static int ranks_that_diverge_are_both_named(void) {
    int bad = 0;
    for (int kind = 0; kind < 4; kind++) bad |= expect(2, diverges, &kind, 0, 2, 4);
    return bad;
}

/* It leaves with an error of its own: its text reaches the others. */
static int fails(int rank, int size, void *context) {
    (void)size, (void)context;
    join();
    if (rank != AT_FAULT) return work_until("rank 1 (", "ended with an error: data.h5: no such file");
    sleep_for(0.3); /* the others have passed the barrier as well */
    int code = error_set(ERR_INPUT, "data.h5: no such file");
    comm_abort(&world, code);
    CHECK(!strcmp(error_text(), "data.h5: no such file"));
    return code;
}
static int an_error_of_one_rank_reaches_the_others(void) { return expect(3, fails, NULL, 0, 3, 4); }

static int leaves(int rank, int size, void *context) {
    (void)size, (void)context;
    join();
    if (rank != AT_FAULT) return work_until("rank 1 (", "left before all_reduce 2");
    comm_close(&world);
    return 0;
}
static int a_rank_that_leaves_early_is_named(void) { return expect(2, leaves, NULL, 0, 2, 4); }

/* A program that computes and makes no call is told from another thread. */
static void told(void *context, const char *text) {
    _exit(context == &world && strstr(text, "rank 1 (") ? ERR_DEVICE : 98);
}
static int computes(int rank, int size, void *context) {
    (void)size, (void)context;
    CHECK(comm_open(&world, &(struct comm_options){.timeout = TIMEOUT, .failed = told, .context = &world}) == OK);
    CHECK(comm_barrier(&world) == OK);
    sleep_for(rank == AT_FAULT ? 0.3 : 20);
    if (rank == AT_FAULT) return 0;
    return 1;
}
static int a_program_far_from_a_collective_is_told(void) { return expect(2, computes, NULL, 0, 0, 8); }

/* Rank 1 has come and is killed while others are still to come: those that wait hear of it at once, and the one that
   comes after that, too. */
static int dies_before_all_have_met(int rank, int size, void *context) {
    (void)size, (void)context;
    CHECK(device_init(1) == OK);
    if (rank == 3) sleep_for(1.5);
    int code = comm_open(&world, &(struct comm_options){.timeout = TIMEOUT});
    CHECK(code == ERR_DEVICE && strstr(error_text(), "rank 1 ("));
    CHECK(strstr(error_text(), "closed its connection before all had met"));
    return code;
}
static int a_rank_that_is_killed_before_all_have_met_is_named(void) {
    return expect(4, dies_before_all_have_met, NULL, SIGKILL, 0, 1.5 + 4);
}

/* One that has not come yet is not gone. */
static int comes_late(int rank, int size, void *context) {
    (void)size, (void)context;
    if (rank == AT_FAULT) sleep_for(2.5 * TIMEOUT);
    join();
    comm_close(&world);
    return 0;
}
static int a_rank_that_comes_late_is_waited_for(void) { return ranks_run(3, comes_late, NULL); }

/* Most of a scenario is waiting: all run at once, each in a process of its own. */
#define SCENARIOS                                                                                                      \
    X(a_rank_that_is_killed_is_named)                                                                                  \
    X(a_rank_that_is_stopped_is_named)                                                                                 \
    X(a_rank_that_never_comes_is_named)                                                                                \
    X(the_end_of_the_chain_is_named)                                                                                   \
    X(a_rank_that_says_it_is_busy_is_waited_for)                                                                       \
    X(a_slow_rank_is_told_from_a_hanging_one)                                                                          \
    X(ranks_that_diverge_are_both_named)                                                                               \
    X(an_error_of_one_rank_reaches_the_others)                                                                         \
    X(a_rank_that_leaves_early_is_named)                                                                               \
    X(a_program_far_from_a_collective_is_told)                                                                         \
    X(a_rank_that_is_killed_before_all_have_met_is_named)                                                              \
    X(a_rank_that_comes_late_is_waited_for)
#define X(name) SCENARIO_##name,
enum { SCENARIOS COUNT };
#undef X
static pid_t runners[COUNT];

static void start(int index, int (*scenario)(void)) {
    fflush(NULL);
    if (!(runners[index] = fork())) _exit(scenario() ? 1 : 0);
}

static void succeeded(int index) {
    int status = -1;
    assert_int_equal(waitpid(runners[index], &status, 0), runners[index]);
    assert_int_equal(status, 0);
}

#define X(name)                                                                                                        \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        succeeded(SCENARIO_##name);                                                                                    \
    }
SCENARIOS
#undef X

int main(void) {
#define X(name) start(SCENARIO_##name, name);
    SCENARIOS
#undef X
#define X(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {SCENARIOS};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
