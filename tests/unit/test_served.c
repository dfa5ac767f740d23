/* test_served.c: the table of who served what: calls of one kind are one entry, the first reason stands and is used up,
   and a table that is full still counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/served.h"

static void one_entry_a_kind(void **state) {
    (void)state;
    const long a[] = {1, 2, 3}, b[] = {1, 2, 4};
    struct served s;
    served_clear();
    for (int i = 0; i < 5; i++) served_by("product", "library", 3, a);
    served_by("product", "library", 3, b);
    served_by("product", "own", 3, a);
    assert_true(served_entry(0, &s));
    assert_int_equal(s.calls, 5);
    assert_int_equal(s.sizes, 3);
    assert_memory_equal(s.size, a, sizeof a);
    assert_true(served_entry(1, &s) && s.calls == 1 && s.size[2] == 4);
    assert_true(served_entry(2, &s) && !strcmp(s.by, "own"));
    assert_false(served_entry(3, &s) || served_entry(-1, &s));
}

static void reasons(void **state) {
    (void)state;
    const long n[] = {7};
    struct served s;
    served_clear();
    served_refuse("no engine for %d", 7);
    served_refuse("a later reason");
    served_by("attention", "own", 1, n);
    served_by("attention", "own", 1, n);
    assert_true(served_entry(0, &s));
    assert_string_equal(s.reason, "no engine for 7");
    assert_int_equal(s.calls, 1);
    assert_true(served_entry(1, &s));
    assert_string_equal(s.reason, "");
}

static void sums_and_words(void **state) {
    (void)state;
    static const long sizes[][2] = {{4, 5}, {6, 7}, {4, 5}};
    struct served s;
    char text[128];
    served_clear();
    for (int i = 0; i < 3; i++) {
        if (i == 1) served_refuse("no engine for %d", 6);
        served_by("attention", "library", 2, sizes[i]);
        served_by("attention", "own", 2, sizes[i]);
    }
    assert_true(served_sum(0, &s));
    assert_string_equal(s.by, "library");
    assert_true(s.size[0] == 2 && s.calls == 3);
    served_text(text, sizeof text, &s);
    assert_string_equal(text, "attention 2: library, 3 calls; no engine for 6");
    assert_true(served_sum(1, &s));
    assert_true(s.size[0] == 2 && s.calls == 3 && !s.reason[0]);
    assert_false(served_sum(2, &s));
    assert_true(served_entry(0, &s));
    served_text(text, sizeof text, &s);
    assert_string_equal(text, "attention 4 x 5: library, 2 calls");
    served_text(text, 12, &s);
    assert_string_equal(text, "attention 4");
    served_clear();
    assert_false(served_sum(0, &s));
}

static void a_full_table_counts(void **state) {
    (void)state;
    enum { KINDS = 1000 };
    struct served s;
    long sum = 0;
    int entries = 0;
    served_clear();
    for (long i = 0; i < KINDS; i++) served_by("product", "library", 1, &i);
    while (served_entry(entries, &s)) entries++, sum += s.calls;
    assert_true(entries < KINDS);
    assert_string_equal(s.operation, "others");
    assert_int_equal(sum, KINDS);
    served_clear();
    assert_false(served_entry(0, &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_entry_a_kind), cmocka_unit_test(reasons),
                                       cmocka_unit_test(sums_and_words), cmocka_unit_test(a_full_table_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
