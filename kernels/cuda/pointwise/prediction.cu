/* prediction.cu: turns a prediction of the clean latents x0 into the velocity of the flow, x = (1 - sigma) x0 +
   sigma eps, v = eps - x0 = (x - x0) / sigma. The floor keeps the quotient finite at small levels. */
#include "kernels/cuda/kernel.cuh"

__device__ static inline real level_of(real t, real floor) { return fmaxf(t / 1000, floor); }

struct velocity_from_clean {
    real *v;
    const real *x, *t;
    long v_stride, x_stride, F, size;
    real floor;
    template <int V, class I> __device__ void at(I i) const {
        float a[V], b[V];
        real *to = v + at_stride(i, F, size, v_stride), level = level_of(t[quotient(i, size)], floor);
        load(a, x + at_stride(i, F, size, x_stride));
        load(b, to);
#pragma unroll
        for (int j = 0; j < V; j++) b[j] = (a[j] - b[j]) / level;
        store(to, b);
    }
};

void clean_to_velocity(real *v, long v_stride, const real *x, long x_stride, const real *t, real floor, long B, long F,
                       long size) {
    for_each_place(velocity_from_clean{v, x, t, v_stride, x_stride, F, size, floor}, B * F * size,
                   aligned16(v) && aligned16(x) && size % VECTOR == 0 && v_stride % 4 == 0 && x_stride % 4 == 0);
}

struct velocity_slope {
    real *dclean, *dx;
    const real *dv, *t;
    long dx_stride, dv_stride, F, size;
    real floor;
    template <int V, class I> __device__ void at(I i) const {
        float a[V], b[V];
        real level = level_of(t[quotient(i, size)], floor);
        load(a, dv + at_stride(i, F, size, dv_stride));
#pragma unroll
        for (int j = 0; j < V; j++) a[j] = -a[j] / level;
        store(dclean + i, a);
        if (!dx) return;
        real *to = dx + at_stride(i, F, size, dx_stride);
        load(b, to);
#pragma unroll
        for (int j = 0; j < V; j++) b[j] -= a[j];
        store(to, b);
    }
};

void clean_to_velocity_backward(real *dclean, real *dx, long dx_stride, const real *dv, long dv_stride, const real *t,
                                real floor, long B, long F, long size) {
    for_each_place(velocity_slope{dclean, dx, dv, t, dx_stride, dv_stride, F, size, floor}, B * F * size,
                   aligned16(dclean) && aligned16(dx) && aligned16(dv) && size % VECTOR == 0 && dx_stride % 4 == 0 &&
                       dv_stride % 4 == 0);
}
