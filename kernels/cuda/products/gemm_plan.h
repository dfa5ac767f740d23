/* gemm_plan.h: prepares a product for cuBLASLt: its descriptors, which are made without a
   device, and the algorithm chosen for it. */
#ifndef KERNELS_CUDA_PRODUCTS_GEMM_PLAN_H
#define KERNELS_CUDA_PRODUCTS_GEMM_PLAN_H

#include <stddef.h>
#include <cublasLt.h>
#include "kernels/cuda/products/gemm_lt.h"

enum {
    GEMM_WORKSPACE = 32 << 20
};                            /* most bytes that a product is offered, as the library's documents advise for sm_90 */
enum { GEMM_CANDIDATES = 8 }; /* algorithms asked for at most */

/* All that the choice depends on. Keys are compared byte for byte; gemm_key clears the padding. */
struct gemm_key {
    long rows, columns, inner, parts, a_step, b_step, d_step, bias_step;
    size_t workspace;
    int a_transposed, b_transposed, in, out, extra, accumulates, scaled; /* scaled: a and b have scales */
    int a_align, b_align, d_align;                                       /* bytes, at most 16 */
};
/* A way to do the product, as the library keeps it, and the workspace that it takes. */
struct gemm_algorithm {
    cublasLtMatmulAlgo_t algo;
    size_t workspace;
};
struct gemm_plan {
    struct gemm_key key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, d; /* the library's A, B and D */
    struct gemm_algorithm algorithm;
    int chosen;         /* 0: the library has nothing for this problem */
    const char *reason; /* why not, when chosen is 0 */
};

/* Makes the key; workspace: bytes that are left. */
struct gemm_key gemm_key(const struct gemm *g, size_t workspace);
/* Makes the descriptors. After a failure gemm_plan_close frees what was made. */
cublasStatus_t gemm_plan_open(struct gemm_plan *plan, const struct gemm_key *key);
/* Gets the heuristic's first `most` algorithms, the one that it thinks fastest first; returns how many there are. All
   keep the rules: float sums of unrounded operands, and split sums added in a fixed order. 0: plan->reason says why.
   This and the functions below need a device. */
int gemm_plan_candidates(struct gemm_plan *plan, cublasLtHandle_t handle, struct gemm_algorithm *to, int most);
/* Takes the first of these algorithms. */
void gemm_plan_choose(struct gemm_plan *plan, cublasLtHandle_t handle);
/* 1: the library does this product by algorithm->algo, within the key's workspace and the
   rules; sets algorithm->workspace. */
int gemm_plan_takes(const struct gemm_plan *plan, cublasLtHandle_t handle, struct gemm_algorithm *algorithm);
/* Queues the product; workspace [algorithm->workspace]. */
cublasStatus_t gemm_plan_run(struct gemm_plan *plan, cublasLtHandle_t handle, const struct gemm *g,
                             const struct gemm_algorithm *algorithm, void *workspace, cudaStream_t stream);
void gemm_plan_close(struct gemm_plan *plan);

#endif
