/* modulation.c: modulation vectors, gated residuals and the sinusoid of the time step (DiT: Peebles 2023), as the
   definition. Group g of rows g rows_per_group .. has its vectors at + g group_stride. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void modulation_forward(real *m, const elem *table, const real *e, long groups, long width) {
    KERNEL_SCOPE;
    for (long g = 0; g < groups; g++)
        for (long i = 0; i < width; i++) m[g * width + i] = elem_load(table[i]) + e[g * width + i];
}

void modulation_backward(real *dtable, real *de, const real *dm, long groups, long width) {
    KERNEL_SCOPE;
    for (long g = 0; g < groups; g++) {
        for (long i = 0; i < width; i++) {
            if (dtable) dtable[i] += dm[g * width + i];
            if (de) de[g * width + i] += dm[g * width + i];
        }
    }
}

void residual_forward(resid *out, const resid *x, const elem *y, const real *gate, long n, long d, long rows_per_group,
                      long group_stride) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        const real *g = gate ? gate + r / rows_per_group * group_stride : NULL;
        for (long i = 0; i < d; i++) out[r * d + i] = x[r * d + i] + elem_load(y[r * d + i]) * (g ? g[i] : 1);
    }
}

void residual_backward(elem *dy, real *dgate, real *db, const resid *dout, const elem *y, const real *gate, long n,
                       long d, long rows_per_group, long group_stride) {
    KERNEL_SCOPE;
    for (long r = 0; r < n; r++) {
        long group = gate || dgate ? r / rows_per_group * group_stride : 0;
        for (long i = 0; i < d; i++) {
            long at = r * d + i;
            if (dgate) dgate[group + i] += dout[at] * elem_load(y[at]);
            real g = dout[at] * (gate ? gate[group + i] : 1);
            if (db) db[i] += g;
            if (dy) dy[at] = elem_store(g);
        }
    }
}

void time_sinusoid(elem *s, const real *t, long n, long width) {
    KERNEL_SCOPE;
    long half = width / 2;
    for (long r = 0; r < n; r++) {
        for (long i = 0; i < half; i++) {
            double angle = (double)t[r] * pow(10000.0, -(double)i / (double)half);
            s[r * width + i] = elem_store((real)cos(angle));
            s[r * width + half + i] = elem_store((real)sin(angle));
        }
    }
}
