/* norms.cu: LayerNorm (Ba 2016), with modulation (Peebles 2023) or with weights, and RMSNorm (Zhang 2019).
   x [n, d]; mean and rstd [n]. With xh = (x - mean) rstd and dxh the gradient at xh:
   dx = rstd (dxh - mean(dxh) - xh mean(dxh xh)).
   A block has one row at a time in its registers (rows.cuh), so x, dy and the result cross the memory bus once;
   statistics are float, the variance from centred values. Backward blocks walk a part of the rows and keep the sums for
   the gradients of shift, scale and weights in registers too. */
#include "kernels/cuda/rows/quantise.cuh"
#include "kernels/cuda/rows/rms_backward.cuh"

/* ---- forward ---- */

/* y = xh factor + offset, where factor and offset are weights (elem), or 1 + scale and shift (real). With a branch the
   input of the norm is out = x + branch gate. */
struct norm_forward {
    elem *y;
    real *mean, *rstd;
    const resid *x;
    resid *out; /* NULL: no branch */
    const elem *branch;
    const real *gate;          /* NULL: 1 */
    const elem *w, *b;         /* weights; NULL: */
    const real *shift, *scale; /* modulation */
    long d, rows_per_group, group_stride, gate_stride;
    real eps;
    uint8_t *codes; /* NULL: y is stored; else its codes and scales are, in its place */
    real *code_scale;
    enum quantised_type type;
};

template <int V> __device__ inline void factor_load(float (&f)[V], const elem *w, const real *scale, unsigned c) {
    if (w) {
        load(f, w + c);
    } else {
        load(f, scale + c);
#pragma unroll
        for (int j = 0; j < V; j++) f[j] += 1;
    }
}

/* Adds the branch: x += branch gate, out = x. */
template <int V, int K>
__device__ inline void add_branch(row<V, K> &x, const struct norm_forward &a, long r, long gate_at) {
    EACH_PIECE(V, K, a.d) {
        float branch[V], gate[V];
        load(branch, a.branch + r * a.d + c);
        if (a.gate) {
            load(gate, a.gate + gate_at + c);
#pragma unroll
            for (int j = 0; j < V; j++) branch[j] *= gate[j];
        }
#pragma unroll
        for (int j = 0; j < V; j++) x.x[k][j] += branch[j];
        store(a.out + r * a.d + c, x.x[k]);
    }
}

template <int V, int K> __global__ void layernorm_forward_kernel(struct norm_forward a) {
    long r = blockIdx.x, g = quotient(blockIdx.x, a.rows_per_group), group = g * a.group_stride;
    row<V, K> x;
    float sum = 0, squares = 0;
    row_load(x, a.x + r * a.d, a.d);
    if (a.out) add_branch(x, a, r, g * a.gate_stride);
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int j = 0; j < V; j++) sum += x.x[k][j];
    float mean = block_sum(sum) / (float)a.d;
    EACH_PIECE(V, K, a.d) {
#pragma unroll
        for (int j = 0; j < V; j++) {
            x.x[k][j] -= mean;
            squares += x.x[k][j] * x.x[k][j];
        }
    }
    float rstd = 1 / sqrtf(block_sum(squares) / (float)a.d + a.eps);
    if (threadIdx.x == 0) a.mean[r] = mean, a.rstd[r] = rstd;
    EACH_PIECE(V, K, a.d) {
        float factor[V], offset[V];
        factor_load(factor, a.w, a.scale + group, c);
        if (a.w)
            load(offset, a.b + c);
        else
            load(offset, a.shift + group + c);
#pragma unroll
        for (int j = 0; j < V; j++) x.x[k][j] = x.x[k][j] * rstd * factor[j] + offset[j];
    }
    if (a.codes)
        row_quantise(a.codes + r * a.d, a.code_scale + r, a.type, x, a.d);
    else
        row_store(a.y + r * a.d, x, a.d);
}

static void layernorm_launch(struct norm_forward a, long n, int vectorised) {
    struct row_shape shape = row_shape(a.d, vectorised && a.d % VECTOR == 0);
    long blocks = launch_blocks(n, 1);
    if (!row_fits(&shape, a.d) || blocks == 0) return;
    if (blocks < 0) return device_fail("norm: %ld rows: too many", n);
    LAUNCH_ROWS(shape, layernorm_forward_kernel, blocks, a);
}

void layernorm_modulate_forward(elem *y, real *mean, real *rstd, const resid *x, const real *shift, const real *scale,
                                long n, long d, long rows_per_group, long group_stride, real eps) {
    struct norm_forward a = {y,    mean,  rstd,  x, NULL,           NULL,         NULL, NULL,
                             NULL, shift, scale, d, rows_per_group, group_stride, 0,    eps};
    layernorm_launch(a, n,
                     aligned16(y) && aligned16(x) && aligned16(shift) && aligned16(scale) && group_stride % 4 == 0);
}

void layernorm_forward(elem *y, real *mean, real *rstd, const resid *x, const elem *w, const elem *b, long n, long d,
                       real eps) {
    struct norm_forward a = {y, mean, rstd, x, NULL, NULL, NULL, w, b, NULL, NULL, d, 1, 0, 0, eps};
    layernorm_launch(a, n, aligned16(y) && aligned16(x) && aligned16(w) && aligned16(b));
}

static void residual_norm_launch(struct norm_forward a, long n) {
    layernorm_launch(a, n,
                     aligned16(a.y) && aligned16(a.x) && aligned16(a.out) && aligned16(a.branch) && aligned16(a.gate) &&
                         aligned16(a.w) && aligned16(a.b) && aligned16(a.shift) && aligned16(a.scale) &&
                         aligned16(a.codes) && a.group_stride % 4 == 0 && a.gate_stride % 4 == 0);
}

void residual_modulate_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                               const real *gate, long gate_stride, const real *shift, const real *scale, long n, long d,
                               long rows_per_group, long group_stride, real eps) {
    struct norm_forward a = {y, mean,           rstd,         x,           out, branch, gate, NULL, NULL, shift, scale,
                             d, rows_per_group, group_stride, gate_stride, eps};
    residual_norm_launch(a, n);
}

void residual_layernorm_forward(elem *y, real *mean, real *rstd, resid *out, const resid *x, const elem *branch,
                                const real *gate, long gate_stride, const elem *w, const elem *b, long n, long d,
                                long rows_per_group, real eps) {
    struct norm_forward a = {y,    mean, rstd,           x, out,         branch, gate, w, b, NULL,
                             NULL, d,    rows_per_group, 0, gate_stride, eps};
    residual_norm_launch(a, n);
}

void residual_modulate_quantise(uint8_t *codes, real *code_scale, enum quantised_type type, elem *, real *mean,
                                real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
                                long gate_stride, const real *shift, const real *scale, long n, long d,
                                long rows_per_group, long group_stride, real eps) {
    struct norm_forward a = {NULL,  mean,       rstd,  x, branch ? out : NULL, branch,       gate,        NULL,
                             NULL,  shift,      scale, d, rows_per_group,      group_stride, gate_stride, eps,
                             codes, code_scale, type};
    residual_norm_launch(a, n);
}

void residual_layernorm_quantise(uint8_t *codes, real *code_scale, enum quantised_type type, elem *, real *mean,
                                 real *rstd, resid *out, const resid *x, const elem *branch, const real *gate,
                                 long gate_stride, const elem *w, const elem *b, long n, long d, long rows_per_group,
                                 real eps) {
    struct norm_forward a = {NULL, mean, rstd,           x, out,         branch, gate,  w,          b,   NULL,
                             NULL, d,    rows_per_group, 0, gate_stride, eps,    codes, code_scale, type};
    residual_norm_launch(a, n);
}

/* ---- backward ---- */

struct norm_backward {
    resid *dx;                 /* NULL: not wanted */
    float *dy_sum, *dy_xh_sum; /* partial sums over a block's rows; NULL: not wanted */
    const elem *dy, *w;        /* w NULL: modulation */
    const resid *x;
    const real *mean, *rstd, *scale;
    long d, group_stride;
    struct row_parts rows;
};

/* Makes xh and dxh of row r from x and dy, and adds to the four sums; total and product are the thread's own. */
template <int V, int K>
__device__ inline void norm_row_back(row<V, K> &xh, row<V, K> &dxh, row<V, K> &sum, row<V, K> &sum_xh, float *total,
                                     float *product, const struct norm_backward &a, long r, long group) {
    float mean = a.mean[r], rstd = a.rstd[r];
    row_load(xh, a.x + r * a.d, a.d);
    row_load(dxh, a.dy + r * a.d, a.d);
    EACH_PIECE(V, K, a.d) {
        float factor[V];
        factor_load(factor, a.w, a.scale + group * a.group_stride, c);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float dy = dxh.x[k][j];
            xh.x[k][j] = (xh.x[k][j] - mean) * rstd;
            sum.x[k][j] += dy;
            sum_xh.x[k][j] += dy * xh.x[k][j];
            dxh.x[k][j] = dy * factor[j];
            *total += dxh.x[k][j];
            *product += dxh.x[k][j] * xh.x[k][j];
        }
    }
}

/* Adds piece k, at column c, to dx, from the means over the row. */
template <int V, int K>
__device__ inline void norm_piece_back(float (&dx)[V], const row<V, K> &xh, const row<V, K> &dxh, int k, unsigned c,
                                       float total, float product, const struct norm_backward &a, long r) {
    load(dx, a.dx + r * a.d + c);
    float rstd = a.rstd[r];
#pragma unroll
    for (int j = 0; j < V; j++) dx[j] += rstd * (dxh.x[k][j] - total - xh.x[k][j] * product);
    store(a.dx + r * a.d + c, dx);
}

template <int V, int K> __global__ void layernorm_backward_kernel(struct norm_backward a) {
    struct row_span span = span_of_block(a.rows);
    row<V, K> sum, sum_xh;
    row_fill(sum, 0);
    row_fill(sum_xh, 0);
    for (long r = span.first; r < span.end; r++) {
        row<V, K> xh, dxh;
        float total = 0, product = 0, dx[V];
        norm_row_back(xh, dxh, sum, sum_xh, &total, &product, a, r, span.group);
        if (!a.dx) continue;
        block_sum_two(&total, &product);
        total /= (float)a.d, product /= (float)a.d;
        EACH_PIECE(V, K, a.d) norm_piece_back(dx, xh, dxh, k, c, total, product, a, r);
    }
    if (a.dy_sum) row_store(a.dy_sum + blockIdx.x * a.d, sum, a.d);
    if (a.dy_xh_sum) row_store(a.dy_xh_sum + blockIdx.x * a.d, sum_xh, a.d);
}

/* The residual in front of the norm: out = x + branch gate. */
struct residual_front {
    elem *dbranch;
    float *dgate_sum, *dbias_sum; /* partial sums; NULL: not wanted */
    const elem *branch;
    const real *gate; /* NULL: ones */
    long gate_stride;
};

/* Goes back through the residual: dx is the gradient at the norm's input, in piece k at
   column c, from which the sums and dbranch follow. */
template <int V, int K>
__device__ inline void front_piece_back(float (&dx)[V], row<V, K> &sum_gate, row<V, K> &sum_bias,
                                        const struct residual_front &f, long at, long gate_at, int k) {
    if (f.dgate_sum) {
        float y[V];
        load(y, f.branch + at);
#pragma unroll
        for (int j = 0; j < V; j++) sum_gate.x[k][j] += dx[j] * y[j];
    }
    if (f.gate) {
        float gate[V];
        load(gate, f.gate + gate_at);
#pragma unroll
        for (int j = 0; j < V; j++) dx[j] *= gate[j];
    }
#pragma unroll
    for (int j = 0; j < V; j++) sum_bias.x[k][j] += dx[j];
    store(f.dbranch + at, dx);
}

template <int V, int K> __global__ void residual_norm_backward_kernel(struct norm_backward a, struct residual_front f) {
    struct row_span span = span_of_block(a.rows);
    row<V, K> sum, sum_xh, sum_gate, sum_bias;
    row_fill(sum, 0);
    row_fill(sum_xh, 0);
    row_fill(sum_gate, 0);
    row_fill(sum_bias, 0);
    for (long r = span.first; r < span.end; r++) {
        row<V, K> xh, dxh;
        float total = 0, product = 0, dx[V];
        norm_row_back(xh, dxh, sum, sum_xh, &total, &product, a, r, span.group);
        block_sum_two(&total, &product);
        total /= (float)a.d, product /= (float)a.d;
        EACH_PIECE(V, K, a.d) {
            norm_piece_back(dx, xh, dxh, k, c, total, product, a, r);
            front_piece_back(dx, sum_gate, sum_bias, f, r * a.d + c, span.group * f.gate_stride + c, k);
        }
    }
    if (a.dy_sum) row_store(a.dy_sum + blockIdx.x * a.d, sum, a.d);
    if (a.dy_xh_sum) row_store(a.dy_xh_sum + blockIdx.x * a.d, sum_xh, a.d);
    if (f.dgate_sum) row_store(f.dgate_sum + blockIdx.x * a.d, sum_gate, a.d);
    if (f.dbias_sum) row_store(f.dbias_sum + blockIdx.x * a.d, sum_bias, a.d);
}

/* Sums of the norm over each group of rows or, with stride 0, over all rows. */
struct norm_sums {
    real *dy, *dy_xh, *dgate, *dbias; /* NULL: not wanted */
    long stride;                      /* distance between groups of the first two; 0: one group */
};

static void sums_over(real *sum, const float *partial, const struct norm_backward *a, long stride) {
    long blocks = a->rows.groups * a->rows.parts;
    add_parts(sum, partial, stride ? a->rows.groups : 1, stride ? a->rows.parts : blocks, a->d, stride);
}

/* The launch for a shape with vectors and at most MOST_PIECES pieces a thread. */
enum { MOST_PIECES = 3 };
static void residual_norm_backward_start(const struct row_shape *shape, long blocks, const struct norm_backward *a,
                                         const struct residual_front *f) {
    if (shape->pieces == 1)
        LAUNCH((residual_norm_backward_kernel<VECTOR, 1>), blocks, shape->threads, 0, *a, *f);
    else if (shape->pieces == 2)
        LAUNCH((residual_norm_backward_kernel<VECTOR, 2>), blocks, shape->threads, 0, *a, *f);
    else
        LAUNCH((residual_norm_backward_kernel<VECTOR, MOST_PIECES>), blocks, shape->threads, 0, *a, *f);
}

/* Returns 0, and has done nothing, for rows without vectors and for very wide ones (above 6144 numbers): there a thread
   has too few registers for all the sums. */
static int residual_norm_backward_launch(struct norm_backward a, struct residual_front f, const struct norm_sums *s,
                                         long n, long rows_per_group) {
    int vectorised = a.d % VECTOR == 0 && aligned16(a.dx) && aligned16(a.dy) && aligned16(a.x) && aligned16(a.w) &&
                     aligned16(a.scale) && aligned16(f.dbranch) && aligned16(f.branch) && aligned16(f.gate) &&
                     a.group_stride % 4 == 0 && f.gate_stride % 4 == 0;
    struct row_shape shape = row_shape(a.d, vectorised);
    if (!vectorised || shape.pieces > MOST_PIECES) return 0;
    a.rows = row_parts(n, rows_per_group, a.d, !!s->dy + !!s->dy_xh + !!s->dgate + !!s->dbias);
    long blocks = launch_blocks(a.rows.groups * a.rows.parts, 1);
    if (!row_fits(&shape, a.d) || blocks == 0) return 1;
    if (blocks < 0) return device_fail("norm: %ld groups of rows: too many", a.rows.groups), 1;
    a.dy_sum = sums_push(s->dy, blocks, a.d);
    a.dy_xh_sum = sums_push(s->dy_xh, blocks, a.d);
    f.dgate_sum = sums_push(s->dgate, blocks, a.d);
    f.dbias_sum = sums_push(s->dbias, blocks, a.d);
    if (!s->dy == !a.dy_sum && !s->dy_xh == !a.dy_xh_sum && !s->dgate == !f.dgate_sum && !s->dbias == !f.dbias_sum) {
        residual_norm_backward_start(&shape, blocks, &a, &f);
        sums_over(s->dy, a.dy_sum, &a, s->stride);
        sums_over(s->dy_xh, a.dy_xh_sum, &a, s->stride);
        sums_over(s->dgate, f.dgate_sum, &a, f.gate_stride);
        sums_over(s->dbias, f.dbias_sum, &a, 0);
    }
    workspace_pop(f.dbias_sum);
    workspace_pop(f.dgate_sum);
    workspace_pop(a.dy_xh_sum);
    workspace_pop(a.dy_sum);
    return 1;
}

void residual_layernorm_backward(resid *dx, real *dw, real *db, elem *dbranch, real *dgate, real *dbias, const elem *dy,
                                 const resid *x, const real *mean, const real *rstd, const elem *w, const elem *branch,
                                 const real *gate, long gate_stride, long n, long d, long rows_per_group) {
    struct norm_backward a = {dx, NULL, NULL, dy, w, x, mean, rstd, NULL, d, 0, {}};
    struct residual_front f = {dbranch, NULL, NULL, branch, gate, gate_stride};
    struct norm_sums sums = {db, dw, dgate, dbias, 0};
    if (residual_norm_backward_launch(a, f, &sums, n, gate || dgate ? rows_per_group : n)) return;
    layernorm_backward(dx, dw, db, dy, x, mean, rstd, w, n, d);
    residual_backward(dbranch, dgate, dbias, dx, branch, gate, n, d, rows_per_group, gate_stride);
}

void residual_modulate_backward(resid *dx, real *dshift, real *dscale, elem *dbranch, real *dgate, real *dbias,
                                const elem *dy, const resid *x, const real *mean, const real *rstd, const real *scale,
                                const elem *branch, const real *gate, long gate_stride, long n, long d,
                                long rows_per_group, long group_stride) {
    struct norm_backward a = {dx, NULL, NULL, dy, NULL, x, mean, rstd, scale, d, group_stride, {}};
    struct residual_front f = {dbranch, NULL, NULL, branch, gate, gate_stride};
    struct norm_sums sums = {dshift, dscale, dgate, dbias, group_stride};
    if (residual_norm_backward_launch(a, f, &sums, n, rows_per_group)) return;
    layernorm_modulate_backward(dx, dshift, dscale, dy, x, mean, rstd, scale, n, d, rows_per_group, group_stride);
    residual_backward(dbranch, dgate, dbias, dx, branch, gate, n, d, rows_per_group, gate_stride);
}

/* Plans the parts, takes room for partial sums, launches, and adds the sums to the
   gradients of shift and scale (group g at g stride). */
static void layernorm_backward_launch(struct norm_backward a, real *dshift, real *dscale, long n, long rows_per_group,
                                      int vectorised) {
    struct row_shape shape = row_shape(a.d, vectorised && a.d % VECTOR == 0);
    int sums = (dshift != NULL) + (dscale != NULL);
    a.rows = row_parts(n, rows_per_group, a.d, sums);
    long blocks = launch_blocks(a.rows.groups * a.rows.parts, 1);
    if (!row_fits(&shape, a.d) || blocks == 0) return;
    if (blocks < 0) return device_fail("norm: %ld groups of rows: too many", a.rows.groups);
    a.dy_sum = sums_push(dshift, blocks, a.d);
    a.dy_xh_sum = sums_push(dscale, blocks, a.d);
    if ((!dshift || a.dy_sum) && (!dscale || a.dy_xh_sum)) {
        LAUNCH_ROWS(shape, layernorm_backward_kernel, blocks, a);
        add_parts(dshift, a.dy_sum, a.rows.groups, a.rows.parts, a.d, a.group_stride);
        add_parts(dscale, a.dy_xh_sum, a.rows.groups, a.rows.parts, a.d, a.group_stride);
    }
    workspace_pop(a.dy_xh_sum);
    workspace_pop(a.dy_sum);
}

void layernorm_modulate_backward(resid *dx, real *dshift, real *dscale, const elem *dy, const resid *x,
                                 const real *mean, const real *rstd, const real *scale, long n, long d,
                                 long rows_per_group, long group_stride) {
    struct norm_backward a = {dx, NULL, NULL, dy, NULL, x, mean, rstd, scale, d, group_stride, {}};
    layernorm_backward_launch(a, dshift, dscale, n, rows_per_group,
                              aligned16(dx) && aligned16(dy) && aligned16(x) && aligned16(scale) &&
                                  group_stride % 4 == 0);
}

void layernorm_backward(resid *dx, real *dw, real *db, const elem *dy, const resid *x, const real *mean,
                        const real *rstd, const elem *w, long n, long d) {
    struct norm_backward a = {dx, NULL, NULL, dy, w, x, mean, rstd, NULL, d, 0, {}};
    layernorm_backward_launch(a, db, dw, n, n, aligned16(dx) && aligned16(dy) && aligned16(x) && aligned16(w));
}

/* ---- RMSNorm; its backward is in rms_backward.cuh ---- */

/* RMSNorm's forward. T is elem, or resid where no statistics are kept (rstd NULL). */
template <int V, int K, class T>
__global__ void rmsnorm_forward_kernel(elem *y, real *rstd, const T *x, const elem *w, long d, real eps) {
    long r = blockIdx.x;
    row<V, K> v;
    row_load(v, x + r * d, d);
    float root = 1 / sqrtf(block_sum(row_squares(v)) / (float)d + eps);
    if (rstd && threadIdx.x == 0) rstd[r] = root;
    EACH_PIECE(V, K, d) {
        float factor[V];
        load(factor, w + c);
#pragma unroll
        for (int j = 0; j < V; j++) v.x[k][j] = v.x[k][j] * root * factor[j];
    }
    row_store(y + r * d, v, d);
}

template <class T>
static void rmsnorm_launch(elem *y, real *rstd, const T *x, const elem *w, long n, long d, real eps) {
    struct row_shape shape = row_shape(d, aligned16(y) && aligned16(x) && aligned16(w) && d % VECTOR == 0);
    long blocks = launch_blocks(n, 1);
    if (!row_fits(&shape, d) || blocks == 0) return;
    if (blocks < 0) return device_fail("norm: %ld rows: too many", n);
    LAUNCH_ROWS(shape, rmsnorm_forward_kernel, blocks, y, rstd, x, w, d, eps);
}

void rmsnorm_forward(elem *y, real *rstd, const elem *x, const elem *w, long n, long d, real eps) {
    rmsnorm_launch(y, rstd, x, w, n, d, eps);
}

void rmsnorm_resid_forward(elem *y, const resid *x, const elem *w, long n, long d, real eps) {
    rmsnorm_launch(y, NULL, x, w, n, d, eps);
}

/* Leaves the gradient as it is: no rotation. */
struct straight {
    template <int V, int K> __device__ void operator()(row<V, K> &, unsigned) const {}
};

void rmsnorm_backward(elem *dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w, long n,
                      long d) {
    struct row_shape shape =
        row_shape(d, aligned16(dx) && aligned16(dy) && aligned16(x) && aligned16(w) && d % VECTOR == 0);
    struct rms_backward a = {dx, d, NULL, dy, x, w, rstd, d, {}};
    if (!row_fits(&shape, d) || n <= 0 || !rms_backward_begin(&a, n, dw)) return;
    LAUNCH_ROWS(shape, rmsnorm_backward_kernel, a.rows.parts, a, straight{});
    rms_backward_end(&a, dw);
}
