/* test_thread_pace.c: the number of threads of a step beside other programs (train/stage/thread_pace.h), on a machine
   of two cores that is told how long a step takes and how much processor time it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/stage/thread_pace.h"

/* Seconds of a step, and processor time, by the number of threads. */
struct machine {
    double wall[3], processor[3];
};
/* The figures of docs/cpu.md: two threads alone, and beside one busy program. */
static const struct machine quiet = {{0, 0.43, 0.24}, {0, 0.43, 0.46}};
static const struct machine busy = {{0, 0.43, 0.98}, {0, 0.42, 0.98}};
/* A step that waits for a disk: fewer threads do not help it. */
static const struct machine waiting = {{0, 0.90, 0.60}, {0, 0.43, 0.46}};

/* Makes so many steps and returns those that had `threads` threads. */
static int steps_with(struct thread_pace *p, const struct machine *m, int steps, int threads) {
    int with = 0;
    for (int i = 0; i < steps; i++) {
        with += p->now == threads;
        thread_pace_next(p, m->wall[p->now], m->processor[p->now]);
    }
    return with;
}

static void test_quiet(void **state) {
    (void)state;
    struct thread_pace p;
    thread_pace_begin(&p, 2);
    assert_int_equal(steps_with(&p, &quiet, 2000, 2), 2000);
}

static void test_busy_and_quiet_again(void **state) {
    (void)state;
    struct thread_pace p;
    thread_pace_begin(&p, 2);
    assert_int_equal(steps_with(&p, &quiet, 50, 2), 50);
    steps_with(&p, &busy, 10, 1);
    assert_int_equal(p.now, 1);
    /* trials of more threads become rare: of a thousand steps some twentieth */
    assert_true(steps_with(&p, &busy, 1000, 1) >= 950);
    /* and one of them finds that the other program is gone */
    steps_with(&p, &quiet, 700, 2);
    assert_int_equal(p.now, 2);
}

static void test_waits_for_something_else(void **state) {
    (void)state;
    struct thread_pace p;
    thread_pace_begin(&p, 2);
    assert_true(steps_with(&p, &waiting, 1000, 2) >= 950);
    assert_int_equal(p.now, 2);
}

static void test_one_thread(void **state) {
    (void)state;
    struct thread_pace p;
    thread_pace_begin(&p, 1);
    assert_int_equal(steps_with(&p, &busy, 1000, 1), 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_busy_and_quiet_again),
        cmocka_unit_test(test_waits_for_something_else),
        cmocka_unit_test(test_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
