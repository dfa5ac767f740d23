/* operations.h: measures the rates of single operations at given sizes and prints them with their share
   of the measured limits (measure.h): of the arithmetic limit for matrix products and attention, of a
   copy's rate for all else. Operands come from `o`, which must be large enough. The backward of
   attention counts five products where the forward counts two. */
#ifndef TOOLS_BENCH_OPERATIONS_H
#define TOOLS_BENCH_OPERATIONS_H

#include "tools/bench/measure.h"

void bench_linear(const struct limits *l, const struct operands *o, long n, long din, long dout);
/* A linear layer d -> ffn with GELU, and its backward. */
void bench_gelu(const struct limits *l, const struct operands *o, long n, long d, long ffn);
/* Attention of B samples with S queries, K keys and H heads of width D. */
void bench_attention(const struct limits *l, const struct operands *o, const char *what, long B, long S, long K, long H,
                     long D);
/* Operations that memory bounds: norms, modulation, residuals, rotations, pointwise ones, the optimiser. n rows of
   width d, in groups of `rows`, with H heads. */
void bench_streams(const struct limits *l, const struct operands *o, long n, long d, long rows, long H);
/* A 3 x 3 convolution of `frames` frames of h x w, ci to co channels, and its gradients. */
void bench_conv(const struct limits *l, const struct operands *o, long frames, long h, long w, long ci, long co);
/* All of these at the sizes of the 5B network's block over 21 latent frames of 928 x 704 pixels and of its light
   decoder; operands need 21 x 638 x 14336 numbers. tiny 1: small sizes, with operands of 2^18 numbers. */
void bench_dit_operations(const struct limits *l, const struct operands *o, int tiny);
/* The six calls that take most of the time, at the sizes of a chunk of the 5B network's stream, each once without and
   once with a profiler (device_profile). Operands as above. */
void bench_profiled(const struct operands *o, int tiny);

#endif
