/* test_bench_measure.c: how often a measured call is made: enough runs of a quick one, one run of a call that takes
   longer than the time box, no further run after the box in between. The clock is the process's own time, so that a
   busy machine does not count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/device.h"
#include "tools/bench/measure.h"

static int runs;

static void busy(double seconds) {
    double begin = bench_now();
    runs++;
    while (bench_now() - begin < seconds) continue;
}

static struct series measured(double box, double seconds) {
    bench_time_box(box);
    runs = 0;
    struct series s = series_start();
    while (series_next(&s)) busy(seconds);
    bench_time_box(0);
    return s;
}

static void quick_calls(void **state) {
    (void)state;
    struct series s = measured(1, 1e-5);
    assert_int_equal(s.count, BENCH_RUNS_MAX);
    assert_int_equal(runs, BENCH_RUNS_MAX + 1);
    assert_true(series_median(&s) >= 1e-5 && series_median(&s) < 1e-3);
}

static void longer_than_the_box(void **state) {
    (void)state;
    struct series s = measured(0.02, 0.05);
    assert_int_equal(runs, 1);
    assert_int_equal(s.count, 1);
    assert_true(series_median(&s) >= 0.05 && series_median(&s) < 0.1);
}

/* One unseen run, then those that begin within the box. */
static void stopped_by_the_box(void **state) {
    (void)state;
    struct series s = measured(0.05, 0.02);
    assert_in_range(runs, 2, 3);
    assert_int_equal(s.count, runs - 1);
}

static void without_a_box(void **state) {
    (void)state;
    struct series s = measured(0, 0.04);
    assert_int_equal(s.count, BENCH_RUNS_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(quick_calls), cmocka_unit_test(longer_than_the_box),
                                       cmocka_unit_test(stopped_by_the_box), cmocka_unit_test(without_a_box)};
    bench_use_processor_time();
    return device_init(1) || cmocka_run_group_tests(tests, NULL, NULL);
}
