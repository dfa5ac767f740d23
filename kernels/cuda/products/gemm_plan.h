/* gemm_plan.h: what cuBLASLt has to know of a product: its descriptors, made without a device, and the algorithm chosen
   for it. */
#ifndef KERNELS_CUDA_PRODUCTS_GEMM_PLAN_H
#define KERNELS_CUDA_PRODUCTS_GEMM_PLAN_H

#include <stddef.h>
#include <cublasLt.h>
#include "kernels/cuda/products/gemm_lt.h"

enum { GEMM_WORKSPACE = 32 << 20 }; /* most that a product is offered: what the library's documents advise for sm_90 */

/* What the choice depends on. Compared byte for byte: gemm_key clears the padding. */
struct gemm_key {
    long rows, columns, inner, parts, a_step, b_step, d_step, bias_step;
    size_t workspace;
    int a_transposed, b_transposed, in, out, extra, accumulates;
    int a_align, b_align, d_align; /* bytes, at most 16 */
};
struct gemm_plan {
    struct gemm_key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, d; /* the library's A, B and D */
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
    int chosen;         /* 0: the library has nothing for this problem */
    const char *reason; /* then: why */
};

/* workspace: bytes there are. */
struct gemm_key gemm_key(const struct gemm *g, size_t workspace);
/* Makes the descriptors. After a failure gemm_plan_close frees what was made. */
cublasStatus_t gemm_plan_open(struct gemm_plan *plan, const struct gemm_key *key);
/* Asks the heuristic; needs a device. */
void gemm_plan_choose(struct gemm_plan *plan, cublasLtHandle_t handle);
void gemm_plan_close(struct gemm_plan *plan);

#endif
