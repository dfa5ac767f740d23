/* norm_rope.cu: RMSNorm and rotation in one pass over rows in registers (rows.cuh): apart, they read and write queries
   and keys twice. A thread's eight numbers are four pairs of one head, so the rotation needs no exchange; where rows
   have no vectors, neighbouring threads hold a pair and tell each other. The norm is rounded to elem before it turns,
   as it is when the cache's keys turn later. */
#include "kernels/cuda/rows/rms_backward.cuh"

/* Rotates row v by the pairs in row `token` of the table: forward with sign 1, back with
   -1. All threads of the block call it. */
struct rotation {
    const real *cos, *sin;
    long D, d;
    template <int V, int K> __device__ void turn(row<V, K> &v, long token, float sign) const {
        const real *c_row = cos + token * (D / 2), *s_row = sin + token * (D / 2);
#pragma unroll
        for (int k = 0; k < K; k++) {
            unsigned c = column<V>(k), angle = c % (unsigned)D / 2;
            if constexpr (V == 1) {
                float other = __shfl_xor_sync(0xffffffffu, v.x[k][0], 1);
                if (c < (unsigned)d)
                    v.x[k][0] = v.x[k][0] * c_row[angle] + other * (c % 2 ? sign : -sign) * s_row[angle];
            } else if (c < (unsigned)d) {
                turn_vector(v.x[k], c_row + angle, s_row + angle, sign);
            }
        }
    }
    template <int V>
    __device__ static void turn_vector(float (&v)[V], const real *c_row, const real *s_row, float sign) {
        float4 c = *(const float4 *)c_row, s = *(const float4 *)s_row;
        float cosine[4] = {c.x, c.y, c.z, c.w}, sine[4] = {s.x, s.y, s.z, s.w};
#pragma unroll
        for (int i = 0; i < V / 2; i++) {
            float u = v[2 * i], t = v[2 * i + 1];
            v[2 * i] = u * cosine[i] - t * (sign * sine[i]);
            v[2 * i + 1] = u * (sign * sine[i]) + t * cosine[i];
        }
    }
};

static int vectors_fit(const real *cos, const real *sin, long D) {
    return D % VECTOR == 0 && aligned16(cos) && aligned16(sin);
}

struct norm_rope {
    elem *y, *normed; /* normed NULL: not wanted */
    real *rstd;
    const elem *x, *w;
    struct rotation rotation;
    long n, d, y_stride, normed_stride;
    real eps;
};

template <int V, int K> __global__ void norm_rope_forward_kernel(struct norm_rope a) {
    long r = blockIdx.x, sample = quotient(blockIdx.x, a.n), token = r - sample * a.n;
    row<V, K> v;
    row_load(v, a.x + r * a.d, a.d);
    float root = 1 / sqrtf(block_sum(row_squares(v)) / (float)a.d + a.eps);
    if (threadIdx.x == 0) a.rstd[r] = root;
    EACH_PIECE(V, K, a.d) {
        float factor[V];
        load(factor, a.w + c);
#pragma unroll
        for (int j = 0; j < V; j++) v.x[k][j] = to_float(from_float<elem>(v.x[k][j] * root * factor[j]));
    }
    if (a.normed) row_store(a.normed + sample * a.normed_stride + token * a.d, v, a.d);
    a.rotation.turn(v, token, 1);
    row_store(a.y + sample * a.y_stride + token * a.d, v, a.d);
}

void rmsnorm_rope_forward(elem *y, elem *normed, real *rstd, const elem *x, const elem *w, const real *cos,
                          const real *sin, long B, long n, long H, long D, long y_stride, long normed_stride,
                          real eps) {
    struct norm_rope a = {y, normed, rstd, x, w, {cos, sin, D, H * D}, n, H * D, y_stride, normed_stride, eps};
    int vectorised = vectors_fit(cos, sin, D) && aligned16(y) && aligned16(normed) && aligned16(x) && aligned16(w) &&
                     (!normed || normed_stride % VECTOR == 0) && y_stride % VECTOR == 0;
    struct row_shape shape = row_shape(H * D, vectorised);
    long blocks = launch_blocks(B * n, 1);
    if (!row_fits(&shape, H * D) || blocks == 0) return;
    if (blocks < 0) return device_fail("norm: %ld rows: too many", B * n);
    LAUNCH_ROWS(shape, norm_rope_forward_kernel, blocks, a);
}

/* Rotates the gradient back, before the backward of the norm. */
struct turn_back {
    struct rotation rotation;
    long n;
    template <int V, int K> __device__ void operator()(row<V, K> &v, unsigned r) const {
        rotation.turn(v, modulo(r, n), -1);
    }
};

void rmsnorm_rope_backward(elem *dx, long dx_stride, real *dw, const elem *dy, const elem *x, const real *rstd,
                           const elem *w, const real *cos, const real *sin, long B, long n, long H, long D) {
    long rows = B * n, d = H * D;
    int vectorised = vectors_fit(cos, sin, D) && aligned16(dx) && aligned16(dy) && aligned16(x) && aligned16(w) &&
                     dx_stride % VECTOR == 0;
    struct row_shape shape = row_shape(d, vectorised);
    struct rms_backward a = {dx, dx_stride, NULL, dy, x, w, rstd, d, {}};
    struct turn_back turn = {{cos, sin, D, d}, n};
    if (!row_fits(&shape, d) || rows <= 0 || !rms_backward_begin(&a, rows, dw)) return;
    LAUNCH_ROWS(shape, rmsnorm_backward_kernel, a.rows.parts, a, turn);
    rms_backward_end(&a, dw);
}
