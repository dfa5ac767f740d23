/* operations.h: the rates of single operations at given sizes, against the measured limits (measure.h):
   products of matrices and attention as shares of the arithmetic limit, all else of a copy. Operands come from `o`,
   which must be large enough; a backward of attention counts five products for the forward's two. */
#ifndef TOOLS_BENCH_OPERATIONS_H
#define TOOLS_BENCH_OPERATIONS_H

#include "tools/bench/measure.h"

void bench_linear(const struct limits *l, const struct operands *o, long n, long din, long dout);
/* d -> ffn with GELU, and back. */
void bench_gelu(const struct limits *l, const struct operands *o, long n, long d, long ffn);
/* B samples of S queries and K keys, H heads of width D. */
void bench_attention(const struct limits *l, const struct operands *o, const char *what, long B, long S, long K, long H,
                     long D);
/* What memory bounds: norms, modulation, residuals, rotations, pointwise, the optimiser. Rows n of width d in groups of
   `rows`, H heads. */
void bench_streams(const struct limits *l, const struct operands *o, long n, long d, long rows, long H);
/* A 3 x 3 convolution of `frames` frames of h x w, ci to co channels, and its gradients. */
void bench_conv(const struct limits *l, const struct operands *o, long frames, long h, long w, long ci, long co);
/* All of them at the sizes of the 5B network's block over 21 latent frames of 928 x 704 pixels and of its light
   decoder; tiny: small ones. Operands of 21 x 638 x 14336 numbers, or 2^18. */
void bench_dit_operations(const struct limits *l, const struct operands *o, int tiny);
/* The six calls that most time goes to, at the sizes of a chunk of the 5B network's stream, each once unseen and once
   for a profiler (device_profile). The same operands. */
void bench_profiled(const struct operands *o, int tiny);

#endif
