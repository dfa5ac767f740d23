/* quantised.cu: a linear layer of quantised rows and weights (kernels.h), in one of these ways; the table of who served
   what (kernels/served.h) names the one that did.
     fp8, compute capability 9.0   cuBLASLt with both scales and the bias inside ("product, fp8, scaled")
     fp8 elsewhere                 cuBLASLt with unit scales into float ("product, fp8"), then scales and bias here
     int8                          cuBLASLt into int32 ("product, int8"), then scales and bias here
     what cuBLASLt refuses         codes widened to elem, which holds them exactly, an ordinary product into float
                                   ("product to real"), then scales and bias here
   Sums take workspace, so all ways but the first work through the output channels in bands that fit in it. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/cuda/products/gemm_lt.h"

/* The layer's operands, and a band of its output channels. */
struct quantised_layer {
    elem *y;
    const uint8_t *x, *w;
    const real *x_scale, *w_scale;
    const elem *b;
    long n, din, dout, first, band;
};

/* y = the sum x_scale w_scale + b; sum [n, band] of S. */
template <class S> struct finish_scaled {
    struct quantised_layer l;
    const S *sum;
    template <class I> __device__ void at(I i) const {
        long r = quotient(i, l.band), o = l.first + modulo(i, l.band);
        float v = (float)sum[i] * (l.x_scale[r] * l.w_scale[o]);
        l.y[r * l.dout + o] = from_float<elem>(l.b ? v + to_float(l.b[o]) : v);
    }
};

struct widen {
    elem *y;
    const uint8_t *codes;
    enum quantised_type type;
    __device__ void at(long i) const { y[i] = from_float<elem>(quantised_value(codes[i], type)); }
};

/* Does the whole layer inside the library; 0: it is not for this device, or the library refuses. */
static int scaled_inside(const struct quantised_layer *l, enum quantised_type type) {
    if (type != QUANTISED_FP8 || sizeof(elem) != 2 || cuda_capability() != 90) return 0;
    struct gemm g = {l->n, l->dout, l->din,       0,   1, GEMM_FP8, GEMM_ELEM, l->b ? GEMM_BIAS : GEMM_PLAIN, 0, l->x,
                     l->w, l->y,    (void *)l->b, NULL};
    g.a_scale = l->x_scale, g.b_scale = l->w_scale;
    return gemm_lt(&g);
}

/* Makes the sums of a band in `sum`, [n, band] of int32 or float; 0: the library refuses. */
static int library_sums(const struct quantised_layer *l, enum quantised_type type, void *sum) {
    struct gemm g = {l->n, l->band, l->din, 0, 1, GEMM_FP8, GEMM_REAL, GEMM_PLAIN, 0, l->x, l->w + l->first * l->din,
                     sum,  NULL,    NULL};
    if (type == QUANTISED_INT8) g.in = GEMM_INT8, g.out = GEMM_INT32;
    return gemm_lt(&g);
}

static void finish_band(const struct quantised_layer *l, const void *sum, int whole) {
    if (whole)
        for_each_place_one(finish_scaled<int32_t>{*l, (const int32_t *)sum}, l->n * l->band);
    else
        for_each_place_one(finish_scaled<float>{*l, (const float *)sum}, l->n * l->band);
}

/* x_wide: the layer's rows in elem. */
static void widened_band(const struct quantised_layer *l, enum quantised_type type, const elem *x_wide, float *sum) {
    const long numbers = l->band * l->din;
    elem *w = (elem *)workspace_push(sizeof *w * (size_t)numbers);
    if (!w) return;
    for_each_one(widen{w, l->w + l->first * l->din, type}, numbers);
    linear_forward_real(sum, x_wide, w, NULL, l->n, l->din, l->band);
    finish_band(l, sum, 0);
    workspace_pop(w);
}

/* Output channels of a band: as many as `bytes` have room for, each with `each` bytes. */
static long band_of(long dout, size_t bytes, size_t each) {
    long fit = (long)(bytes / each);
    return fit >= dout ? dout : fit > 16 ? fit / 16 * 16 : fit > 1 ? fit : 1;
}

enum { SPARE = 4096 }; /* bytes that the workspace's alignment may take */
static size_t half_left(void) {
    size_t left = cuda_workspace_left();
    return left > 2 * SPARE ? left / 2 - SPARE : left / 2;
}

static int by_library(struct quantised_layer l, enum quantised_type type) {
    if (!aligned16(l.x) || !aligned16(l.w) || l.din % 16) return 0;
    const long most = band_of(l.dout, half_left(), sizeof(float) * (size_t)l.n);
    void *sum = workspace_push(sizeof(float) * (size_t)(l.n * most));
    if (!sum) return 1;
    int done = 1;
    for (l.first = 0; l.first < l.dout && done; l.first += most) {
        l.band = l.dout - l.first < most ? l.dout - l.first : most;
        done = library_sums(&l, type, sum);
        if (done) finish_band(&l, sum, type == QUANTISED_INT8);
    }
    workspace_pop(sum);
    return done;
}

static void widened(struct quantised_layer l, enum quantised_type type) {
    elem *x = (elem *)workspace_push(sizeof *x * (size_t)(l.n * l.din));
    if (!x) return;
    for_each_one(widen{x, l.x, type}, l.n * l.din);
    const long most = band_of(l.dout, half_left(), sizeof(float) * (size_t)l.n + sizeof(elem) * (size_t)l.din);
    float *sum = (float *)workspace_push(sizeof *sum * (size_t)(l.n * most));
    for (l.first = 0; l.first < l.dout && sum; l.first += most) {
        l.band = l.dout - l.first < most ? l.dout - l.first : most;
        widened_band(&l, type, x, sum);
    }
    workspace_pop(sum);
    workspace_pop(x);
}

void linear_quantised_forward(elem *y, const uint8_t *x, const real *x_scale, const uint8_t *w, const real *w_scale,
                              const elem *b, enum quantised_type type, long n, long din, long dout) {
    struct quantised_layer l = {y, x, w, x_scale, w_scale, b, n, din, dout, 0, dout};
    if (n <= 0 || dout <= 0) return;
    if (!scaled_inside(&l, type) && !by_library(l, type)) widened(l, type);
}

long quantised_room(enum quantised_type, long, long, long) { return 0; } /* what it takes is in the workspace */
