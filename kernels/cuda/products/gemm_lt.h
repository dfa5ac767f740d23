/* gemm_lt.h: one matrix product by cuBLASLt, with bias, GELU or sums of columns in the same pass. */
#ifndef KERNELS_CUDA_PRODUCTS_GEMM_LT_H
#define KERNELS_CUDA_PRODUCTS_GEMM_LT_H

#include "kernels/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Products of int8 have sums in int32, products of fp8 (E4M3) in float; neither operand is transposed but b, and beta
   is 0. */
enum gemm_number { GEMM_ELEM, GEMM_REAL, GEMM_INT8, GEMM_FP8, GEMM_INT32 };
enum gemm_extra {
    GEMM_PLAIN,
    GEMM_BIAS,           /* d = the sum + bias, elem [columns] */
    GEMM_GELU,           /* side = the sum, d = gelu(side) */
    GEMM_GELU_BIAS,      /* side = the sum + bias, d = gelu(side) */
    GEMM_GELU_SLOPE,     /* d = the sum gelu'(side) */
    GEMM_COLUMN_SUMS_A,  /* bias, real [rows], becomes the sums of a over the inner index */
    GEMM_GELU_ALONE,     /* d = gelu(the sum), which is not kept */
    GEMM_GELU_ALONE_BIAS /* d = gelu(the sum + bias) */
};

/* d [rows, columns] = a b + beta d, all row-major and packed; a is [rows, inner], or [inner, rows] when a_transposed; b
   is [inner, columns], or [columns, inner] when b_transposed. a and b are of type `in`, sums are float. */
struct gemm {
    long rows, columns, inner;
    int a_transposed, b_transposed;
    enum gemm_number in, out;
    enum gemm_extra extra;
    float beta;
    const void *a, *b;
    void *d;
    void *bias; /* its meaning depends on `extra`; NULL: none */
    void *side; /* [rows, columns] elem, where `extra` says */
    long parts; /* number of products at once; when above 1, their operands lie so many numbers apart: */
    long a_step, b_step, d_step, bias_step;
    const float *a_scale, *b_scale; /* [rows], [columns]: factors of fp8's sums, before the bias; NULL: none */
};

/* Name of a product in logs and in the table of who served what (kernels/served.h). */
static inline const char *gemm_operation(enum gemm_number in, enum gemm_number out, enum gemm_extra extra) {
    static const char *const names[] = {"product",
                                        "product, bias",
                                        "product, gelu",
                                        "product, bias, gelu",
                                        "product, slope of gelu",
                                        "product, sums of bias",
                                        "product, gelu alone",
                                        "product, bias, gelu alone"};
    if (in == GEMM_INT8) return "product, int8";
    if (in == GEMM_FP8) return out == GEMM_REAL ? "product, fp8" : "product, fp8, scaled";
    return in == GEMM_REAL ? "product, real" : out == GEMM_REAL && !extra ? "product to real" : names[extra];
}

/* Queues a product on the current stream. 1: queued, or it failed and the failure is kept (device.h). 0: the library
   has no kernel for this problem (for example, a side buffer that is not aligned), and nothing was done. The algorithm
   is the heuristic's first choice for shape, types and alignment, and stays, so that bits do not depend on timing;
   unless a file of timed choices is named (gemm_timed.h). */
int gemm_lt(const struct gemm *g);

#ifdef __cplusplus
}
#endif

#endif
