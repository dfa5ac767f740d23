/* test_cuda_descriptors.c: the keys by which plans are found, cuBLASLt's products at the shapes of the 5B network,
   whose descriptors are made without a device (algorithms are chosen on one), and that a graph which is wrong is
   refused with words. Right graphs, and who computes them: test_cuda_engines.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/convolution/conv_cudnn.h"
#include "kernels/cuda/cudnn/descriptors.h"
#include "kernels/cuda/products/gemm_plan.h"

/* Two shapes must not share a plan. */
static void keys_tell_shapes_apart(void **state) {
    (void)state;
    struct attention a = {.B = 2, .S = 638, .H = 24, .D = 128}, b = a;
    struct attention_range range = {.length = 512, .k_stride = 512 * 3072, .v_stride = 512 * 3072}, other = range;
    b.S = 639;
    other.v_stride += 8;
    struct cudnn_key one = cudnn_attention_key(&a, &range), two = cudnn_attention_key(&b, &range);
    struct cudnn_key three = cudnn_attention_key(&a, &other), same = cudnn_attention_key(&a, &range);
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_not_equal(&one, &two, sizeof one);
    assert_memory_not_equal(&one, &three, sizeof one);
    a.B = 1; /* a single sample has no distance to the next */
    one = cudnn_attention_key(&a, &range), same = cudnn_attention_key(&a, &other);
    assert_memory_equal(&one, &same, sizeof one);
    struct conv_shape shape = {1, 96, 96, 1, {4, 116, 88}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}}, strided = shape;
    strided.stride[2] = 2;
    struct cudnn_key conv = cudnn_conv_key(&shape, 0, 0), conv2 = cudnn_conv_key(&strided, 0, 0),
                     conv3 = cudnn_conv_key(&shape, 1, 0), conv4 = cudnn_conv_key(&shape, 0, 1);
    assert_memory_not_equal(&conv, &conv2, sizeof conv);
    assert_memory_not_equal(&conv, &conv3, sizeof conv);
    assert_memory_not_equal(&conv, &conv4, sizeof conv);
}

/* A wrong shape is refused and leaves its text, or the tests above would show nothing. */
static void wrong_graphs_are_refused(void **state) {
    (void)state;
    struct conv_shape shape = {1, 96, 96, 1, {4, 16, 16}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
    struct cudnn_key key = cudnn_conv_key(&shape, 0, 0);
    struct cudnn_parts parts = {.count = 0};
    struct cudnn_graph graph = {.nodes = 0};
    for (int i = 0; i < CUDNN_KEY; i++)
        if (key.v[i] == 14 || key.v[i] == 16) key.v[i] = 9; /* outputs that the inputs do not give */
    key.v[0] = -1;
    cudnn_conv_forward_graph(&graph, &key);
    cudnn_describe(&parts, &graph);
    assert_int_not_equal(parts.status, CUDNN_STATUS_SUCCESS);
    assert_true(strlen(parts.failed) > 0);
    cudnn_parts_free(&parts);
}

static uint64_t attribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name) {
    uint64_t value = 0;
    size_t written = 0;
    assert_int_equal(cublasLtMatrixLayoutGetAttribute(layout, name, &value, sizeof value, &written), 0);
    return value;
}

static int32_t batch_count(cublasLtMatrixLayout_t layout) {
    int32_t value = 0;
    size_t written = 0;
    assert_int_equal(
        cublasLtMatrixLayoutGetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &value, sizeof value, &written),
        0);
    return value;
}

/* rows, columns, inner; the library's view is of columns. */
static void products(void **state) {
    (void)state;
    static const long shapes[][3] = {{27280, 3072, 3072},  {27280, 14336, 3072}, {27280, 3072, 14336},
                                     {1914, 3072, 3072},   {512, 3072, 4096},    {1, 18432, 3072},
                                     {3072, 14336, 27280}, {31, 33, 7}};
    static const enum gemm_extra extras[] = {GEMM_PLAIN,      GEMM_BIAS,           GEMM_GELU,
                                             GEMM_GELU_BIAS,  GEMM_GELU_SLOPE,     GEMM_COLUMN_SUMS_A,
                                             GEMM_GELU_ALONE, GEMM_GELU_ALONE_BIAS};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t e = 0; e < sizeof extras / sizeof *extras; e++)
            for (int form = 0; form < 4; form++) {
                struct gemm g = {
                    .rows = shapes[i][0], .columns = shapes[i][1], .inner = shapes[i][2], .extra = extras[e]};
                g.a_transposed = form & 1, g.b_transposed = form >> 1;
                struct gemm_key key = gemm_key(&g, 64 << 20);
                struct gemm_plan plan;
                assert_int_equal(gemm_plan_open(&plan, &key), CUBLAS_STATUS_SUCCESS);
                assert_int_equal(attribute(plan.d, CUBLASLT_MATRIX_LAYOUT_ROWS), g.columns);
                assert_int_equal(attribute(plan.d, CUBLASLT_MATRIX_LAYOUT_COLS), g.rows);
                assert_int_equal(attribute(plan.d, CUBLASLT_MATRIX_LAYOUT_LD), g.columns);
                assert_int_equal(attribute(plan.a, CUBLASLT_MATRIX_LAYOUT_LD), g.b_transposed ? g.inner : g.columns);
                assert_int_equal(attribute(plan.b, CUBLASLT_MATRIX_LAYOUT_LD), g.a_transposed ? g.rows : g.inner);
                gemm_plan_close(&plan);
            }
}

/* Queries, keys and values of a chunk at 5B. */
static void products_at_once(void **state) {
    (void)state;
    const long d = 3072;
    const struct gemm g = {.rows = 1914,
                           .columns = d,
                           .inner = d,
                           .b_transposed = 1,
                           .extra = GEMM_BIAS,
                           .parts = 3,
                           .b_step = d * d,
                           .bias_step = d,
                           .d_step = 1914 * d};
    struct gemm_key key = gemm_key(&g, 64 << 20);
    struct gemm_plan plan;
    assert_int_equal(gemm_plan_open(&plan, &key), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(batch_count(plan.a), 3);
    assert_int_equal(attribute(plan.a, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET), d * d);
    assert_int_equal(attribute(plan.b, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET), 0);
    assert_int_equal(attribute(plan.d, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET), g.d_step);
    gemm_plan_close(&plan);
}

static void product_keys(void **state) {
    (void)state;
    static _Alignas(16) char memory[64];
    struct gemm g = {.rows = 64, .columns = 64, .inner = 64, .a = memory, .b = memory, .d = memory}, off = g, beta = g;
    off.a = memory + 2;
    beta.beta = 1;
    struct gemm_key one = gemm_key(&g, 1 << 20), same = gemm_key(&g, 1 << 20), less = gemm_key(&g, 1 << 10);
    struct gemm_key unaligned = gemm_key(&off, 1 << 20), accumulating = gemm_key(&beta, 1 << 20);
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_not_equal(&one, &less, sizeof one);
    assert_memory_not_equal(&one, &unaligned, sizeof one);
    assert_memory_not_equal(&one, &accumulating, sizeof one);
    assert_int_equal(gemm_key(&g, (size_t)1 << 40).workspace, GEMM_WORKSPACE); /* capped */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_tell_shapes_apart),
                                       cmocka_unit_test(wrong_graphs_are_refused), cmocka_unit_test(products),
                                       cmocka_unit_test(products_at_once), cmocka_unit_test(product_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
