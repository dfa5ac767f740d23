/* gemm.h: what other files of this backend take from its products. */
#ifndef KERNELS_CPU_GEMM_H
#define KERNELS_CPU_GEMM_H

#include <stdint.h>

/* c [m, n] = a [m, k] b^T with b [n, k], by oneDNN; 0: it does not take the product. The sums are exact only on
   processors that have instructions for them (VNNI, AMX): elsewhere the library adds pairs of products in 16 bits,
   which saturate. */
int product_of_int8(int32_t *c, const int8_t *a, const int8_t *b, long m, long k, long n);

#endif
