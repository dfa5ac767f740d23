/* peak.h: what the processor's arithmetic units can do at most: products and sums on numbers that never leave the
   registers, by all threads, in the instructions that the backend was compiled for. No kernel can be faster; a product
   of matrices that reaches 90 % of it is a good one. */
#ifndef KERNELS_PEAK_H
#define KERNELS_PEAK_H

/* Operations a second, a product and a sum being two; 0: not measured here (a GPU, whose fastest product stands for
   it). */
struct peak {
    double elem; /* products of elem, summed in real */
    double real;
};
/* Takes a tenth of a second. After device_init. */
struct peak device_peak(void);

#endif
