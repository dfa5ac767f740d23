/* test_worker_pool.c: jobs in processes of their own, that fail, crash, hang and leave. */
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "tools/worker_pool.h"

static int pool_job(void *user, int index, struct job *job, int *rejected) {
    const int *fail_at = user;
    if (index == *fail_at) return error_set(ERR_INPUT, "disk full");
    if (index == 3) raise(SIGKILL);
    if (index == 5) {
        *rejected = 1;
        return error_set(ERR_INPUT, "five is bad");
    }
    if (index == 7)
        for (;;) pause();
    if (index == 8) _exit(9);
    for (int i = 0; i < 5; i++) {
        usleep(2000);
        worker_pool_beat(job);
    }
    job->figures[0] = 10 * index;
    return OK;
}

static void pool(void **state) {
    (void)state;
    struct worker_pool p;
    for (int workers = 1; workers <= 3; workers += 2) {
        int never = -1;
        assert_int_equal(worker_pool_open(&p, 20), OK);
        p.jobs[2].state = JOB_DONE; /* done in an earlier run */
        assert_int_equal(worker_pool_run(&p, workers, "pool", 0.5, pool_job, &never), OK);
        for (int i = 0; i < 20; i++) {
            int bad = i == 3 || i == 5 || i == 7 || i == 8;
            assert_int_equal(p.jobs[i].state, bad ? JOB_REJECTED : JOB_DONE);
            if (!bad) assert_true(p.jobs[i].figures[0] == (i == 2 ? 0 : 10 * i));
        }
        assert_non_null(strstr(p.jobs[3].text, "signal 9"));
        assert_string_equal(p.jobs[5].text, "five is bad");
        assert_non_null(strstr(p.jobs[7].text, "does not come to an end"));
        assert_non_null(strstr(p.jobs[8].text, "exit code 9"));
        worker_pool_close(&p);
    }
    int fail_at = 4;
    assert_int_equal(worker_pool_open(&p, 20), OK);
    assert_int_equal(worker_pool_run(&p, 2, "pool", 60, pool_job, &fail_at), ERR_INPUT);
    assert_string_equal(error_text(), "disk full");
    assert_int_equal(p.jobs[19].state, JOB_WAITING);
    worker_pool_close(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
