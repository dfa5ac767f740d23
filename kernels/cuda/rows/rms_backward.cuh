/* rms_backward.cuh: the backward of RMSNorm (norms.cu), which is also that of norm and rotation in one (norm_rope.cu):
   a function turns the row's gradient first. */
#ifndef KERNELS_CUDA_ROWS_RMS_BACKWARD_CUH
#define KERNELS_CUDA_ROWS_RMS_BACKWARD_CUH

#include "kernels/cuda/rows/rows.cuh"

/* 1: a norm's rows fit in registers. 0: they are too wide, and a failure is kept. */
static inline int row_fits(const struct row_shape *shape, long d) {
    if (!shape->pieces) device_fail("norm: rows of %ld numbers, at most %d are built", d, ROW_WIDTH_MAX);
    return shape->pieces != 0;
}

struct rms_backward {
    elem *dx; /* NULL: not wanted; may be dy: a row is read whole before it is written */
    long dx_stride;
    float *dw_sum; /* partial sums; NULL: not wanted */
    const elem *dy, *x, *w;
    const real *rstd;
    long d;
    struct row_parts rows;
};

/* The backward of RMSNorm. turn(row, r) changes the gradient of row r (32 bits) before; all threads call it. */
template <int V, int K, class Turn> __global__ void rmsnorm_backward_kernel(struct rms_backward a, Turn turn) {
    struct row_span span = span_of_block(a.rows);
    row<V, K> sum;
    row_fill(sum, 0);
    for (long r = span.first; r < span.end; r++) {
        row<V, K> xh, dxh;
        float rstd = a.rstd[r], product = 0;
        row_load(xh, a.x + r * a.d, a.d);
        row_load(dxh, a.dy + r * a.d, a.d);
        turn(dxh, (unsigned)r);
        EACH_PIECE(V, K, a.d) {
            float factor[V];
            load(factor, a.w + c);
#pragma unroll
            for (int j = 0; j < V; j++) {
                xh.x[k][j] *= rstd;
                sum.x[k][j] += dxh.x[k][j] * xh.x[k][j];
                dxh.x[k][j] *= factor[j];
                product += dxh.x[k][j] * xh.x[k][j];
            }
        }
        if (!a.dx) continue;
        product = block_sum(product) / (float)a.d;
#pragma unroll
        for (int k = 0; k < K; k++)
#pragma unroll
            for (int j = 0; j < V; j++) dxh.x[k][j] = rstd * (dxh.x[k][j] - xh.x[k][j] * product);
        row_store(a.dx + r * a.dx_stride, dxh, a.d);
    }
    if (a.dw_sum) row_store(a.dw_sum + blockIdx.x * a.d, sum, a.d);
}

/* Plans the parts of n rows and, where dw is wanted, takes room for its partial sums from the workspace. 0: there is no
   room, or there are no rows or too many. */
static inline int rms_backward_begin(struct rms_backward *a, long n, const real *dw) {
    a->rows = row_parts(n, n, a->d, dw != NULL);
    if (!a->rows.groups) return 0;
    return !dw || (a->dw_sum = (float *)workspace_push(sizeof(float) * (size_t)(a->rows.parts * a->d)));
}

/* Adds the partial sums to dw and gives their room back. */
static inline void rms_backward_end(struct rms_backward *a, real *dw) {
    add_parts(dw, a->dw_sum, 1, a->rows.parts, a->d, 0);
    workspace_pop(a->dw_sum);
}

#endif
