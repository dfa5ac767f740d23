/* rope.cu: rotary positions on three axes (Su 2021; Wan's order of pairs). Pair j of a head is (2j, 2j + 1); the first
   pairs_t pairs turn by the frame, then pairs_h by the row, pairs_w by the column. One block a token: all its heads use
   the same table row, which stays in the first cache. */
#include "kernels/cuda/rows/quantise.cuh"

/* ---- table ---- */

/* Positions that travel as an argument of one launch, because they come as a host array. */
enum { POSITIONS = 64 };
struct positions {
    int frame[POSITIONS];
};

/* Angles are in double, because positions reach thousands and the table is wanted to the last place of float. */
struct table_entry {
    real *cos, *sin;
    struct rope_axes axes;
    struct positions position;
    int ph, pw;
    __device__ void at(long i) const {
        int half = axes.head_dim / 2, k = (int)(i % half), pairs = axes.pairs_t;
        long token = i / half;
        double theta = axes.theta_t, where = position.frame[token / ((long)ph * pw)];
        if (k >= axes.pairs_t + axes.pairs_h) {
            k -= axes.pairs_t + axes.pairs_h;
            pairs = axes.pairs_w, theta = axes.theta_hw, where = (double)(token % pw);
        } else if (k >= axes.pairs_t) {
            k -= axes.pairs_t;
            pairs = axes.pairs_h, theta = axes.theta_hw, where = (double)(token / pw % ph);
        }
        double sine, cosine;
        sincos(where * pow(theta, -(double)k / pairs), &sine, &cosine);
        cos[i] = (float)cosine;
        sin[i] = (float)sine;
    }
};

void rope_table(real *cos, real *sin, const struct rope_axes *axes, const int *frame_position, int frames, int ph,
                int pw) {
    long frame = (long)ph * pw * (axes->head_dim / 2);
    for (int first = 0; first < frames; first += POSITIONS) {
        int count = frames - first < POSITIONS ? frames - first : POSITIONS;
        struct table_entry entry = {cos + first * frame, sin + first * frame, *axes, {}, ph, pw};
        memcpy(entry.position.frame, frame_position + first, sizeof(int) * (size_t)count);
        for_each_one(entry, count * frame);
    }
}

/* ---- rotation ---- */

/* Loads V pairs from x on. */
template <int V, class T> __device__ inline void load_pairs(float (&u)[V], float (&v)[V], const T *x) {
    float both[2][V];
    load(both[0], x);
    load(both[1], x + V);
#pragma unroll
    for (int j = 0; j < V; j++) {
        u[j] = both[2 * j / V][2 * j % V];
        v[j] = both[(2 * j + 1) / V][(2 * j + 1) % V];
    }
}

template <int V, class T> __device__ inline void store_pairs(T *y, const float (&u)[V], const float (&v)[V]) {
    float both[2][V];
#pragma unroll
    for (int j = 0; j < V; j++) {
        both[2 * j / V][2 * j % V] = u[j];
        both[(2 * j + 1) / V][(2 * j + 1) % V] = v[j];
    }
    store(y, both[0]);
    store(y + V, both[1]);
}

/* Operands: samples are at a distance of their own; a token's row is H heads of `half` pairs. */
struct rotation {
    const real *cos, *sin;
    long n, H, half, x_stride, y_stride;
    int sign;
};

/* y = rotate(x), or y += rotate(x) where ADD. */
template <int V, int ADD, class T> __global__ void rotate_kernel(T *y, const T *x, struct rotation a) {
    long b = quotient(blockIdx.x, a.n), token = blockIdx.x - b * a.n, width = 2 * a.H * a.half;
    const real *cos = a.cos + token * a.half, *sin = a.sin + token * a.half;
    x += b * a.x_stride + token * width;
    y += b * a.y_stride + token * width;
    for (int i = (int)threadIdx.x * V; i < (int)(a.H * a.half); i += (int)blockDim.x * V) {
        float c[V], s[V], u[V], v[V], p[V], q[V];
        load(c, cos + i % (int)a.half);
        load(s, sin + i % (int)a.half);
        load_pairs(u, v, x + 2 * i);
        if (ADD) load_pairs(p, q, y + 2 * i);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float turn = (float)a.sign * s[j];
            p[j] = (ADD ? p[j] : 0) + (u[j] * c[j] - v[j] * turn);
            q[j] = (ADD ? q[j] : 0) + (u[j] * turn + v[j] * c[j]);
        }
        store_pairs(y + 2 * i, p, q);
    }
}

/* Threads of a block that has a token and takes V pairs a thread at once. */
static unsigned token_threads(const struct rotation *a, int V) {
    long threads = divide_up(divide_up(a->H * a->half, V), 32) * 32;
    return (unsigned)(threads > BLOCK_THREADS ? BLOCK_THREADS : threads);
}

template <int ADD, class T> static void rotate(T *y, const T *x, long B, struct rotation a) {
    long blocks = launch_blocks(B * a.n, 1);
    int vectorised = aligned16(y) && aligned16(x) && aligned16(a.cos) && aligned16(a.sin) && a.half % VECTOR == 0 &&
                     a.x_stride % VECTOR == 0 && a.y_stride % VECTOR == 0;
    if (blocks < 0) return device_fail("rope: %ld tokens: too many", B * a.n);
    if (!place_fits(4 * a.H * a.half)) return device_fail("rope: %ld heads of %ld: too many", a.H, 2 * a.half);
    if (blocks == 0) return;
    if (vectorised)
        LAUNCH((rotate_kernel<VECTOR, ADD, T>), blocks, token_threads(&a, VECTOR), 0, y, x, a);
    else
        LAUNCH((rotate_kernel<1, ADD, T>), blocks, token_threads(&a, 1), 0, y, x, a);
}

void rope_apply(elem *y, const elem *x, const real *cos, const real *sin, long B, long n, long H, long D, long x_stride,
                long y_stride, int sign) {
    rotate<0>(y, x, B, (struct rotation){cos, sin, n, H, D / 2, x_stride, y_stride, sign});
}

/* y = rotate(what the codes stand for); a block has a token, as above. */
template <int V>
__global__ void rope_widen_kernel(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type,
                                  struct rotation a) {
    long token = blockIdx.x, width = 2 * a.H * a.half;
    const real *cos = a.cos + token * a.half, *sin = a.sin + token * a.half;
    for (int i = (int)threadIdx.x * V; i < (int)(a.H * a.half); i += (int)blockDim.x * V) {
        float c[V], s[V], both[2][V], p[V], q[V], size = scale[token * a.H + i / (int)a.half];
        load(c, cos + i % (int)a.half);
        load(s, sin + i % (int)a.half);
        load_codes(both[0], codes + token * width + 2 * i, type);
        load_codes(both[1], codes + token * width + 2 * i + V, type);
#pragma unroll
        for (int j = 0; j < V; j++) {
            float u = size * both[2 * j / V][2 * j % V], v = size * both[(2 * j + 1) / V][(2 * j + 1) % V];
            p[j] = u * c[j] - v * s[j];
            q[j] = u * s[j] + v * c[j];
        }
        store_pairs(y + token * width + 2 * i, p, q);
    }
}

void rope_widen(elem *y, const uint8_t *codes, const real *scale, enum quantised_type type, const real *cos,
                const real *sin, long n, long H, long D) {
    const struct rotation a = {cos, sin, n, H, D / 2, 0, 0, 1};
    long blocks = launch_blocks(n, 1);
    int vectorised = aligned16(y) && aligned16(codes) && aligned16(cos) && aligned16(sin) && a.half % VECTOR == 0;
    if (blocks < 0) return device_fail("rope: %ld tokens: too many", n);
    if (!place_fits(4 * H * a.half)) return device_fail("rope: %ld heads of %ld: too many", H, D);
    if (blocks == 0) return;
    if (vectorised)
        LAUNCH((rope_widen_kernel<VECTOR>), blocks, token_threads(&a, VECTOR), 0, y, codes, scale, type, a);
    else
        LAUNCH((rope_widen_kernel<1>), blocks, token_threads(&a, 1), 0, y, codes, scale, type, a);
}

void rope_add_inverse(real *y, const real *x, const real *cos, const real *sin, long B, long n, long H, long D,
                      long x_stride, long y_stride) {
    rotate<1>(y, x, B, (struct rotation){cos, sin, n, H, D / 2, x_stride, y_stride, -1});
}
