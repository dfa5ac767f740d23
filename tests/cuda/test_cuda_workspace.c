/* test_cuda_workspace.c: what attention wants of workspace (kernels/workspace.h) at the sizes of the 5B network,
   against the pieces that kernels/cuda takes, counted here by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/types.h"
#include "kernels/workspace.h"
#include "model/dit/dit.h"

enum { H = 24, D = 128, P = 22 * 29 /* 928 x 704 */ };
static const size_t MiB = 1 << 20;

/* 21 latent frames at once: a float gradient of the queries, twice, and the sums of its rows. */
static void whole_clips(void **state) {
    (void)state;
    const struct attention_sizes s = {1, 21 * P, H, D, 21 * P, 21 * P, 1};
    size_t gradient = (size_t)(21 * P) * H * D * 4, backward = attention_workspace(&s, 1);
    assert_true(backward >= 2 * gradient && backward < 2 * gradient + 16 * MiB);
    assert_true(attention_workspace(&s, 0) < 16 * MiB); /* one range: nothing to merge */
    const struct dit_config c = {.dim = H * D, .heads = H, .height = 44, .width = 58};
    assert_int_equal(dit_workspace(&c, 1, 21, 0, 1), backward);
    assert_int_equal(dit_workspace(&c, 1, 21, 0, 0), WORKSPACE_LEAST);
}

/* A chunk of 3 frames over 10: three ranges, each with an output and sums of its own. */
static void chunks(void **state) {
    (void)state;
    const struct attention_sizes s = {2, 3 * P, H, D, 13 * P, 10 * P, 3};
    size_t rows = 2 * (size_t)(3 * P) * H, forward = rows * D * 3 * sizeof(elem) + rows * 3 * 4;
    size_t wanted = attention_workspace(&s, 0), backward = attention_workspace(&s, 1);
    assert_true(wanted >= forward && wanted < forward + 8 * MiB);
    /* keys and values of the longest range, the queries of a range, the library's */
    size_t pieces = 2 * (2 * (size_t)(10 * P) * H * D * sizeof(elem)) + rows * D * sizeof(elem) + 2 * rows * D * 4;
    assert_true(backward >= pieces && backward < pieces + pieces / 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_clips), cmocka_unit_test(chunks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
