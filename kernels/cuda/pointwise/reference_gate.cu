/* reference_gate.cu: the reference's share of clean latents, clean + r s(gate), s(a) = 1 / (1 + exp(-a)), forward and
   backward. Backward, a thread goes through all frames of its places, so that sums have one order. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/products/gelu.cuh"

struct gate_open {
    real *clean;
    const real *gate, *reference;
    long clean_stride, reference_stride, F, size;
    template <int V, class I> __device__ void at(I i) const {
        float a[V], c[V], r[V];
        real *to = clean + at_stride(i, F, size, clean_stride);
        load(a, gate + i);
        load(c, to);
        load(r, reference + quotient(i, F * size) * reference_stride + modulo(i, size));
#pragma unroll
        for (int j = 0; j < V; j++) c[j] += r[j] * sigmoid(a[j]);
        store(to, c);
    }
};

void reference_gate_forward(real *clean, long clean_stride, const real *gate, const real *reference,
                            long reference_stride, long B, long F, long size) {
    for_each_place(gate_open{clean, gate, reference, clean_stride, reference_stride, F, size}, B * F * size,
                   aligned16(clean) && aligned16(gate) && aligned16(reference) && size % VECTOR == 0 &&
                       clean_stride % 4 == 0 && reference_stride % 4 == 0);
}

struct gate_slope { /* one place of the reference, of [B, size] */
    real *d, *dreference;
    const real *gate, *reference;
    long dreference_stride, reference_stride, F, size;
    template <class I> __device__ void at(I i) const {
        I sample = quotient(i, size), place = modulo(i, size);
        real r = reference[sample * reference_stride + place], sum = 0;
        long first = sample * F * size + place;
        for (long at = first; at < first + F * size; at += size) {
            real s = sigmoid(gate[at]), own = d[at];
            sum += own * s;
            d[at] = own * r * s * (1 - s);
        }
        if (dreference) dreference[sample * dreference_stride + place] += sum;
    }
};

void reference_gate_backward(real *d, real *dreference, long dreference_stride, const real *gate, const real *reference,
                             long reference_stride, long B, long F, long size) {
    for_each_place_one(gate_slope{d, dreference, gate, reference, dreference_stride, reference_stride, F, size},
                       B * size);
}
