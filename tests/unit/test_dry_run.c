/* test_dry_run.c: the dry run of bench_dit (tools/dry/): what a stream's chunk and a training block launch and move at
   full size, counted without computing, against the least that the fused kernels can move. */
#include "tests/check.h"

#include "tools/dry/passes.h"

static const struct bench_case cases[] = {{BENCH_5B, 928, 704, 0}, {BENCH_1_3B, 832, 480, 0}};
enum { CASES = sizeof cases / sizeof *cases };

/* Both lists have the same products and attentions. The sums of whole numbers below 2^53 are exact. */
static void as_many_operations(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct dry_result r;
        CHECK(dry_chunk(&r, &cases[i], 0));
        assert_true(r.counted.operations == r.minimum.operations);
        CHECK(dry_training(&r, &cases[i], 0));
        assert_true(r.counted.operations == r.minimum.operations);
    }
}

static double share(const struct dry_result *r) { return traffic_bytes(&r->counted) / traffic_bytes(&r->minimum); }

static void bytes_near_the_minimum(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct dry_result r;
        CHECK(dry_chunk(&r, &cases[i], 0));
        assert_true(share(&r) >= 1 && share(&r) <= 1.15);
        CHECK(dry_training(&r, &cases[i], 0));
        assert_true(share(&r) >= 1 && share(&r) <= 1.15);
    }
}

/* A launch more or less than the design's, or 1 % of the bytes, is a change that has to be explained in tools/dry. */
static void nothing_beyond_what_is_known(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++)
        for (int training = 0; training < 2; training++) {
            struct dry_result r;
            CHECK((training ? dry_training : dry_chunk)(&r, &cases[i], 0));
            struct traffic expected = dry_expected(&r);
            assert_int_equal(r.counted.launches, expected.launches);
            double quotient = traffic_bytes(&r.counted) / traffic_bytes(&expected);
            if (!(quotient < 1.005 && quotient > 0.995)) fail_msg("case %d, %d: %.4f", i, training, quotient);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_many_operations), cmocka_unit_test(bytes_near_the_minimum),
                                       cmocka_unit_test(nothing_beyond_what_is_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
