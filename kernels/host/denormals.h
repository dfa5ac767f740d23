/* denormals.h: makes results and operands that are too small to be normal floats zero, because each would cost a
   hundred cycles. It is a setting of the calling thread; threads that it creates later inherit it. */
#ifndef KERNELS_HOST_DENORMALS_H
#define KERNELS_HOST_DENORMALS_H

#include <stdint.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

static inline void flush_denormals(void) {
#if defined(__SSE__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* FTZ and DAZ */
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | (1u << 24)));
#endif
}

#endif
