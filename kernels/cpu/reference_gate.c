/* reference_gate.c: the reference's share of clean latents (kernels.h), a vector at a time; samples are divided among
   the threads, so that each sum over frames is one thread's. */
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/simd.h"

static void add_opened(real *clean, const real *gate, const real *reference, long size) {
    for (long i = 0; i < size; i += LANES) {
        vec s = vec_sigmoid(vec_load_some(gate + i, size - i));
        vec_store_some(clean + i, vec_load_some(clean + i, size - i) + vec_load_some(reference + i, size - i) * s,
                       size - i);
    }
}

void reference_gate_forward(real *clean, long clean_stride, const real *gate, const real *reference,
                            long reference_stride, long B, long F, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static) if (B * F * size > PARALLEL_MIN)
    for (long f = 0; f < B * F; f++)
        add_opened(clean + f / F * clean_stride + f % F * size, gate + f * size, reference + f / F * reference_stride,
                   size);
}

static void slopes(real *d, real *sum, const real *gate, const real *reference, long size) {
    for (long i = 0; i < size; i += LANES) {
        vec s = vec_sigmoid(vec_load_some(gate + i, size - i)), own = vec_load_some(d + i, size - i);
        if (sum) vec_store_some(sum + i, vec_load_some(sum + i, size - i) + own * s, size - i);
        vec_store_some(d + i, own * vec_load_some(reference + i, size - i) * s * (1.0f - s), size - i);
    }
}

void reference_gate_backward(real *d, real *dreference, long dreference_stride, const real *gate, const real *reference,
                             long reference_stride, long B, long F, long size) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static) if (B * F * size > PARALLEL_MIN)
    for (long b = 0; b < B; b++)
        for (long f = b * F; f < (b + 1) * F; f++)
            slopes(d + f * size, dreference ? dreference + b * dreference_stride : NULL, gate + f * size,
                   reference + b * reference_stride, size);
}
