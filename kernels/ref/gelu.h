/* gelu.h: the tanh form of GELU and its slope, and its exact form (Hendrycks & Gimpel
   2016), for pointwise.c and gemm.c; the logistic function, for pointwise.c and reference_gate.c. */
#ifndef KERNELS_REF_GELU_H
#define KERNELS_REF_GELU_H

#include <math.h>
#include "kernels/types.h"

#define GELU_ROOT  0.79788456080286535588 /* sqrt(2/pi) */
#define GELU_CUBIC 0.044715

static inline real gelu_value(real x) {
    return (real)(0.5 * x * (1.0 + tanh(GELU_ROOT * (x + GELU_CUBIC * x * x * x))));
}

static inline real gelu_slope(real x) {
    double t = tanh(GELU_ROOT * (x + GELU_CUBIC * x * x * x));
    return (real)(0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * GELU_ROOT * (1.0 + 3.0 * GELU_CUBIC * x * x));
}

static inline double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

/* The exact form. */
static inline real gelu_erf_value(real x) { return (real)(0.5 * x * (1.0 + erf(x * 0.70710678118654752440))); }

#endif
