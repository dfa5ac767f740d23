/* norm_rope.cu: RMSNorm and rotation in one pass over rows in registers (rows.cuh): apart, they read and write queries and
   keys twice. A thread's eight numbers are four pairs of one head, so the rotation needs no exchange. The norm is rounded to elem
   before it turns, as it is when the cache's keys turn later. Rows that have no vectors take the two kernels apart. */
#include "kernels/cuda/rows.cuh"

struct norm_rope {
    elem *y, *normed; /* normed NULL: not wanted */
    real *rstd;
    const elem *x, *w;
    const real *cos, *sin;
    long n, d, D, normed_stride;
    real eps;
};

/* Numbers 2i, 2i + 1 of v turn by angle i of the four at c and s. */
template <int V>
__device__ static inline void rotate_pairs(float (&v)[V], const real *cos, const real *sin, float sign) {
    float4 c = *(const float4 *)cos, s = *(const float4 *)sin;
    float cosine[4] = {c.x, c.y, c.z, c.w}, sine[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
    for (int i = 0; i < V / 2; i++) {
        float u = v[2 * i], t = v[2 * i + 1];
        v[2 * i] = u * cosine[i] - t * (sign * sine[i]);
        v[2 * i + 1] = u * (sign * sine[i]) + t * cosine[i];
    }
}

template <int V, int K> __global__ void norm_rope_forward_kernel(struct norm_rope a) {
    long r = blockIdx.x, token = r % a.n;
    row<V, K> v;
    float squares = 0;
    row_load(v, a.x + r * a.d, a.d);
#pragma unroll
    for (int k = 0; k < K; k++)
#pragma unroll
        for (int j = 0; j < V; j++) squares += v.x[k][j] * v.x[k][j];
    float root = 1 / sqrtf(block_sum(squares) / (float)a.d + a.eps);
    if (threadIdx.x == 0) a.rstd[r] = root;
    EACH_PIECE(V, K, a.d) {
        float factor[V];
        long angle = token * (a.D / 2) + (int)c % (int)a.D / 2;
        load(factor, a.w + c);
#pragma unroll
        for (int j = 0; j < V; j++) v.x[k][j] = to_float(from_float<elem>(v.x[k][j] * root * factor[j]));
        if (a.normed) store(a.normed + r / a.n * a.normed_stride + token * a.d + c, v.x[k]);
        rotate_pairs(v.x[k], a.cos + angle, a.sin + angle, 1);
        store(a.y + r * a.d + c, v.x[k]);
    }
}

/* LAUNCH_ROWS without the shapes that have no vectors. */
#define LAUNCH_VECTOR_ROWS(shape, kernel, grid, ...)                                                                   \
    do {                                                                                                               \
        switch ((shape).pieces) {                                                                                      \
        case 1:                                                                                                        \
            LAUNCH((kernel<VECTOR, 1>), grid, (shape).threads, 0, __VA_ARGS__);                                        \
            break;                                                                                                     \
        case 2:                                                                                                        \
            LAUNCH((kernel<VECTOR, 2>), grid, (shape).threads, 0, __VA_ARGS__);                                        \
            break;                                                                                                     \
        case 3:                                                                                                        \
            LAUNCH((kernel<VECTOR, 3>), grid, (shape).threads, 0, __VA_ARGS__);                                        \
            break;                                                                                                     \
        default:                                                                                                       \
            LAUNCH((kernel<VECTOR, 4>), grid, (shape).threads, 0, __VA_ARGS__);                                        \
        }                                                                                                              \
    } while (0)

void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long normed_stride, real eps) {
    struct norm_rope a = {y, normed, rstd, x, w, cos, sin, n, H * D, D, normed_stride, eps};
    long blocks = launch_blocks(B * n, 1), stride = normed ? normed_stride : n * H * D;
    int vectorised = D % VECTOR == 0 && aligned16(y) && aligned16(normed) && aligned16(x) && aligned16(w) &&
                     aligned16(cos) && aligned16(sin) && stride % VECTOR == 0;
    struct row_shape shape = row_shape(H * D, vectorised);
    if (blocks == 0) return;
    if (blocks < 0) return device_fail("norm: %ld rows: too many", B * n);
    if (vectorised && shape.pieces) {
        LAUNCH_VECTOR_ROWS(shape, norm_rope_forward_kernel, blocks, a);
        return;
    }
    elem *to = normed ? normed : y;
    for (long b = 0; b < B; b++) rmsnorm_forward(to + b * stride, rstd + b * n, x + b * n * H * D, w, n, H * D, eps);
    rope_apply(y, to, cos, sin, B, n, H, D, stride, n * H * D, 1);
}

struct norm_rope_slope {
    elem *dx;      /* may be dy: a row is read whole before it is written */
    float *dw_sum; /* partial sums; NULL: not wanted */
    const elem *dy, *x, *w;
    const real *rstd, *cos, *sin;
    long n, d, D;
    struct row_parts rows;
};

template <int V, int K> __global__ void norm_rope_backward_kernel(struct norm_rope_slope a) {
    struct row_span span = span_of_block(a.rows);
    row<V, K> sum;
    row_fill(sum, 0);
    for (long r = span.first; r < span.end; r++) {
        row<V, K> xh, dxh;
        float rstd = a.rstd[r], product = 0;
        row_load(xh, a.x + r * a.d, a.d);
        row_load(dxh, a.dy + r * a.d, a.d);
        EACH_PIECE(V, K, a.d) {
            float factor[V];
            long angle = r % a.n * (a.D / 2) + (int)c % (int)a.D / 2;
            load(factor, a.w + c);
            rotate_pairs(dxh.x[k], a.cos + angle, a.sin + angle, -1);
#pragma unroll
            for (int j = 0; j < V; j++) {
                xh.x[k][j] *= rstd;
                sum.x[k][j] += dxh.x[k][j] * xh.x[k][j];
                dxh.x[k][j] *= factor[j];
                product += dxh.x[k][j] * xh.x[k][j];
            }
        }
        product = block_sum(product) / (float)a.d;
#pragma unroll
        for (int k = 0; k < K; k++)
#pragma unroll
            for (int j = 0; j < V; j++) dxh.x[k][j] = rstd * (dxh.x[k][j] - xh.x[k][j] * product);
        row_store(a.dx + r * a.d, dxh, a.d);
    }
    if (a.dw_sum) row_store(a.dw_sum + blockIdx.x * a.d, sum, a.d);
}

void rmsnorm_rope_backward(elem *dx, real *dw, const elem *dy, const elem *x, const real *rstd, const elem *w,
                           const real *cos, const real *sin, long B, long n, long H, long D) {
    long rows = B * n, d = H * D;
    int vectorised = D % VECTOR == 0 && aligned16(dx) && aligned16(dy) && aligned16(x) && aligned16(w) &&
                     aligned16(cos) && aligned16(sin);
    struct row_shape shape = row_shape(d, vectorised);
    if (rows <= 0) return;
    if (!vectorised || !shape.pieces) {
        rope_apply(dx, dy, cos, sin, B, n, H, D, n * d, n * d, -1);
        rmsnorm_backward(dx, dw, dx, x, rstd, w, rows, d);
        return;
    }
    struct norm_rope_slope a = {dx, NULL, dy, x, w, rstd, cos, sin, n, d, D, row_parts(rows, rows, d, dw != NULL)};
    if (dw && !(a.dw_sum = (float *)workspace_push(sizeof(float) * (size_t)(a.rows.parts * d)))) return;
    LAUNCH_VECTOR_ROWS(shape, norm_rope_backward_kernel, a.rows.parts, a);
    add_parts(dw, a.dw_sum, 1, a.rows.parts, d, 0);
    workspace_pop(a.dw_sum);
}
