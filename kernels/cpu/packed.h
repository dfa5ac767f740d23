/* packed.h: the copies of weights behind packed_open (kernels.h), for gemm.c, which calls all of this between
   onednn_acquire and onednn_release. */
#ifndef KERNELS_CPU_PACKED_H
#define KERNELS_CPU_PACKED_H

#include "kernels/cpu/onednn.h"

/* A weight as the second operand B [k, n] of a product: w [n, k] transposed (forward), or
   w [k, n] itself (gradients of inputs). */
struct packed_form {
    long k, n;
    int transposed;
};
/* 1: a product of `rows` rows with this weight reads it in the library's layout. Its products gain by
   that, the layout is no larger than the weight, and either there is a copy (packed_open) or one is
   made for each product. In float it is made always, because there the two ways differ in the last bit,
   and the result must not depend on where a weight lies. */
int packed_wanted(const elem *w, const struct packed_form *form, long rows);
/* The layout of that copy; NULL: packed_wanted says 0. */
const dnnl_memory_desc_t *packed_layout(const struct packed_form *form);
/* The copy, which is made now if there is none or it is stale; NULL: the weight has no room for one. */
const elem *packed_copy(const elem *w, const struct packed_form *form);
/* Writes the weight in that layout to `to` [k n]; 0: it failed. */
int packed_into(elem *to, const elem *w, const struct packed_form *form);

#endif
