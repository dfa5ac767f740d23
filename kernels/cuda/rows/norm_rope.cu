/* norm_rope.cu: RMSNorm and rotation in one pass over rows in registers (rows.cuh): apart, they read and write queries and
   keys twice. A thread's eight numbers are four pairs of one head, so the rotation needs no exchange. The norm is rounded to elem
   before it turns, as it is when the cache's keys turn later. Rows that have no vectors take the two kernels apart. */
#include "kernels/cuda/rows/rms_backward.cuh"

struct norm_rope {
    elem *y, *normed; /* normed NULL: not wanted */
    real *rstd;
    const elem *x, *w;
    const real *cos, *sin;
    long n, d, D, y_stride, normed_stride;
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
    long r = blockIdx.x, sample = quotient(blockIdx.x, a.n), token = r - sample * a.n;
    const real *cos = a.cos + token * (a.D / 2), *sin = a.sin + token * (a.D / 2);
    long to = sample * a.y_stride + token * a.d, normed_to = sample * a.normed_stride + token * a.d;
    row<V, K> v;
    row_load(v, a.x + r * a.d, a.d);
    float root = 1 / sqrtf(block_sum(row_squares(v)) / (float)a.d + a.eps);
    if (threadIdx.x == 0) a.rstd[r] = root;
    EACH_PIECE(V, K, a.d) {
        float factor[V];
        unsigned angle = c % (unsigned)a.D / 2;
        load(factor, a.w + c);
#pragma unroll
        for (int j = 0; j < V; j++) v.x[k][j] = to_float(from_float<elem>(v.x[k][j] * root * factor[j]));
        if (a.normed) store(a.normed + normed_to + c, v.x[k]);
        rotate_pairs(v.x[k], cos + angle, sin + angle, 1);
        store(a.y + to + c, v.x[k]);
    }
}

void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long y_stride, long normed_stride,
                          real eps) {
    struct norm_rope a = {y, normed, rstd, x, w, cos, sin, n, H * D, D, y_stride, normed_stride, eps};
    long blocks = launch_blocks(B * n, 1), stride = normed ? normed_stride : y_stride;
    int vectorised = D % VECTOR == 0 && aligned16(y) && aligned16(normed) && aligned16(x) && aligned16(w) &&
                     aligned16(cos) && aligned16(sin) && stride % VECTOR == 0 && y_stride % VECTOR == 0;
    struct row_shape shape = row_shape(H * D, vectorised);
    if (blocks == 0) return;
    if (blocks < 0) return device_fail("norm: %ld rows: too many", B * n);
    if (vectorised && shape.pieces) {
        LAUNCH_VECTOR_ROWS(shape, norm_rope_forward_kernel, blocks, a);
        return;
    }
    elem *to = normed ? normed : y;
    for (long b = 0; b < B; b++) rmsnorm_forward(to + b * stride, rstd + b * n, x + b * n * H * D, w, n, H * D, eps);
    rope_apply(y, to, cos, sin, B, n, H, D, stride, y_stride, 1);
}

/* The gradient turns back before the norm's. */
struct turn_back {
    const real *cos, *sin;
    long n, D;
    template <int V> __device__ void operator()(float (&v)[V], unsigned r, unsigned c) const {
        long angle = modulo(r, n) * (D / 2) + c % (unsigned)D / 2;
        rotate_pairs(v, cos + angle, sin + angle, -1);
    }
};

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
    struct rms_backward a = {dx, NULL, dy, x, w, rstd, d, {}};
    struct turn_back turn = {cos, sin, n, D};
    if (!rms_backward_begin(&a, rows, dw)) return;
    LAUNCH_VECTOR_ROWS(shape, rmsnorm_backward_kernel, a.rows.parts, a, turn);
    rms_backward_end(&a, dw);
}
