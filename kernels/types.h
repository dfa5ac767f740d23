/* types.h: the number types of device memory.
   elem   weights and saved activations: float, or bf16 (TYPE_BF16)
   resid  the residual stream and its gradient: float
   real   accumulators, norms, softmax statistics, modulation, losses, head output, latents, gradients of weights: float
   In the double build (TYPE_DOUBLE, backend ref only) all three are double. The oracle (oracle.h) includes kernels.h
   a second time with the three names defined as macros for double. */
#ifndef KERNELS_TYPES_H
#define KERNELS_TYPES_H

#include <stdint.h>
#include <string.h>

#if defined(TYPE_DOUBLE)
typedef double elem;
typedef double resid;
typedef double real;
#define TYPE_NAME "double"
static inline real elem_load(elem e) { return e; }
static inline elem elem_store(real v) { return v; }
#elif defined(TYPE_BF16)
typedef uint16_t elem;
typedef float resid;
typedef float real;
#define TYPE_NAME "bf16"
static inline real elem_load(elem e) {
    uint32_t bits = (uint32_t)e << 16;
    float v;
    memcpy(&v, &bits, 4);
    return v;
}
/* Rounds to nearest even; a NaN stays a NaN. */
static inline elem elem_store(real v) {
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (elem)((bits >> 16) | 0x40);
    return (elem)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
#else
typedef float elem;
typedef float resid;
typedef float real;
#define TYPE_NAME "float"
static inline real elem_load(elem e) { return e; }
static inline elem elem_store(real v) { return v; }
#endif

#endif
