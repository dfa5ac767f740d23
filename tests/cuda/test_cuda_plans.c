/* test_cuda_plans.c: the table of plans (kernels/cuda/cudnn/plan.h) over a stand-in for cuDNN whose every engine wants
   1 MiB (tests/gpu/standin.c): an answer holds for the workspaces that would give it, and a refusal is logged once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/cudnn/plan.h"
#include "kernels/device.h"
#include "kernels/served.h"
#include "tests/cuda/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t KIB = 1 << 10, MIB = 1 << 20;

/* The backend around it. */
static size_t left;
static int pushed, popped;
static char memory[1 << 20];
size_t cuda_workspace_left(void) { return left; }
cudaStream_t cuda_stream(void) { return NULL; }
void *__wrap_workspace_push(size_t bytes);
void __wrap_workspace_pop(void *pointer);
void *__wrap_workspace_push(size_t bytes) { return pushed++, bytes <= sizeof memory ? memory : NULL; }
void __wrap_workspace_pop(void *pointer) { popped += pointer == memory; }

static struct cudnn_key key_of(long S) {
    struct attention a = {.B = 1, .S = S, .H = 2, .D = 64};
    struct attention_range range = {.length = 32, .k_stride = 32 * 128, .v_stride = 32 * 128};
    return cudnn_attention_key(&a, &range);
}

static const struct cudnn_plan *plan_with(size_t workspace, const struct cudnn_key *key, size_t beside) {
    left = workspace;
    return cudnn_plan(key, cudnn_attention_forward_graph, beside);
}

/* What the last call was served with. */
static const char *reason(void) {
    static struct served s;
    served_clear();
    served_by("attention", "own", 0, NULL);
    assert_true(served_entry(0, &s));
    return s.reason;
}

static void refused_is_asked_again_where_there_is_more(void **state) {
    (void)state;
    struct cudnn_key key = key_of(16), other = key_of(17);
    assert_null(plan_with(512 * KIB, &key, 0));
    assert_non_null(strstr(reason(), "wants 1.0 MiB"));
    const struct cudnn_plan *plan = plan_with(2 * MIB, &key, 0);
    assert_non_null(plan);
    assert_ptr_equal(plan_with(MIB, &key, 0), plan); /* exactly as much as it takes is enough */
    assert_ptr_equal(plan_with(64 * MIB, &key, 0), plan);
    assert_null(plan_with(MIB - 1, &key, 0));       /* another stream, with less */
    assert_null(plan_with(2 * MIB, &key, MIB + 1)); /* the caller takes the rest */
    reason();                                       /* the first of them stands */
    assert_null(plan_with(MIB, &key, 2 * MIB));
    assert_non_null(strstr(reason(), "wanted"));
    assert_ptr_equal(plan_with(2 * MIB, &key, MIB), plan);
    assert_ptr_not_equal(plan_with(2 * MIB, &other, 0), plan);
    asked_deterministic = 1;
    assert_ptr_not_equal(plan_with(2 * MIB, &key, 0), plan);
    asked_deterministic = 0;
    assert_ptr_equal(plan_with(2 * MIB, &key, 0), plan);
}

static void a_run_returns_its_workspace(void **state) {
    (void)state;
    struct cudnn_key key = key_of(16);
    struct cudnn_bindings b = {.count = 0};
    const struct cudnn_plan *plan = plan_with(2 * MIB, &key, 0);
    pushed = popped = 0;
    cudnn_bind(&b, ATTENTION_Q, memory);
    cudnn_run(plan, &b);
    assert_int_equal(pushed, 1);
    assert_int_equal(popped, 1);
    cudnn_close();
}

/* The stand-in refuses attention's backward: with its words, once a shape. */
static void a_refusal_has_words(void **state) {
    (void)state;
    struct cudnn_key key = key_of(16);
    left = 64 * MIB;
    for (int i = 0; i < 2; i++) {
        assert_null(cudnn_plan(&key, cudnn_attention_backward_whole, 0));
        assert_non_null(strstr(reason(), "buildDAG"));
    }
    assert_null(cudnn_plan(&key, cudnn_attention_backward_parts, 0));
    assert_non_null(cudnn_plan(&key, cudnn_attention_forward_graph, 0));
    cudnn_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_is_asked_again_where_there_is_more),
                                       cmocka_unit_test(a_run_returns_its_workspace),
                                       cmocka_unit_test(a_refusal_has_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
