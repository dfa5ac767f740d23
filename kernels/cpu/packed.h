/* packed.h: the copies of weights behind packed_open (kernels.h), for gemm.c. All between onednn_acquire and
   onednn_release. */
#ifndef KERNELS_CPU_PACKED_H
#define KERNELS_CPU_PACKED_H

#include "kernels/cpu/onednn.h"

/* A weight as the second operand B [k, n] of a product: w [n, k] transposed (forward), or w [k, n] itself (gradients of
   inputs). */
struct packed_form {
    long k, n;
    int transposed;
};
/* 1: a product of `rows` rows with this weight reads it in the library's layout: its products gain by that, the layout
   is no larger than the weight, and there is a copy (packed_open), or it is made for each product: in float always, for
   there the two ways differ in the last bit, and where a weight lies must not show. */
int packed_wanted(const elem *w, const struct packed_form *form, long rows);
/* The layout of that copy; NULL: packed_wanted says 0. */
const dnnl_memory_desc_t *packed_layout(const struct packed_form *form);
/* The copy, made now if it is not there or older than the weight; NULL: the weight has no room for one. */
const elem *packed_copy(const elem *w, const struct packed_form *form);
/* to [k n] = the weight in that layout; 0: it failed. */
int packed_into(elem *to, const elem *w, const struct packed_form *form);

#endif
