/* modulation.c: modulation vectors, gated residuals and the sinusoid of the time step (DiT: Peebles 2023). Group g of
   rows g rows_per_group .. has its vectors at + g group_stride. Sums over a group are made by the thread that has the
   group, sums over groups by the thread that has the columns, sums over all rows in pieces (row_sums.h). */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/residual.h"
#include "kernels/cpu/row_sums.h"

void modulation_forward(real *m, const elem *table, const real *e, long groups, long width) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long g = 0; g < groups; g++)
        for (long i = 0; i < width; i += LANES) {
            long at = g * width + i, left = width - i;
            vec_store_some(m + at, elem_load_some(table + i, left) + vec_load_some(e + at, left), left);
        }
}

void modulation_backward(real *dtable, real *de, const real *dm, long groups, long width) {
    KERNEL_SCOPE;
    enum { COLUMNS = 64 };
#pragma omp parallel for schedule(static)
    for (long first = 0; first < width; first += COLUMNS) {
        vec sum[COLUMNS / LANES] = {0};
        for (long g = 0; g < groups; g++)
            for (long j = 0; j < COLUMNS && first + j < width; j += LANES) {
                long at = g * width + first + j, left = width - first - j;
                vec d = vec_load_some(dm + at, left);
                sum[j / LANES] += d;
                if (de) vec_store_some(de + at, vec_load_some(de + at, left) + d, left);
            }
        for (long j = 0; dtable && j < COLUMNS && first + j < width; j += LANES) {
            long at = first + j;
            vec_store_some(dtable + at, vec_load_some(dtable + at, width - at) + sum[j / LANES], width - at);
        }
    }
}

void residual_forward(resid *out, const resid *x, const elem *y, const real *gate, long n, long d, long rows_per_group,
                      long group_stride) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        const real *g = gate ? gate + r / rows_per_group * group_stride : NULL;
        for (long i = 0; i < d; i += LANES) {
            vec v = elem_load_some(y + r * d + i, d - i);
            if (g) v *= vec_load_some(g + i, d - i);
            vec_store_some(out + r * d + i, vec_load_some(x + r * d + i, d - i) + v, d - i);
        }
    }
}

void residual_backward(elem *dy, real *dgate, real *db, const resid *dout, const elem *y, const real *gate, long n,
                       long d, long rows_per_group, long group_stride) {
    KERNEL_SCOPE;
    if (!gate && !dgate) rows_per_group = 1, group_stride = 0;
    struct row_sums sums = row_sums_open(db ? d : 0);
    if (!sums.at) return;
#pragma omp parallel
    {
        float *own = db ? row_sums_own(&sums) : NULL;
#pragma omp for schedule(static)
        for (long first = 0; first < n; first += rows_per_group) {
            long last = first + rows_per_group < n ? first + rows_per_group : n;
            long group = first / rows_per_group * group_stride;
            for (long r = first; r < last; r++) {
                struct residual_row row = {.dy = dy ? dy + r * d : NULL,
                                           .dgate = dgate ? dgate + group : NULL,
                                           .db = own,
                                           .y = y + r * d,
                                           .gate = gate ? gate + group : NULL};
                for (long i = 0; i < d; i += LANES)
                    residual_back(&row, vec_load_some(dout + r * d + i, d - i), i, d - i);
            }
        }
    }
    row_sums_add(db, &sums, 0, d);
    row_sums_close();
}

void time_sinusoid(elem *s, const real *t, long n, long width) {
    KERNEL_SCOPE;
    long half = width / 2;
#pragma omp parallel for schedule(static)
    for (long i = 0; i < half; i++) {
        double frequency = pow(10000.0, -(double)i / (double)half);
        for (long r = 0; r < n; r++) {
            double angle = (double)t[r] * frequency;
            s[r * width + i] = elem_store((real)cos(angle));
            s[r * width + half + i] = elem_store((real)sin(angle));
        }
    }
}
