/* test_bootstrap.c: intervals of figures whose spread is known, paired differences, and what has no interval. */
#include <math.h>
#include <stdlib.h>

#include "base/philox.h"
#include "tests/check.h"
#include "tools/evaluate/bootstrap.h"

enum { MOST = 200, FIGURES = 4 };
struct dialogues {
    double a[MOST], b[MOST];
};

/* Mean of a, mean of b, their difference, and a figure that some draws do not have. */
static void means(void *user, const int *drawn, int count, double *figures) {
    const struct dialogues *d = user;
    double a = 0, b = 0;
    int first = 0;
    for (int i = 0; i < count; i++) a += d->a[drawn[i]], b += d->b[drawn[i]], first += drawn[i] == 0;
    figures[0] = a / count;
    figures[1] = b / count;
    figures[2] = (a - b) / count;
    figures[3] = first ? 1 : NAN;
}

static double uniform(int stream, int i) {
    const struct random_address at = {.seed = 8, .purpose = RANDOM_TEST, .sample = (uint32_t)stream};
    return 3.4641 * (random_uniform(&at, (uint32_t)i) - 0.5);
}

/* Dialogues differ by 1, students by 0.1 in each dialogue and by 0.1 on average. */
static struct dialogues draw(int trial) {
    struct dialogues d;
    for (int i = 0; i < MOST; i++) {
        d.b[i] = uniform(3 * trial, i);
        d.a[i] = d.b[i] + 0.1 + 0.1 * uniform(3 * trial + 1, i);
    }
    return d;
}

static void intervals(void **state) {
    (void)state;
    struct dialogues d = draw(0);
    struct bootstrap_interval out[FIGURES], again[FIGURES];
    CHECK(bootstrap(1, MOST, means, &d, out, FIGURES));
    double mean = 0, squares = 0;
    for (int i = 0; i < MOST; i++) mean += d.b[i] / MOST;
    for (int i = 0; i < MOST; i++) squares += (d.b[i] - mean) * (d.b[i] - mean) / MOST;
    double error = sqrt(squares / MOST);
    assert_true(fabs(out[1].value - mean) < 1e-12);
    /* 95 % lie within 1.96 standard errors; an end of 1000 draws' interval is off by some 8 % of one */
    assert_true(fabs(out[1].low - (mean - 1.96 * error)) < 0.35 * error);
    assert_true(fabs(out[1].high - (mean + 1.96 * error)) < 0.35 * error);
    /* paired: the difference is seen though it is within the spread of either */
    assert_true(out[0].low < out[1].high);
    assert_true(out[2].low > 0.08 && out[2].high < 0.12);
    assert_true(out[3].low == 1 && out[3].high == 1);
    CHECK(bootstrap(1, MOST, means, &d, again, FIGURES));
    for (int f = 0; f < FIGURES; f++) assert_true(out[f].low == again[f].low && out[f].high == again[f].high);
    CHECK(bootstrap(2, MOST, means, &d, again, FIGURES));
    assert_true(out[1].low != again[1].low);
}

/* Of 100 worlds without a difference, about five have an interval without 0. */
static void covers(void **state) {
    (void)state;
    int missed = 0;
    for (int trial = 1; trial <= 100; trial++) {
        struct dialogues d = draw(trial);
        struct bootstrap_interval out[FIGURES];
        for (int i = 0; i < MOST; i++) d.a[i] -= 0.1;
        CHECK(bootstrap((uint64_t)trial, 40, means, &d, out, FIGURES));
        missed += out[2].low > 0 || out[2].high < 0;
    }
    assert_true(missed >= 1 && missed <= 15);
}

static void one_dialogue(void **state) {
    (void)state;
    struct dialogues d = draw(0);
    struct bootstrap_interval out[FIGURES];
    CHECK(bootstrap(1, 1, means, &d, out, FIGURES));
    assert_true(out[0].low == d.a[0] && out[0].high == d.a[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(intervals), cmocka_unit_test(covers),
                                       cmocka_unit_test(one_dialogue)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
