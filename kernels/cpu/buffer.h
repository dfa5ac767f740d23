/* buffer.h: one block of floats that the kernels of this backend share for their tiles and partial sums. It grows to
   the largest request ever made and stays, so that only the first step allocates. No plan counts it, because its size
   depends on the thread count; it is in the order of the first two cache levels, or of a convolution's weights. */
#ifndef KERNELS_CPU_BUFFER_H
#define KERNELS_CPU_BUFFER_H

/* Takes threads x each floats, aligned to 64 bytes, with undefined contents; `each` is rounded up to a multiple of 16.
   The block belongs to the caller until cpu_buffer_give; kernels of other host threads wait meanwhile. NULL, with a
   failure kept (device_sync): there is no memory, and nothing to give back. */
float *cpu_buffer_take(long threads, long *each);
void cpu_buffer_give(void);

#endif
