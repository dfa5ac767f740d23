/* check.h: calls that must succeed, for the tests with cmocka. In processes of several ranks: tests/unit/ranks.h. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"

/* Ends the test with the call and the error's text. */
static inline void check_code(int code, const char *what) {
    if (code) fail_msg("%s: %s", what, error_text());
}
#define CHECK(call) check_code(call, #call)

#endif
