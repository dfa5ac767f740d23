/* norms.c: LayerNorm (Ba 2016), with modulation (Peebles 2023) or with weights, and RMSNorm (Zhang 2019).
   x [n, d]; mean and rstd [n]. With xh = (x - mean) rstd and dxh the gradient at xh:
   dx = rstd (dxh - mean(dxh) - xh mean(dxh xh)).
   Residuals may go before: out = x + branch gate, and the norm of out.
   A row is read from memory once and stays in the first cache for its second and third pass. Rows are split over
   threads; gradients of a group's vectors are summed by the one thread that has the group, gradients of weights in a
   piece for each thread, added up in the order of the threads. */
#include <math.h>
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "kernels/cpu/residual.h"
#include "kernels/cpu/row_sums.h"

/* Vectors that the sums over a row go to in turn, because an addition takes as long as
   several reads; the rest of the row goes to the first. */
enum { SUMS = 4, TURN = SUMS * LANES };
SIMD float sums_total(const vec *sum, long d) { return vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) / (float)d; }

static void row_statistics(real *mean, real *rstd, const resid *x, long d, real eps) {
    vec sum[SUMS] = {0}, squares[SUMS] = {0};
    long turns = d / TURN * TURN;
    for (long i = 0; i < turns; i += TURN)
        for (int j = 0; j < SUMS; j++) sum[j] += vec_load(x + i + j * LANES);
    for (long i = turns; i < d; i += LANES) sum[0] += vec_load_some(x + i, d - i);
    float m = sums_total(sum, d);
    for (long i = 0; i < turns; i += TURN)
        for (int j = 0; j < SUMS; j++) {
            vec centred = vec_load(x + i + j * LANES) - m;
            squares[j] += centred * centred;
        }
    for (long i = turns; i < d; i += LANES) {
        vec centred = vec_first(vec_load_some(x + i, d - i) - m, d - i);
        squares[0] += centred * centred;
    }
    *mean = m;
    *rstd = 1 / sqrtf(sums_total(squares, d) + eps);
}

SIMD void modulate_row(elem *y, const resid *x, real mean, real rstd, const real *shift, const real *scale, long d) {
    for (long i = 0; i < d; i += LANES) {
        vec xh = (vec_load_some(x + i, d - i) - mean) * rstd;
        elem_store_some(y + i, xh * (1.0f + vec_load_some(scale + i, d - i)) + vec_load_some(shift + i, d - i), d - i);
    }
}

SIMD void affine_row(elem *y, const resid *x, real mean, real rstd, const elem *w, const elem *b, long d) {
    for (long i = 0; i < d; i += LANES) {
        vec xh = (vec_load_some(x + i, d - i) - mean) * rstd;
        elem_store_some(y + i, xh * elem_load_some(w + i, d - i) + elem_load_some(b + i, d - i), d - i);
    }
}

/* out = x + branch gate; gate NULL: x + branch */
SIMD void residual_row(resid *out, const resid *x, const elem *branch, const real *gate, long d) {
    for (long i = 0; i < d; i += LANES) {
        vec v = elem_load_some(branch + i, d - i);
        if (gate) v *= vec_load_some(gate + i, d - i);
        vec_store_some(out + i, vec_load_some(x + i, d - i) + v, d - i);
    }
}

void layernorm_modulate_forward(elem *y, real *mean, real *rstd, const resid *x, const real *shift, const real *scale,
                                long n, long d, long rows_per_group, long group_stride, real eps) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        long group = r / rows_per_group * group_stride;
        row_statistics(&mean[r], &rstd[r], x + r * d, d, eps);
        modulate_row(y + r * d, x + r * d, mean[r], rstd[r], shift + group, scale + group, d);
    }
}

void layernorm_forward(elem *y, real *mean, real *rstd, const resid *x, const elem *w, const elem *b, long n, long d,
                       real eps) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        row_statistics(&mean[r], &rstd[r], x + r * d, d, eps);
        affine_row(y + r * d, x + r * d, mean[r], rstd[r], w, b, d);
    }
}

void residual_modulate_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                               const real *gate, long gate_stride, const real *shift, const real *scale, long n, long d,
                               long rows_per_group, long group_stride, real eps) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        long group = r / rows_per_group * group_stride;
        const real *g = gate ? gate + r / rows_per_group * gate_stride : NULL;
        residual_row(out + r * d, x + r * d, branch + r * d, g, d);
        row_statistics(&mean[r], &rstd[r], out + r * d, d, eps);
        modulate_row(y + r * d, out + r * d, mean[r], rstd[r], shift + group, scale + group, d);
    }
}

void residual_layernorm_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                                const real *gate, long gate_stride, const elem *w, const elem *b, long n, long d,
                                long rows_per_group, real eps) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        const real *g = gate ? gate + r / rows_per_group * gate_stride : NULL;
        residual_row(out + r * d, x + r * d, branch + r * d, g, d);
        row_statistics(&mean[r], &rstd[r], out + r * d, d, eps);
        affine_row(y + r * d, out + r * d, mean[r], rstd[r], w, b, d);
    }
}

/* One row of a LayerNorm's backward: dx (NULL: not wanted), and what the row adds to the sums of dy and of dy xh (NULL:
   not wanted). dxh = dy factor, where factor is the weight or 1 + scale. */
struct norm_row {
    resid *dx;
    real *dy_sum, *dy_xh_sum;
    const elem *dy, *weight;
    const real *scale;
    const resid *x;
    real mean, rstd;
    const struct residual_row *front; /* residual whose backward follows, from the new dx; NULL: none */
};
SIMD vec row_factor(const struct norm_row *r, long i, long left) {
    return r->weight ? elem_load_some(r->weight + i, left) : 1.0f + vec_load_some(r->scale + i, left);
}
static void layernorm_backward_row(const struct norm_row *r, long d) {
    vec sum = {0}, product = {0};
    for (long i = 0; i < d; i += LANES) {
        vec dy = elem_load_some(r->dy + i, d - i), xh = (vec_load_some(r->x + i, d - i) - r->mean) * r->rstd;
        vec dxh = dy * row_factor(r, i, d - i);
        if (r->dy_sum) vec_store_some(r->dy_sum + i, vec_load_some(r->dy_sum + i, d - i) + dy, d - i);
        if (r->dy_xh_sum) vec_store_some(r->dy_xh_sum + i, vec_load_some(r->dy_xh_sum + i, d - i) + dy * xh, d - i);
        sum += dxh; /* dy reads as zero past the row's end, so these need no mask */
        product += dxh * xh;
    }
    if (!r->dx) return;
    float mean_dxh = vec_sum(sum) / (float)d, mean_product = vec_sum(product) / (float)d;
    for (long i = 0; i < d; i += LANES) {
        vec xh = (vec_load_some(r->x + i, d - i) - r->mean) * r->rstd;
        vec dxh = elem_load_some(r->dy + i, d - i) * row_factor(r, i, d - i);
        vec dx = vec_load_some(r->dx + i, d - i) + r->rstd * (dxh - mean_dxh - xh * mean_product);
        vec_store_some(r->dx + i, dx, d - i);
        if (r->front) residual_back(r->front, dx, i, d - i);
    }
}

void layernorm_modulate_backward(resid *dx, real *dshift, real *dscale, const elem *dy, const resid *x,
                                 const real *mean, const real *rstd, const real *scale, long n, long d,
                                 long rows_per_group, long group_stride) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long first = 0; first < n; first += rows_per_group) {
        long last = first + rows_per_group < n ? first + rows_per_group : n;
        long group = first / rows_per_group * group_stride;
        for (long r = first; r < last; r++) {
            struct norm_row row = {.dx = dx ? dx + r * d : NULL,
                                   .dy_sum = dshift ? dshift + group : NULL,
                                   .dy_xh_sum = dscale ? dscale + group : NULL,
                                   .dy = dy + r * d,
                                   .scale = scale + group,
                                   .x = x + r * d,
                                   .mean = mean[r],
                                   .rstd = rstd[r]};
            layernorm_backward_row(&row, d);
        }
    }
}

void layernorm_backward(resid *dx, real *dw, real *db, const elem *dy, const resid *x, const real *mean,
                        const real *rstd, const elem *w, long n, long d) {
    KERNEL_SCOPE;
    struct row_sums sums = row_sums_open(2 * d);
    if (!sums.at) return;
#pragma omp parallel
    {
        float *piece = row_sums_own(&sums);
#pragma omp for schedule(static)
        for (long r = 0; r < n; r++) {
            struct norm_row row = {.dx = dx ? dx + r * d : NULL,
                                   .dy_sum = db ? piece : NULL,
                                   .dy_xh_sum = dw ? piece + d : NULL,
                                   .dy = dy + r * d,
                                   .weight = w,
                                   .x = x + r * d,
                                   .mean = mean[r],
                                   .rstd = rstd[r]};
            layernorm_backward_row(&row, d);
        }
    }
    row_sums_add(db, &sums, 0, d);
    row_sums_add(dw, &sums, d, d);
    row_sums_close();
}

/* The residual in front of a norm, as both kernels below take it. All rows of a group belong to one thread. */
struct front {
    elem *dbranch;
    real *dgate;
    const elem *branch;
    const real *gate;
    long gate_stride, rows_per_group;
};
/* Goes back through a group's rows. `norm` has the vectors of the norm, not yet those of a row; `own` are this thread's
   sums of dbias (NULL: not wanted). */
static void residual_norm_rows(struct norm_row norm, const struct front *f, const real *mean, const real *rstd,
                               float *own, long group, long n, long d) {
    long first = group * f->rows_per_group, last = first + f->rows_per_group < n ? first + f->rows_per_group : n;
    for (long r = first; r < last; r++) {
        struct norm_row row = norm;
        struct residual_row front = {.dy = f->dbranch + r * d,
                                     .dgate = f->dgate ? f->dgate + group * f->gate_stride : NULL,
                                     .db = own,
                                     .y = f->branch + r * d,
                                     .gate = f->gate ? f->gate + group * f->gate_stride : NULL};
        row.dx += r * d, row.dy += r * d, row.x += r * d;
        row.mean = mean[r], row.rstd = rstd[r], row.front = &front;
        layernorm_backward_row(&row, d);
    }
}

void residual_layernorm_backward(resid *dx, real *dw, real *db, elem *dbranch, real *dgate, real *dbias, const elem *dy,
                                 const resid *x, const real *mean, const real *rstd, const elem *w, const elem *branch,
                                 const real *gate, long gate_stride, long n, long d, long rows_per_group) {
    KERNEL_SCOPE;
    struct front front = {dbranch, dgate, branch, gate, gate_stride, gate || dgate ? rows_per_group : 1};
    struct row_sums sums = row_sums_open(3 * d);
    if (!sums.at) return;
#pragma omp parallel
    {
        float *own = row_sums_own(&sums);
        struct norm_row row = {
            .dx = dx, .dy_sum = db ? own : NULL, .dy_xh_sum = dw ? own + d : NULL, .dy = dy, .weight = w, .x = x};
#pragma omp for schedule(static)
        for (long g = 0; g < (n + front.rows_per_group - 1) / front.rows_per_group; g++)
            residual_norm_rows(row, &front, mean, rstd, dbias ? own + 2 * d : NULL, g, n, d);
    }
    row_sums_add(db, &sums, 0, d);
    row_sums_add(dw, &sums, d, d);
    row_sums_add(dbias, &sums, 2 * d, d);
    row_sums_close();
}

void residual_modulate_backward(resid *dx, real *dshift, real *dscale, elem *dbranch, real *dgate, real *dbias,
                                const elem *dy, const resid *x, const real *mean, const real *rstd, const real *scale,
                                const elem *branch, const real *gate, long gate_stride, long n, long d,
                                long rows_per_group, long group_stride) {
    KERNEL_SCOPE;
    struct front front = {dbranch, dgate, branch, gate, gate_stride, rows_per_group};
    struct row_sums sums = row_sums_open(d);
    if (!sums.at) return;
#pragma omp parallel
    {
        float *own = row_sums_own(&sums);
#pragma omp for schedule(static)
        for (long g = 0; g < (n + rows_per_group - 1) / rows_per_group; g++) {
            struct norm_row row = {.dx = dx,
                                   .dy_sum = dshift ? dshift + g * group_stride : NULL,
                                   .dy_xh_sum = dscale ? dscale + g * group_stride : NULL,
                                   .dy = dy,
                                   .scale = scale + g * group_stride,
                                   .x = x};
            residual_norm_rows(row, &front, mean, rstd, dbias ? own : NULL, g, n, d);
        }
    }
    row_sums_add(dbias, &sums, 0, d);
    row_sums_close();
}

void rmsnorm_forward(elem *y, real *rstd, const elem *x, const elem *w, long n, long d, real eps) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long r = 0; r < n; r++) {
        const elem *row = x + r * d;
        vec squares = {0};
        for (long i = 0; i < d; i += LANES) {
            vec v = elem_load_some(row + i, d - i);
            squares += v * v;
        }
        float scale = 1 / sqrtf(vec_sum(squares) / (float)d + eps);
        rstd[r] = scale;
        for (long i = 0; i < d; i += LANES)
            elem_store_some(y + r * d + i, elem_load_some(row + i, d - i) * scale * elem_load_some(w + i, d - i),
                            d - i);
    }
}

/* Goes back through one row and adds to dw [d] (NULL: not wanted). dx may be dy: all of
   dy is read before the first write. */
static void rmsnorm_backward_row(elem *dx, float *dw, const elem *dy, const elem *x, float rstd, const elem *w,
                                 long d) {
    vec product = {0}; /* dot product of the gradient at x rstd with x rstd */
    for (long i = 0; i < d; i += LANES) {
        vec g = elem_load_some(dy + i, d - i), xh = elem_load_some(x + i, d - i) * rstd;
        product += g * elem_load_some(w + i, d - i) * xh;
        if (dw) vec_store_some(dw + i, vec_load_some(dw + i, d - i) + g * xh, d - i);
    }
    if (!dx) return;
    float mean_product = vec_sum(product) / (float)d;
    for (long i = 0; i < d; i += LANES) {
        vec g = elem_load_some(dy + i, d - i), xh = elem_load_some(x + i, d - i) * rstd;
        elem_store_some(dx + i, rstd * (g * elem_load_some(w + i, d - i) - xh * mean_product), d - i);
    }
}

void rmsnorm_backward(elem *dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w, long n,
                      long d) {
    KERNEL_SCOPE;
    struct row_sums sums = row_sums_open(d);
    if (!sums.at) return;
#pragma omp parallel
    {
        float *piece = row_sums_own(&sums);
#pragma omp for schedule(static)
        for (long r = 0; r < n; r++)
            rmsnorm_backward_row(dx ? dx + r * d : NULL, dw ? piece : NULL, dy + r * d, x + r * d, rstd[r], w, d);
    }
    row_sums_add(dw, &sums, 0, d);
    row_sums_close();
}
