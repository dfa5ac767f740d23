/* test_cuda_descriptors.c: what the CUDA backend tells NVIDIA's libraries, made without a device: every cuDNN graph and
   every cuBLASLt product at the shapes of the 5B network and of the video autoencoder. The libraries check types, sizes and
   strides when a descriptor is finalised; engines and algorithms they only choose on a GPU. Built with BACKEND=cuda. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cuda/attention/attention_cudnn.h"
#include "kernels/cuda/convolution/conv_cudnn.h"
#include "kernels/cuda/products/gemm_plan.h"

static void finalises(cudnn_builder *build, const struct cudnn_key *key, int operations) {
    struct cudnn_parts parts = {.count = 0};
    build(&parts, key);
    if (parts.status) print_error("%s\n", parts.failed);
    assert_int_equal(parts.status, CUDNN_STATUS_SUCCESS);
    assert_int_equal(parts.operations, operations);
    cudnn_parts_free(&parts);
}

/* B, S, K: a chunk against its cache, a clip, text, audio by frame. 24 heads of 128. */
static void attention_graphs(void **state) {
    (void)state;
    static const long shapes[][3] = {{1, 1914, 1914},   {1, 1914, 2552}, {1, 1914, 3828}, {1, 2640, 18480},
                                     {1, 27280, 27280}, {2, 1560, 512},  {21, 638, 16},   {1, 32760, 512}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct attention a = {.B = shapes[i][0], .S = shapes[i][1], .H = 24, .D = 128};
        long packed = shapes[i][2] * a.H * a.D;
        struct attention_range range = {.length = shapes[i][2], .k_stride = packed, .v_stride = packed + 64};
        struct cudnn_key key = cudnn_attention_key(&a, &range);
        finalises(cudnn_attention_forward_graph, &key, 1);
        finalises(cudnn_attention_backward_graph, &key, 1);
    }
}

/* Two shapes must not share a plan. */
static void keys_tell_shapes_apart(void **state) {
    (void)state;
    struct attention a = {.B = 1, .S = 638, .H = 24, .D = 128}, b = a;
    struct attention_range range = {.length = 512, .k_stride = 512 * 3072, .v_stride = 512 * 3072}, other = range;
    b.S = 639;
    other.v_stride += 8;
    struct cudnn_key one = cudnn_attention_key(&a, &range), two = cudnn_attention_key(&b, &range);
    struct cudnn_key three = cudnn_attention_key(&a, &other), same = cudnn_attention_key(&a, &range);
    assert_memory_equal(&one, &same, sizeof one);
    assert_memory_not_equal(&one, &two, sizeof one);
    assert_memory_not_equal(&one, &three, sizeof one);
    struct conv_shape shape = {1, 96, 96, 1, {4, 116, 88}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}}, strided = shape;
    strided.stride[2] = 2;
    struct cudnn_key conv = cudnn_conv_key(&shape, 0), conv2 = cudnn_conv_key(&strided, 0),
                     conv3 = cudnn_conv_key(&shape, 1);
    assert_memory_not_equal(&conv, &conv2, sizeof conv);
    assert_memory_not_equal(&conv, &conv3, sizeof conv);
}

static void conv_graphs(void **state) {
    (void)state;
    static const struct conv_shape shapes[] = {
        {1, 48, 1024, 1, {3, 58, 44}, {3, 3, 3}, {1, 1, 1}, {2, 1, 1}, {0, 1, 1}},   /* first layer, at the start */
        {1, 1024, 1024, 1, {5, 58, 44}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}}, /* later: past frames are there */
        {1, 256, 256, 1, {6, 464, 352}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}},
        {1, 512, 256, 1, {4, 232, 176}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},    /* frames as samples */
        {4, 160, 160, 1, {1, 465, 353}, {1, 3, 3}, {1, 2, 2}, {0, 0, 0}, {0, 1, 1}},    /* padding on one side */
        {1, 1024, 2048, 1, {5, 58, 44}, {3, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}},    /* over time alone */
        {1, 768, 768, 16, {1, 1, 200}, {1, 1, 128}, {1, 1, 1}, {0, 0, 64}, {0, 0, 63}}, /* grouped, one axis */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct cudnn_key key = cudnn_conv_key(&shapes[i], 0), adding = cudnn_conv_key(&shapes[i], 1);
        finalises(cudnn_conv_forward_graph, &key, 1);
        finalises(cudnn_conv_forward_graph, &adding, 1);
        finalises(cudnn_conv_bias_graph, &key, 2);
        finalises(cudnn_conv_bias_graph, &adding, 3);
        finalises(cudnn_conv_input_graph, &key, 1);
        finalises(cudnn_conv_weight_graph, &adding, 1);
    }
}

/* A wrong shape is refused and leaves its text, or the tests above would show nothing. */
static void wrong_graphs_are_refused(void **state) {
    (void)state;
    struct conv_shape shape = {1, 96, 96, 1, {4, 16, 16}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}};
    struct cudnn_key key = cudnn_conv_key(&shape, 0);
    struct cudnn_parts parts = {.count = 0};
    for (int i = 0; i < CUDNN_KEY; i++)
        if (key.v[i] == 14 || key.v[i] == 16) key.v[i] = 9; /* outputs that the inputs do not give */
    key.v[0] = -1;
    cudnn_conv_forward_graph(&parts, &key);
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
    const long d = 3072, step = d * d + d;
    const struct gemm g = {.rows = 1914,
                           .columns = d,
                           .inner = d,
                           .b_transposed = 1,
                           .extra = GEMM_BIAS,
                           .parts = 3,
                           .b_step = step,
                           .bias_step = step,
                           .d_step = 1914 * d};
    struct gemm_key key = gemm_key(&g, 64 << 20);
    struct gemm_plan plan;
    assert_int_equal(gemm_plan_open(&plan, &key), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(attribute(plan.a, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) & 0xffffffff, 3);
    assert_int_equal(attribute(plan.a, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET), step);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_graphs), cmocka_unit_test(keys_tell_shapes_apart),
                                       cmocka_unit_test(conv_graphs),      cmocka_unit_test(wrong_graphs_are_refused),
                                       cmocka_unit_test(products),         cmocka_unit_test(products_at_once),
                                       cmocka_unit_test(product_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
