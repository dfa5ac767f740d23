/* prediction.c: turns a prediction of the clean latents x0 into the velocity of the flow, x = (1 - sigma) x0 + sigma
   eps, v = eps - x0 = (x - x0) / sigma, as the definition. The floor keeps the quotient finite at small levels. */
#include "kernels/kernels.h"
#include "kernels/device.h"

static real level_of(real t, real floor) {
    real sigma = t / 1000;
    return sigma > floor ? sigma : floor;
}

void clean_to_velocity(real *v, long v_stride, const real *x, long x_stride, const real *t, real floor, long B, long F,
                       long size) {
    KERNEL_SCOPE;
    for (long f = 0; f < B * F; f++) {
        real level = level_of(t[f], floor);
        real *to = v + f / F * v_stride + f % F * size;
        const real *from = x + f / F * x_stride + f % F * size;
        for (long i = 0; i < size; i++) to[i] = (from[i] - to[i]) / level;
    }
}

void clean_to_velocity_backward(real *dclean, real *dx, long dx_stride, const real *dv, long dv_stride, const real *t,
                                real floor, long B, long F, long size) {
    KERNEL_SCOPE;
    for (long f = 0; f < B * F; f++) {
        real level = level_of(t[f], floor);
        const real *from = dv + f / F * dv_stride + f % F * size;
        for (long i = 0; i < size; i++) {
            dclean[f * size + i] = -from[i] / level;
            if (dx) dx[f / F * dx_stride + f % F * size + i] += from[i] / level;
        }
    }
}
