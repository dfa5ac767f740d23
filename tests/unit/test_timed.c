/* test_timed.c: the clock around kernels (tools/record/timed.h) notes each call once, with the kernel's own time, and
   changes no result; and the rate of the arithmetic units (kernels/peak.h), which no product exceeds. */
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/peak.h"
#include "tools/bench/measure.h"
#include "tools/record/timed.h"

enum { N = 96, IN = 64, OUT = 128 };

static struct timed_entry entry(const char *kernel) {
    struct timed_entry e;
    for (int i = 0; timed_entry(i, &e); i++)
        if (!strcmp(e.kernel, kernel)) return e;
    return (struct timed_entry){.kernel = ""};
}

static double all_seconds(void) {
    struct timed_entry e;
    double sum = 0;
    for (int i = 0; timed_entry(i, &e); i++) sum += e.seconds;
    return sum;
}

static elem *values(long n, int which) {
    real *r = device_alloc((size_t)n * sizeof *r);
    elem *e = device_alloc((size_t)n * sizeof *e);
    assert_non_null(r);
    assert_non_null(e);
    random_init(r, 1, which, 1, n);
    elem_from_real(e, r, n);
    device_free(r);
    return e;
}

/* dw [OUT, IN] and db [OUT] behind it, by one call. */
static void gradient(real *host, const elem *dy, const elem *x) {
    const long n = OUT * IN + OUT;
    real *sums = device_alloc((size_t)n * sizeof *sums);
    assert_non_null(sums);
    mem_zero(sums, (size_t)n * sizeof *sums);
    linear_backward_weight(sums, sums + OUT * IN, dy, x, N, IN, OUT);
    mem_download(host, sums, (size_t)n * sizeof *sums);
    device_free(sums);
}

static void weight_and_bias_apart(void **state) {
    (void)state;
    static real plain[OUT * IN + OUT], timed[OUT * IN + OUT];
    elem *dy = values(N * OUT, 0), *x = values(N * IN, 1);
    gradient(plain, dy, x);
    timed_begin(bench_now);
    gradient(timed, dy, x);
    assert_int_equal(timed_end(), OK);
    gradient(plain, dy, x); /* counts no more */
    struct timed_entry dw = entry("linear_backward_weight"), db = entry("linear_backward_bias");
    assert_int_equal(dw.calls, 1);
    assert_int_equal(db.calls, 1);
    assert_true(dw.operations == 2.0 * N * IN * OUT && db.operations == 0);
    assert_true(dw.bytes == (double)(N * (IN + OUT)) * sizeof(elem) + 2.0 * IN * OUT * sizeof(real));
    assert_true(db.bytes == (double)(N * OUT) * sizeof(elem) + 2.0 * OUT * sizeof(real));
    assert_memory_equal(plain, timed, sizeof plain);
    device_free(dy);
    device_free(x);
}

/* A product that calls the GELU: neither's time is counted twice. */
static void nested_calls(void **state) {
    (void)state;
    elem *x = values(N * IN, 1), *w = values(OUT * IN, 2), *b = values(OUT, 3), *y = values(N * OUT, 4);
    double start = bench_now();
    timed_begin(bench_now);
    for (int i = 0; i < 20; i++) linear_gelu_forward(y, NULL, x, w, b, N, IN, OUT);
    gelu_forward(y, y, N * OUT);
    assert_int_equal(timed_end(), OK);
    double wall = bench_now() - start;
    assert_int_equal(entry("linear_gelu_forward").calls, 20);
    long gelus = entry("gelu_forward").calls;
    assert_true(gelus == 1 || gelus == 21);
    assert_true(entry("gelu_forward").seconds > 0 && all_seconds() <= wall);
    device_free(x);
    device_free(w);
    device_free(b);
    device_free(y);
}

/* Beside other work a thread may be slow, but none is faster than the units are. */
static void peak_is_a_bound(void **state) {
    (void)state;
    enum { M = 256 };
    struct peak peak = device_peak();
    if (peak.elem == 0) skip(); /* a GPU */
    assert_true(peak.elem >= peak.real && peak.real > 1e8);
    elem *a = values(M * M, 1), *b = values(M * M, 2), *c = values(M * M, 3);
    double least = 1e9;
    for (int i = 0; i < 5; i++) {
        double start = bench_now();
        linear_forward(c, a, b, NULL, M, M, M, 0);
        double seconds = bench_now() - start;
        if (seconds < least) least = seconds;
    }
    assert_true(2.0 * M * M * M / least < 1.2 * peak.elem);
    device_free(a);
    device_free(b);
    device_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(weight_and_bias_apart), cmocka_unit_test(nested_calls),
                                       cmocka_unit_test(peak_is_a_bound)};
    if (device_init(0)) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
