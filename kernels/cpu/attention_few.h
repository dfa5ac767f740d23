/* attention_few.h: attention of many queries to a few keys (a frame's audio tokens, a prompt of some words). Queries
   are used as they lie in memory: with so few keys, packing queries into tiles costs more than the products.
   Part of attention.c, which chooses; arguments are those of attention_forward and attention_backward (kernels.h).
   Sums, probabilities and their gradients are float throughout, and no two tasks write the same number. */
#ifndef KERNELS_CPU_ATTENTION_FEW_H
#define KERNELS_CPU_ATTENTION_FEW_H

#include "kernels/kernels.h"

enum { FEW_KEYS = 8 }; /* most keys, of all ranges together; with more, tiles are as fast */
int attention_is_few(const struct attention_range *ranges, int count);
void attention_few_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                           long S, long H, long D, real scale);
void attention_few_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                            const struct attention_range *ranges, int count, long B, long S, long H, long D,
                            real scale);

#endif
