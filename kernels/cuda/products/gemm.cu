/* gemm.cu: linear layers and real matrix products (kernels.h), by cuBLASLt where it takes the problem, otherwise by one
   plain tiled kernel, against which the library is also held. Sums are float. A weight is w [dout, din]. */
#include "kernels/cuda/rows/rows.cuh"
#include "kernels/cuda/products/gemm_lt.h"
#include "kernels/served.h"

/* ---- the plain kernel ----
   A block makes a 64 x 64 tile; a thread makes 4 x 4 numbers of it, so that each number from shared memory is used four
   times. The tiles have a column more than they need: a stride of 64 would put a column into one bank. */
enum { TILE = 64, DEPTH = 16, EACH = 4 };

/* Operands of a product: element (i, k) of a is at i a_i + k a_k, element (k, j) of b at k b_k + j b_j. */
template <class T> struct operands {
    const T *a, *b;
    long a_i, a_k, b_k, b_j, rows, columns, inner, tiles; /* tiles: number of tiles in a row of them */
};

template <class T, class E>
__global__ void __launch_bounds__(BLOCK_THREADS) gemm_kernel(struct operands<T> p, E finish) {
    __shared__ float a[DEPTH][TILE + 1], b[DEPTH][TILE + 1];
    long row = blockIdx.x / p.tiles * TILE, column = blockIdx.x % p.tiles * TILE;
    int ty = threadIdx.x / (TILE / EACH), tx = threadIdx.x % (TILE / EACH);
    float sum[EACH][EACH] = {};
    for (long first = 0; first < p.inner; first += DEPTH) {
        for (int t = threadIdx.x; t < TILE * DEPTH; t += BLOCK_THREADS) {
            int m = t / DEPTH, k = t % DEPTH;
            int inside = first + k < p.inner;
            a[k][m] = inside && row + m < p.rows ? to_float(p.a[(row + m) * p.a_i + (first + k) * p.a_k]) : 0;
            b[k][m] = inside && column + m < p.columns ? to_float(p.b[(first + k) * p.b_k + (column + m) * p.b_j]) : 0;
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; k++) {
            float u[EACH], v[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                u[i] = a[k][ty + i * (TILE / EACH)];
                v[i] = b[k][tx + i * (TILE / EACH)];
            }
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++) sum[i][j] += u[i] * v[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < EACH; i++) {
        for (int j = 0; j < EACH; j++) {
            long r = row + ty + i * (TILE / EACH), c = column + tx + j * (TILE / EACH);
            if (r < p.rows && c < p.columns) finish.at(r * p.columns + c, c, sum[i][j]);
        }
    }
}

struct finish_elem {
    elem *y;
    const elem *bias; /* NULL: none */
    float beta;
    __device__ void at(long i, long column, float sum) const {
        if (bias) sum += to_float(bias[column]);
        y[i] = from_float<elem>(beta == 0 ? sum : sum + beta * to_float(y[i]));
    }
};
struct finish_real {
    real *y;
    float beta;
    __device__ void at(long i, long, float sum) const { y[i] = beta == 0 ? sum : sum + beta * y[i]; }
};

template <class T, class E> static void gemm_plain(const struct gemm *g, E finish) {
    long tiles = divide_up(g->columns, TILE), blocks = launch_blocks(divide_up(g->rows, TILE) * tiles, 1);
    if (blocks < 0) return device_fail("a product of %ld rows and %ld columns: too many", g->rows, g->columns);
    if (blocks == 0) return;
    const long size[] = {g->rows, g->columns, g->inner};
    served_by(gemm_operation(g->in, g->out, g->extra), "gemm.cu", 3, size);
    struct operands<T> p = {
        (const T *)g->a, (const T *)g->b, g->a_transposed ? 1 : g->inner, g->a_transposed ? g->rows : 1,
            g->b_transposed ? 1 : g->columns, g->b_transposed ? g->inner : 1, g->rows, g->columns, g->inner, tiles
    };
    LAUNCH((gemm_kernel<T, E>), blocks, BLOCK_THREADS, 0, p, finish);
}

/* ---- linear layers ---- */

void linear_forward(elem *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout, real beta) {
    struct gemm g = {n,    dout, din, 0, 1,         GEMM_ELEM, GEMM_ELEM, b ? GEMM_BIAS : GEMM_PLAIN,
                     beta, x,    w,   y, (void *)b, NULL};
    if (!gemm_lt(&g)) gemm_plain<elem>(&g, finish_elem{y, b, beta});
}

void linear_parts_forward(elem *y, const elem *x, const elem *w, const elem *b, long parts, long y_stride, long n,
                          long din, long dout) {
    struct gemm g = {n, dout, din, 0, 1, GEMM_ELEM, GEMM_ELEM, GEMM_BIAS, 0, x, w, y, (void *)b, NULL};
    g.parts = parts, g.a_step = 0, g.b_step = dout * din, g.bias_step = dout, g.d_step = y_stride;
    if (gemm_lt(&g)) return;
    for (long i = 0; i < parts; i++)
        linear_forward(y + i * y_stride, x, w + i * dout * din, b + i * dout, n, din, dout, 0);
}

struct add_bias {
    real *y;
    const elem *b;
    long width;
    template <int V, class I> __device__ void at(I i) const {
        float u[V], v[V];
        load(u, y + i);
        load(v, b + modulo(i, width));
#pragma unroll
        for (int j = 0; j < V; j++) u[j] += v[j];
        store(y + i, u);
    }
};

/* Uses the plain kernel: the library adds no elem bias to a real result, and only the
   head and small embeddings need one. */
void linear_forward_real(real *y, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    struct gemm g = {n, dout, din, 0, 1, GEMM_ELEM, GEMM_REAL, GEMM_PLAIN, 0, x, w, y, NULL, NULL};
    if (!gemm_lt(&g)) gemm_plain<elem>(&g, finish_real{y, 0});
    if (b) for_each_place(add_bias{y, b, dout}, n * dout, aligned16(y) && aligned16(b) && dout % VECTOR == 0);
}

void linear_gelu_forward(elem *y, elem *pre, const elem *x, const elem *w, const elem *b, long n, long din, long dout) {
    enum gemm_extra kept = b ? GEMM_GELU_BIAS : GEMM_GELU, alone = b ? GEMM_GELU_ALONE_BIAS : GEMM_GELU_ALONE;
    struct gemm g = {n, dout, din, 0, 1, GEMM_ELEM, GEMM_ELEM, pre ? kept : alone, 0, x, w, y, (void *)b, pre};
    elem *sum = pre ? pre : y;
    if (gemm_lt(&g)) return;
    linear_forward(sum, x, w, b, n, din, dout, 0);
    gelu_forward(y, sum, n * dout);
}

void linear_backward_input(elem *dx, const elem *dy, const elem *w, long n, long din, long dout, real beta) {
    struct gemm g = {n, din, dout, 0, 0, GEMM_ELEM, GEMM_ELEM, GEMM_PLAIN, beta, dy, w, dx, NULL, NULL};
    if (!gemm_lt(&g)) gemm_plain<elem>(&g, finish_elem{dx, NULL, beta});
}

void linear_gelu_backward_input(elem *dx, const elem *dy, const elem *w, const elem *pre, long n, long din, long dout) {
    struct gemm g = {n, din, dout, 0, 0, GEMM_ELEM, GEMM_ELEM, GEMM_GELU_SLOPE, 0, dy, w, dx, NULL, (void *)pre};
    if (gemm_lt(&g)) return;
    linear_backward_input(dx, dy, w, n, din, dout, 0);
    gelu_backward(dx, dx, pre, n * din);
}

/* dw [dout, din] += dy^T x. The library can sum dy's columns on the way, but only assigns
   the sums, so they go to the workspace first. */
void linear_backward_weight(real *dw, real *db, const elem *dy, const elem *x, long n, long din, long dout) {
    struct gemm g = {dout, din, n, 1, 0, GEMM_ELEM, GEMM_REAL, GEMM_PLAIN, 1, dy, x, dw, NULL, NULL};
    if (n <= 0) return;
    if (db && dw) {
        real *sums = (real *)workspace_push(sizeof(real) * (size_t)dout);
        if (!sums) return;
        g.extra = GEMM_COLUMN_SUMS_A;
        g.bias = sums;
        int done = gemm_lt(&g);
        if (done) add_parts(db, sums, 1, 1, dout, 0);
        workspace_pop(sums);
        if (done) return;
        g.extra = GEMM_PLAIN;
        g.bias = NULL;
    }
    if (dw && !gemm_lt(&g)) gemm_plain<elem>(&g, finish_real{dw, 1});
    if (db) column_sums(db, dy, n, dout);
}

/* ---- real products ---- */

void matmul_real(real *c, const real *a, const real *b, long m, long k, long n) {
    struct gemm g = {m, n, k, 0, 0, GEMM_REAL, GEMM_REAL, GEMM_PLAIN, 0, a, b, c, NULL, NULL};
    if (!gemm_lt(&g)) gemm_plain<real>(&g, finish_real{c, 0});
}

void matmul_real_nt(real *c, const real *a, const real *b, long m, long k, long n) {
    struct gemm g = {m, n, k, 0, 1, GEMM_REAL, GEMM_REAL, GEMM_PLAIN, 0, a, b, c, NULL, NULL};
    if (!gemm_lt(&g)) gemm_plain<real>(&g, finish_real{c, 0});
}

void matmul_real_tn(real *c, const real *a, const real *b, long m, long k, long n) {
    struct gemm g = {m, n, k, 1, 0, GEMM_REAL, GEMM_REAL, GEMM_PLAIN, 0, a, b, c, NULL, NULL};
    if (!gemm_lt(&g)) gemm_plain<real>(&g, finish_real{c, 0});
}
