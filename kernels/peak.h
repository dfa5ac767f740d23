/* peak.h: measures the most that the processor's arithmetic units can do: products and sums of numbers that stay in
   registers, by all threads, in the instructions that the backend was compiled for. No kernel can be faster; a matrix
   product that reaches 90 % of it is a good one. */
#ifndef KERNELS_PEAK_H
#define KERNELS_PEAK_H

/* Operations a second; a product and a sum count as two. 0: not measured (on a GPU the
   fastest matrix product stands for it). */
struct peak {
    double elem; /* products of elem, summed in real */
    double real; /* products and sums of real */
};
/* Takes a tenth of a second. Call it after device_init. */
struct peak device_peak(void);

#endif
