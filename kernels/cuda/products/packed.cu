/* packed.cu: copies of weights for products: the tensor cores' kernels read the weights as they are. */
#include "kernels/cuda/kernel.cuh"

long packed_room(long) { return 0; }
long packed_lent(long) { return 0; }

void packed_open(elem *, const elem *, long, long) {}

void packed_renew(const void *, long) {}

void packed_close(const void *, long) {}
