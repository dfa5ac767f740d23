/* test_kernels_harness.c: the harness itself must notice what it is there for: a wrong number, an output left
   unwritten, a byte written outside, an input changed, results that differ between two runs. */
#include "kernel_harness.h"

enum fault { NONE, WRONG, SLIGHTLY_WRONG, UNWRITTEN, BEYOND, BEFORE, INPUT_CHANGED, NOT_A_NUMBER };

/* y = 2 x by the backend and the oracle, then one fault by hand. Returns the failures that the harness counts. */
static int failures_with(enum fault fault, enum number number) {
    struct trial trial = {.quiet = 1, .offset = 1, .seed = 7};
    struct buffer *x = make(&trial, REAL, INPUT, 33), *y = make(&trial, number, OUTPUT, 33);
    load(&trial);
    size_t size = number_size(number);
    unsigned char bytes[8];
    for (long i = 0; i < 33; i++) {
        y->value[i] = y->magnitude[i] = 2 * x->value[i];
        encode(bytes, number, y->value[i]);
        if (fault != UNWRITTEN || i != 32) mem_upload((char *)dev(y) + (size_t)i * size, bytes, size);
    }
    unsigned char *at = dev(y), *last = at + 32 * size, byte = 1;
    double wrong = fault == NOT_A_NUMBER ? NAN : y->value[32] * (fault == WRONG ? 1.5 : 1 + 4 * unit(number));
    encode(bytes, number, wrong);
    if (fault == WRONG || fault == SLIGHTLY_WRONG || fault == NOT_A_NUMBER) mem_upload(last, bytes, size);
    if (fault == BEYOND) mem_upload(last + size, &byte, 1);
    if (fault == BEFORE) mem_upload(at - 1, &byte, 1);
    if (fault == INPUT_CHANGED) mem_upload(dev(x), &byte, 1);
    finish(&trial);
    return trial.failures;
}

static void notices_faults(void **state) {
    (void)state;
    for (enum number number = ELEM; number <= REAL; number++) {
        assert_int_equal(failures_with(NONE, number), 0);
        for (enum fault fault = WRONG; fault <= NOT_A_NUMBER; fault++)
            assert_int_equal(failures_with(fault, number), 1);
    }
}

static int calls;
static void changing_body(struct trial *trial, const long *size) {
    (void)size;
    struct buffer *y = make(trial, REAL, UPDATED, 1);
    load(trial);
    put(y, 0, 1 + calls++);
    unsigned char bytes[8];
    encode(bytes, REAL, y->value[0]);
    mem_upload(dev(y), bytes, number_size(REAL));
}

/* The digest is what run_case compares. */
static void notices_other_bits(void **state) {
    (void)state;
    static const long size[][CASE_SIZES] = {{1}, {0}};
    static const struct kernel_case c = {"changing", changing_body, 1, size};
    int failures = 0;
    uint64_t once = run_trial(&c, c.sizes[0], 0, 0, 1, &failures);
    uint64_t again = run_trial(&c, c.sizes[0], 0, 0, 1, &failures);
    assert_int_equal(failures, 0);
    assert_true(once != again);
}

static int runs;
static void counting_body(struct trial *trial, const long *size) {
    struct buffer *y = make(trial, REAL, UPDATED, size[0]);
    (void)y;
    load(trial);
    runs++;
}

/* Two sizes, aligned and not: four thread counts, twice each; on a device, once. */
static void runs_as_often_as_it_says(void **state) {
    (void)state;
    static const long size[][CASE_SIZES] = {{300}, {1}, {0}};
    static const struct kernel_case c = {"counting", counting_body, 1, size};
    void *initial = (void *)&c;
    runs = 0;
    run_case(&initial);
    assert_int_equal(runs, on_device() ? 4 : 4 * 8);
}

/* A failure inside a kernel comes out of device_sync once and makes the trial fail. */
static void notices_device_failure(void **state) {
    (void)state;
    struct trial trial = {.quiet = 1};
    device_fail("made by %s", "the test");
    finish(&trial);
    assert_int_equal(trial.failures, 1);
    assert_string_equal(error_text(), "made by the test");
    assert_int_equal(device_sync(), OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(notices_faults), cmocka_unit_test(notices_other_bits),
                                       cmocka_unit_test(runs_as_often_as_it_says),
                                       cmocka_unit_test(notices_device_failure)};
    return device_init(1) || cmocka_run_group_tests(tests, NULL, NULL);
}
