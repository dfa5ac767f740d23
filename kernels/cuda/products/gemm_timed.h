/* gemm_timed.h: does products by the algorithm that was fastest on this device when it was timed, in
   place of the one that the library thinks fastest, where the environment variable
   STREAMAVATAR_PRODUCTS names a file. The choices are kept in that file, a line for each product, and
   later runs with the file take the same, so that bits depend on the file and not on timing. A line
   holds for one version of the library, one compute capability, one number type and one gemm_key. */
#ifndef KERNELS_CUDA_PRODUCTS_GEMM_TIMED_H
#define KERNELS_CUDA_PRODUCTS_GEMM_TIMED_H

#include "kernels/cuda/products/gemm_plan.h"

/* Sets plan->algorithm to the file's choice for it, or else to the fastest of the heuristic's candidates, which it
   times with the operands of g (d is written; it waits for the stream) and adds to the file. The heuristic's first
   choice stays with no file, with `deterministic` on, where the product adds to d, inside a recording where the file
   has none, and where no other is at least 2 % faster. */
void gemm_timed_choice(struct gemm_plan *plan, cublasLtHandle_t handle, const struct gemm *g);

#endif
