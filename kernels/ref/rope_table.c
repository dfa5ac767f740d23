/* rope_table.c: the angles of rotary positions on three axes (Su 2021; Wan's order of pairs), for all backends on
   the host. The first pairs_t pairs of a head turn by the frame, then pairs_h by the row, pairs_w by the column. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"

/* Writes the cosines and sines of one axis to a token's table row, from pair `first` on. */
static void axis_angles(real *c, real *s, int first, int pairs, double theta, double position) {
    for (int k = 0; k < pairs; k++) {
        double angle = position * pow(theta, -(double)k / pairs);
        c[first + k] = (real)cos(angle);
        s[first + k] = (real)sin(angle);
    }
}

void rope_table(real *cos, real *sin, const struct rope_axes *axes, const int *frame_position, int frames, int ph,
                int pw) {
    KERNEL_SCOPE;
    long half = axes->head_dim / 2, tokens = (long)ph * pw;
#pragma omp parallel for schedule(static)
    for (long i = 0; i < frames * tokens; i++) {
        real *c = cos + i * half, *s = sin + i * half;
        axis_angles(c, s, 0, axes->pairs_t, axes->theta_t, frame_position[i / tokens]);
        axis_angles(c, s, axes->pairs_t, axes->pairs_h, axes->theta_hw, (double)(i % tokens / pw));
        axis_angles(c, s, axes->pairs_t + axes->pairs_h, axes->pairs_w, axes->theta_hw, (double)(i % pw));
    }
}
