/* modulation.cu: modulation vectors, gated residuals and the sinusoid of the time step (DiT: Peebles 2023).
   Group g of rows g rows_per_group .. has its vectors at + g group_stride. */
#include "kernels/cuda/rows/rows.cuh"

struct modulate {
    real *m;
    const elem *table;
    const real *e;
    long width;
    template <int V, class I> __device__ void at(I i) const {
        float t[V], v[V];
        load(t, table + modulo(i, width));
        load(v, e + i);
#pragma unroll
        for (int j = 0; j < V; j++) v[j] += t[j];
        store(m + i, v);
    }
};

void modulation_forward(real *m, const elem *table, const real *e, long groups, long width) {
    for_each_place(modulate{m, table, e, width}, groups * width,
                   aligned16(m) && aligned16(table) && aligned16(e) && width % VECTOR == 0);
}

/* A thread takes a column through all groups, because they are the frames of a batch and few. */
struct modulate_backward {
    real *dtable, *de;
    const real *dm;
    long groups, width;
    __device__ void at(long i) const {
        float sum = 0;
        for (long g = 0; g < groups; g++) {
            float v = dm[g * width + i];
            sum += v;
            if (de) de[g * width + i] += v;
        }
        if (dtable) dtable[i] += sum;
    }
};

void modulation_backward(real *dtable, real *de, const real *dm, long groups, long width) {
    /* one column to a thread, because vectors would leave most of the device idle */
    for_each_one(modulate_backward{dtable, de, dm, groups, width}, width);
}

struct residual {
    resid *out;
    const resid *x;
    const elem *y;
    const real *gate;
    long d, rows_per_group, group_stride;
    template <int V, class I> __device__ void at(I i) const {
        float u[V], v[V], g[V];
        load(u, x + i);
        load(v, y + i);
        if (gate) {
            I row = quotient(i, d), column = i - row * (I)d;
            load(g, gate + quotient(row, rows_per_group) * group_stride + column);
#pragma unroll
            for (int j = 0; j < V; j++) v[j] *= g[j];
        }
#pragma unroll
        for (int j = 0; j < V; j++) v[j] += u[j];
        store(out + i, v);
    }
};

void residual_forward(resid *out, const resid *x, const elem *y, const real *gate, long n, long d, long rows_per_group,
                      long group_stride) {
    for_each_place(residual{out, x, y, gate, d, rows_per_group, group_stride}, n * d,
                   aligned16(out) && aligned16(x) && aligned16(y) && aligned16(gate) && d % VECTOR == 0 &&
                       group_stride % 4 == 0);
}

struct residual_slope {
    elem *dy;                  /* NULL: not wanted */
    float *dgate_sum, *db_sum; /* partial sums; NULL: not wanted */
    const resid *dout;
    const elem *y;
    const real *gate; /* NULL: ones */
    long d, group_stride;
    struct row_parts rows;
};

template <int V, int K> __global__ void residual_backward_kernel(struct residual_slope a) {
    struct row_span span = span_of_block(a.rows);
    row<V, K> sum, sum_dy, gate;
    row_fill(sum, 0);
    row_fill(sum_dy, 0);
    row_fill(gate, 1);
    if (a.gate) row_load(gate, a.gate + span.group * a.group_stride, a.d);
    for (long r = span.first; r < span.end; r++) {
        EACH_PIECE(V, K, a.d) {
            float g[V], y[V];
            load(g, a.dout + r * a.d + c);
            if (a.dgate_sum) {
                load(y, a.y + r * a.d + c);
#pragma unroll
                for (int j = 0; j < V; j++) sum.x[k][j] += g[j] * y[j];
            }
#pragma unroll
            for (int j = 0; j < V; j++) {
                g[j] *= gate.x[k][j];
                sum_dy.x[k][j] += g[j];
            }
            if (a.dy) store(a.dy + r * a.d + c, g);
        }
    }
    if (a.dgate_sum) row_store(a.dgate_sum + blockIdx.x * a.d, sum, a.d);
    if (a.db_sum) row_store(a.db_sum + blockIdx.x * a.d, sum_dy, a.d);
}

void residual_backward(elem *dy, real *dgate, real *db, const resid *dout, const elem *y, const real *gate, long n,
                       long d, long rows_per_group, long group_stride) {
    struct row_shape shape = row_shape(d, aligned16(dy) && aligned16(dout) && aligned16(y) && aligned16(gate) &&
                                              d % VECTOR == 0 && group_stride % 4 == 0);
    if (!shape.pieces) return device_fail("residual: rows of %ld numbers, at most %d are built", d, ROW_WIDTH_MAX);
    struct residual_slope a = {dy, NULL, NULL, dout, y, gate, d, group_stride, {}};
    a.rows = row_parts(n, gate || dgate ? rows_per_group : n, d, (dgate != NULL) + (db != NULL));
    long blocks = launch_blocks(a.rows.groups * a.rows.parts, 1);
    if (blocks == 0) return;
    if (blocks < 0) return device_fail("residual: %ld groups of rows: too many", a.rows.groups);
    a.dgate_sum = sums_push(dgate, blocks, d);
    a.db_sum = sums_push(db, blocks, d);
    if ((!dgate || a.dgate_sum) && (!db || a.db_sum)) {
        LAUNCH_ROWS(shape, residual_backward_kernel, blocks, a);
        add_parts(dgate, a.dgate_sum, a.rows.groups, a.rows.parts, d, group_stride);
        add_parts(db, a.db_sum, 1, blocks, d, 0);
    }
    workspace_pop(a.db_sum);
    workspace_pop(a.dgate_sum);
}

/* Angles are in double, because t reaches 1000 and the cosine is wanted to the last place of float. */
struct sinusoid {
    elem *s;
    const real *t;
    long half;
    __device__ void at(long i) const {
        long r = i / half, k = i % half;
        double angle = (double)t[r] * pow(10000.0, -(double)k / (double)half), sine, cosine;
        sincos(angle, &sine, &cosine);
        s[r * 2 * half + k] = from_float<elem>((float)cosine);
        s[r * 2 * half + half + k] = from_float<elem>((float)sine);
    }
};

void time_sinusoid(elem *s, const real *t, long n, long width) {
    for_each_one(sinusoid{s, t, width / 2}, n * (width / 2));
}
