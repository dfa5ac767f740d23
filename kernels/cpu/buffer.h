/* buffer.h: one block of floats that the kernels of this backend share for their tiles and partial sums. It grows to
   the largest request ever made and stays, so that only the first step allocates. Its size goes with the thread count,
   which no plan of a stage knows; it is in the order of the first two cache levels, or of a convolution's weights. */
#ifndef KERNELS_CPU_BUFFER_H
#define KERNELS_CPU_BUFFER_H

/* threads x each floats, 64-byte aligned, contents undefined; `each` is rounded up to a multiple of 16. The block is
   the caller's until cpu_buffer_give (kernels of other host threads wait). NULL, and a failure kept (device_sync), when
   there is no memory; then there is nothing to give. */
float *cpu_buffer_take(long threads, long *each);
void cpu_buffer_give(void);

#endif
