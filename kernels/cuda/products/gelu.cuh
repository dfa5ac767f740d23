/* gelu.cuh: the tanh form of GELU and its slope (Hendrycks & Gimpel 2016), and the logistic function, in
   float. */
#ifndef KERNELS_CUDA_PRODUCTS_GELU_CUH
#define KERNELS_CUDA_PRODUCTS_GELU_CUH

#define GELU_ROOT  0.79788456080286535588f /* sqrt(2/pi) */
#define GELU_CUBIC 0.044715f

__device__ static inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

__device__ static inline float gelu_value(float x) {
    return 0.5f * x * (1 + tanhf(GELU_ROOT * (x + GELU_CUBIC * x * x * x)));
}

__device__ static inline float gelu_slope(float x) {
    float t = tanhf(GELU_ROOT * (x + GELU_CUBIC * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * GELU_ROOT * (1 + 3 * GELU_CUBIC * x * x);
}

#endif
