/* pointwise.cu: conversions and element-by-element operations of kernels.h: one pass, 16-byte loads where all operands
   are aligned. Each output element depends on the inputs at its own index, so outputs may overwrite inputs. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/products/gelu.cuh"

#define EACH_OF_V _Pragma("unroll") for (int j = 0; j < V; j++)

/* y[i] = f(a[i]), or f(a[i], b[i]), where f is a struct with an operator () on floats. y may be a or b. */
template <class Y, class A, class F> struct map_one {
    Y *y;
    const A *a;
    F f;
    template <int V> __device__ void at(long i) const {
        float u[V];
        load(u, a + i);
        EACH_OF_V u[j] = f(u[j]);
        store(y + i, u);
    }
};
template <class Y, class A, class B, class F> struct map_two {
    Y *y;
    const A *a;
    const B *b;
    F f;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, a + i);
        load(v, b + i);
        EACH_OF_V v[j] = f(u[j], v[j]);
        store(y + i, v);
    }
};

template <class Y, class A, class F> static void map(Y *y, const A *a, long n, F f) {
    for_each(map_one<Y, A, F>{y, a, f}, n, aligned16(y) && aligned16(a));
}
template <class Y, class A, class B, class F> static void map(Y *y, const A *a, const B *b, long n, F f) {
    for_each(map_two<Y, A, B, F>{y, a, b, f}, n, aligned16(y) && aligned16(a) && aligned16(b));
}

/* ---- copies and sums ---- */

struct same {
    __device__ float operator()(float x) const { return x; }
};
struct scaled {
    real a;
    __device__ float operator()(float x) const { return a * x; }
};
struct blend {
    real a, b;
    __device__ float operator()(float x, float y) const { return a * x + b * y; }
};
struct plus {
    __device__ float operator()(float x, float y) const { return x + y; }
};

void elem_from_real(elem *y, const real *x, long n) { map(y, x, n, same{}); }

void real_from_elem(real *y, const elem *x, long n) { map(y, x, n, same{}); }

struct fill {
    real *y;
    real value;
    template <int V> __device__ void at(long i) const {
        float v[V];
        EACH_OF_V v[j] = value;
        store(y + i, v);
    }
};

void real_fill(real *y, real value, long n) { for_each(fill{y, value}, n, aligned16(y)); }

/* b = 0 assigns: what y held, a NaN too, is not read. */
void real_axpby(real *y, real a, const real *x, real b, long n) {
    if (b == 0)
        map(y, x, n, scaled{a});
    else
        map(y, x, y, n, blend{a, b});
}

/* The V elements of a vector belong to one group, so it is vectorised only where size is a multiple of VECTOR. */
struct group_combine {
    real *y;
    const real *a, *x, *b, *z;
    long size;
    template <int V, class I> __device__ void at(I i) const {
        float u[V], v[V];
        I g = quotient(i, size);
        float factor = a[g], other = b[g];
        load(u, x + i);
        load(v, z + i);
        EACH_OF_V v[j] = factor * u[j] + other * v[j];
        store(y + i, v);
    }
};

void real_group_combine(real *y, const real *a, const real *x, const real *b, const real *z, long groups, long size) {
    int vectorised = aligned16(y) && aligned16(x) && aligned16(z) && size % VECTOR == 0;
    for_each_place(group_combine{y, a, x, b, z, size}, groups * size, vectorised);
}

void real_add_elem(real *y, const elem *x, long n) { map(y, x, y, n, plus{}); }

void elem_add(elem *y, const elem *x, long n) { map(y, x, y, n, plus{}); }

/* ---- activations and their slopes ---- */

struct gelu_of {
    __device__ float operator()(float x) const { return gelu_value(x); }
};
struct gelu_slope_times {
    __device__ float operator()(float dy, float x) const { return dy * gelu_slope(x); }
};
struct gelu_gate {
    __device__ float operator()(float gate, float up) const { return up * gelu_value(gate); }
};
struct gelu_erf_of { /* erfc, because 1 + erf cancels for negative numbers */
    __device__ float operator()(float x) const { return 0.5f * x * erfcf(x * -0.70710678118654752440f); }
};
struct silu_of {
    __device__ float operator()(float x) const { return x * sigmoid(x); }
};
struct silu_slope_times {
    __device__ float operator()(float dy, float x) const {
        float s = sigmoid(x);
        return dy * s * (1 + x * (1 - s));
    }
};
struct relu_of {
    __device__ float operator()(float x) const { return x > 0 ? x : 0; }
};
struct relu_slope_times {
    __device__ float operator()(float dy, float y) const { return y > 0 ? dy : 0; }
};
struct clamp_softly {
    real limit;
    __device__ float operator()(float x) const { return limit * tanhf(x / limit); }
};

void gelu_forward(elem *y, const elem *x, long n) { map(y, x, n, gelu_of{}); }

void gelu_backward(elem *dx, const elem *dy, const elem *x, long n) { map(dx, dy, x, n, gelu_slope_times{}); }

void gelu_gate_forward(elem *y, const elem *gate, const elem *up, long n) { map(y, gate, up, n, gelu_gate{}); }

void gelu_erf_forward(elem *y, const elem *x, long n) { map(y, x, n, gelu_erf_of{}); }

void silu_forward(elem *y, const real *x, long n) { map(y, x, n, silu_of{}); }

void silu_backward(real *dx, const elem *dy, const real *x, long n) { map(dx, dy, x, n, silu_slope_times{}); }

void relu_forward(elem *y, const elem *x, long n) { map(y, x, n, relu_of{}); }

void relu_backward(elem *dx, const elem *dy, const elem *y, long n) { map(dx, dy, y, n, relu_slope_times{}); }

void soft_clamp(real *y, const real *x, real limit, long n) { map(y, x, n, clamp_softly{limit}); }
