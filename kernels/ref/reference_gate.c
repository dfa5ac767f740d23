/* reference_gate.c: the reference shines through a prediction of clean latents where a gate lets it, as the definition:
   clean + r s(gate), s(a) = 1 / (1 + exp(-a)). */
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/ref/gelu.h"

void reference_gate_forward(real *clean, long clean_stride, const real *gate, const real *reference,
                            long reference_stride, long B, long F, long size) {
    KERNEL_SCOPE;
    for (long f = 0; f < B * F; f++) {
        real *to = clean + f / F * clean_stride + f % F * size;
        const real *r = reference + f / F * reference_stride, *a = gate + f * size;
        for (long i = 0; i < size; i++) to[i] += r[i] * (real)sigmoid(a[i]);
    }
}

void reference_gate_backward(real *d, real *dreference, long dreference_stride, const real *gate, const real *reference,
                             long reference_stride, long B, long F, long size) {
    KERNEL_SCOPE;
    for (long f = 0; f < B * F; f++) {
        const real *r = reference + f / F * reference_stride, *a = gate + f * size;
        real *own = d + f * size, *sum = dreference ? dreference + f / F * dreference_stride : NULL;
        for (long i = 0; i < size; i++) {
            real s = (real)sigmoid(a[i]);
            if (sum) sum[i] += own[i] * s;
            own[i] *= r[i] * s * (1 - s);
        }
    }
}
