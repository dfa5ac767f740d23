/* pointwise.cu: conversions and element-by-element operations of kernels.h: one pass, 16-byte loads where all operands
   are aligned. Each output element depends on the inputs at its own index, so outputs may overwrite inputs. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/gelu.cuh"

#define EACH_OF_V _Pragma("unroll") for (int j = 0; j < V; j++)

struct convert_to_elem {
    elem *y;
    const real *x;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        store(y + i, v);
    }
};
struct convert_to_real {
    real *y;
    const elem *x;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        store(y + i, v);
    }
};
struct fill {
    real *y;
    real value;
    template <int V> __device__ void at(long i) const {
        float v[V];
        EACH_OF_V v[j] = value;
        store(y + i, v);
    }
};
/* b = 0 assigns: what y held, a NaN too, is not read. */
struct scale {
    real *y;
    const real *x;
    real a;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        EACH_OF_V v[j] *= a;
        store(y + i, v);
    }
};
struct axpby {
    real *y;
    const real *x;
    real a, b;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, x + i);
        load(v, y + i);
        EACH_OF_V v[j] = a * u[j] + b * v[j];
        store(y + i, v);
    }
};
/* V elements are of one group: vectorised only where size is a multiple of VECTOR. */
struct group_combine {
    real *y;
    const real *a, *x, *b, *z;
    long size;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        long g = i / size;
        float factor = a[g], other = b[g];
        load(u, x + i);
        load(v, z + i);
        EACH_OF_V v[j] = factor * u[j] + other * v[j];
        store(y + i, v);
    }
};
struct add_elem {
    real *y;
    const elem *x;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, x + i);
        load(v, y + i);
        EACH_OF_V v[j] += u[j];
        store(y + i, v);
    }
};
struct add_elems {
    elem *y;
    const elem *x;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, x + i);
        load(v, y + i);
        EACH_OF_V v[j] += u[j];
        store(y + i, v);
    }
};

struct gelu_erf_of {
    elem *y;
    const elem *x;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        EACH_OF_V v[j] =
            0.5f * v[j] * erfcf(v[j] * -0.70710678118654752440f); /* 1 + erf cancels on the left, erfc does not */
        store(y + i, v);
    }
};
struct gelu_gate {
    elem *y;
    const elem *gate, *up;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, gate + i);
        load(v, up + i);
        EACH_OF_V v[j] *= gelu_value(u[j]);
        store(y + i, v);
    }
};
struct clamp_softly {
    real *y;
    const real *x;
    real limit;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        EACH_OF_V v[j] = limit * tanhf(v[j] / limit);
        store(y + i, v);
    }
};
struct gelu_of {
    elem *y;
    const elem *x;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        EACH_OF_V v[j] = gelu_value(v[j]);
        store(y + i, v);
    }
};
struct gelu_slope_times {
    elem *dx;
    const elem *dy, *x;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, dy + i);
        load(v, x + i);
        EACH_OF_V v[j] = u[j] * gelu_slope(v[j]);
        store(dx + i, v);
    }
};

__device__ static inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

struct silu_of {
    elem *y;
    const real *x;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        EACH_OF_V v[j] *= sigmoid(v[j]);
        store(y + i, v);
    }
};
struct silu_slope_times {
    real *dx;
    const elem *dy;
    const real *x;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, dy + i);
        load(v, x + i);
        EACH_OF_V {
            float s = sigmoid(v[j]);
            v[j] = u[j] * s * (1 + v[j] * (1 - s));
        }
        store(dx + i, v);
    }
};
struct relu_of {
    elem *y;
    const elem *x;
    template <int V> __device__ void at(long i) const {
        float v[V];
        load(v, x + i);
        EACH_OF_V v[j] = v[j] > 0 ? v[j] : 0;
        store(y + i, v);
    }
};
struct relu_slope_times {
    elem *dx;
    const elem *dy, *y;
    template <int V> __device__ void at(long i) const {
        float u[V], v[V];
        load(u, dy + i);
        load(v, y + i);
        EACH_OF_V v[j] = v[j] > 0 ? u[j] : 0;
        store(dx + i, v);
    }
};

void elem_from_real(elem *y, const real *x, long n) {
    for_each(convert_to_elem{y, x}, n, aligned16(y) && aligned16(x));
}

void real_from_elem(real *y, const elem *x, long n) {
    for_each(convert_to_real{y, x}, n, aligned16(y) && aligned16(x));
}

void real_fill(real *y, real value, long n) { for_each(fill{y, value}, n, aligned16(y)); }

void real_axpby(real *y, real a, const real *x, real b, long n) {
    int vectorised = aligned16(y) && aligned16(x);
    if (b == 0)
        for_each(scale{y, x, a}, n, vectorised);
    else
        for_each(axpby{y, x, a, b}, n, vectorised);
}

void real_group_combine(real *y, const real *a, const real *x, const real *b, const real *z, long groups, long size) {
    int vectorised = aligned16(y) && aligned16(x) && aligned16(z) && size % VECTOR == 0;
    for_each(group_combine{y, a, x, b, z, size}, groups * size, vectorised);
}

void real_add_elem(real *y, const elem *x, long n) { for_each(add_elem{y, x}, n, aligned16(y) && aligned16(x)); }

void gelu_forward(elem *y, const elem *x, long n) { for_each(gelu_of{y, x}, n, aligned16(y) && aligned16(x)); }

void gelu_backward(elem *dx, const elem *dy, const elem *x, long n) {
    for_each(gelu_slope_times{dx, dy, x}, n, aligned16(dx) && aligned16(dy) && aligned16(x));
}

void silu_forward(elem *y, const real *x, long n) { for_each(silu_of{y, x}, n, aligned16(y) && aligned16(x)); }

void silu_backward(real *dx, const elem *dy, const real *x, long n) {
    for_each(silu_slope_times{dx, dy, x}, n, aligned16(dx) && aligned16(dy) && aligned16(x));
}

void relu_forward(elem *y, const elem *x, long n) { for_each(relu_of{y, x}, n, aligned16(y) && aligned16(x)); }

void relu_backward(elem *dx, const elem *dy, const elem *y, long n) {
    for_each(relu_slope_times{dx, dy, y}, n, aligned16(dx) && aligned16(dy) && aligned16(y));
}

void elem_add(elem *y, const elem *x, long n) { for_each(add_elems{y, x}, n, aligned16(y) && aligned16(x)); }

void gelu_erf_forward(elem *y, const elem *x, long n) { for_each(gelu_erf_of{y, x}, n, aligned16(y) && aligned16(x)); }

void soft_clamp(real *y, const real *x, real limit, long n) {
    for_each(clamp_softly{y, x, limit}, n, aligned16(y) && aligned16(x));
}

void gelu_gate_forward(elem *y, const elem *gate, const elem *up, long n) {
    for_each(gelu_gate{y, gate, up}, n, aligned16(y) && aligned16(gate) && aligned16(up));
}
