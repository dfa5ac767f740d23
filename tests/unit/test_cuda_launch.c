/* test_cuda_launch.c: the arithmetic of the CUDA backend's launches (kernels/cuda/launch.h), which needs no device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/cuda/launch.h"

static void blocks_of_large_arrays(void **state) {
    (void)state;
    assert_int_equal(launch_blocks(0, 256), 0);
    assert_int_equal(launch_blocks(1, 256), 1);
    assert_int_equal(launch_blocks(256, 256), 1);
    assert_int_equal(launch_blocks(257, 256), 2);
    assert_int_equal(launch_blocks(5L << 30, VECTOR * BLOCK_THREADS), 5 << 19); /* more than 2^31 elements */
    assert_int_equal(launch_blocks(0x7fffffffL * 256, 256), 0x7fffffff);
    assert_int_equal(launch_blocks(0x7fffffffL * 256 + 1, 256), -1); /* refused, not wrapped */
}

/* Every number of a row lies in exactly one thread's piece, and the block is whole warps of an allowed size. */
static void rows_are_covered(void **state) {
    (void)state;
    static const long widths[] = {1, 2, 31, 32, 33, 96, 128, 256, 257, 1000, 1024, 1536, 3072, 5120, 8184, 8191, 8192};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        for (int vectorised = 0; vectorised < 2; vectorised++) {
            long d = widths[i];
            if (vectorised && d % VECTOR) continue;
            struct row_shape s = row_shape(d, vectorised);
            assert_true(s.pieces >= 1 && s.threads % 32 == 0 && s.threads >= 32);
            assert_true(s.threads <= (vectorised ? ROW_THREADS_MAX : ROW_THREADS_MAX_SCALAR));
            assert_true((long)s.threads * s.pieces * s.vector >= d);
            /* no more threads than the row's pieces need, but for the last warp */
            assert_true(((long)s.threads - 32) * s.pieces * s.vector < d);
        }
    }
    assert_int_equal(row_shape(3072, 1).threads, 128); /* the width of TI2V-5B: three pieces of eight, none idle */
    assert_int_equal(row_shape(3072, 1).pieces, 3);
    assert_int_equal(row_shape(ROW_WIDTH_MAX + 1, 1).pieces, 0);
    assert_int_equal(row_shape(0, 0).pieces, 0);
}

static void parts_cover_the_rows(void **state) {
    (void)state;
    static const long rows[] = {0, 1, 7, 8, 100, 27280};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (long parts = 1; parts < 40; parts += 3) {
            assert_int_equal(part_start(rows[i], parts, 0), 0);
            assert_int_equal(part_start(rows[i], parts, parts), rows[i]);
            for (long p = 0; p < parts; p++) {
                long size = part_start(rows[i], parts, p + 1) - part_start(rows[i], parts, p);
                assert_true(size == rows[i] / parts || size == rows[i] / parts + 1);
            }
        }
}

/* Partial sums keep to the memory there is, whatever the shape; what does not fit at all is one part. */
static void parts_fit_the_workspace(void **state) {
    (void)state;
    for (long groups = 1; groups < 3000; groups = groups * 3 + 1)
        for (long rows = 1; rows < 100000; rows = rows * 7 + 2)
            for (long bytes = 0; bytes < 1L << 30; bytes = bytes * 5 + 4096) {
                long each = 3072 * 4, parts = sum_parts(groups, rows, each, bytes);
                assert_true(parts >= 1 && parts <= SUM_BLOCKS);
                assert_true(parts == 1 || parts * groups * each <= bytes);
                assert_true(parts == 1 || parts * 4 <= rows);
            }
    assert_int_equal(sum_parts(1, 27280, 3072 * 8, 64L << 20), SUM_BLOCKS);
}

/* Places divide in 32 bits as they do in 64, by divisors of any size. */
static void places_divide_in_32_bits(void **state) {
    (void)state;
    static const long divisors[] = {
        1, 2, 3, 3072, 3072L * 638, 0x7ffffffeL, 0x7fffffffL, 0x80000000L, 0x100000000L, 0x100000001L, 5L << 40};
    static const unsigned places[] = {0, 1, 3071, 3072, 13398u * 3072, 0x7ffffffd, 0x7ffffffe};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (size_t j = 0; j < sizeof divisors / sizeof *divisors; j++) {
            unsigned d = place_divisor(divisors[j]);
            assert_int_equal(places[i] / d, (long)places[i] / divisors[j]);
            assert_int_equal(places[i] % d, (long)places[i] % divisors[j]);
        }
    assert_true(place_fits(0x7fffffffL)); /* the last place is one less */
    assert_false(place_fits(0x80000000L));
    assert_false(place_fits(5L << 40));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_of_large_arrays), cmocka_unit_test(rows_are_covered),
                                       cmocka_unit_test(parts_cover_the_rows),
                                       cmocka_unit_test(parts_fit_the_workspace),
                                       cmocka_unit_test(places_divide_in_32_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
