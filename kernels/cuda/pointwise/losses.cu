/* losses.cu: losses with their gradients in one pass. loss is real [1] and added to; sums over elements are double, so
   that a loss of millions of elements still has real's precision. */
#include "kernels/cuda/rows/total.cuh"

struct add_to_loss {
    real *loss;
    double factor;
    __device__ void at(long, double sum) const { *loss += (real)(factor * sum); }
};

struct mse_term {
    real *dpred;
    const real *pred, *target, *weight;
    long size;
    __device__ double at(long i) const {
        real difference = pred[i] - target[i], w = weight[i / size];
        if (dpred) dpred[i] = 2 * w * difference / (real)size;
        return (double)w * difference * difference;
    }
};

void mse_loss(real *loss, real *dpred, const real *pred, const real *target, const real *weight, long groups,
              long size) {
    total(mse_term{dpred, pred, target, weight, size}, add_to_loss{loss, 1 / (double)size}, 1, groups * size);
}

__device__ static inline real sign_of(real v) { return (real)((v > 0) - (v < 0)); }

/* The weight of every place in a picture of `colours` planes. */
struct place_weights {
    const real *m;
    long colours, size;
    __device__ real at(long i) const {
        if (!m) return 1;
        long plane = quotient(i, size);
        return m[plane / colours * size + (i - plane * size)];
    }
};

struct abs_loss_term {
    real *dpred;
    const real *pred, *target;
    place_weights weights;
    real share;
    __device__ double at(long i) const {
        real difference = pred[i] - target[i], here = weights.at(i);
        if (dpred) dpred[i] += share * here * sign_of(difference);
        return (double)here * fabsf(difference);
    }
};

void abs_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m, long colours, real weight,
              long n, long size) {
    total(abs_loss_term{dpred, pred, target, {m, colours, size}, weight / (real)(n * size)},
          add_to_loss{loss, weight / (double)(n * size)}, 1, n * size);
}

/* Terms along one axis: element i against its neighbour `step` further, where its place on the axis is not the last of
   `length`. The gradient is gathered from both neighbours, so that a thread writes only its own element. */
struct difference_term {
    real *dpred;
    const real *pred, *target;
    place_weights weights;
    long step, length;
    real share; /* factor of one pair in the loss */
    __device__ real difference(long i) const { return (pred[i + step] - target[i + step]) - (pred[i] - target[i]); }
    __device__ double at(long i) const {
        long place = i / step % length;
        real here = place + 1 < length ? difference(i) : 0, before = place > 0 ? difference(i - step) : 0;
        real weight = weights.at(i);
        if (dpred)
            dpred[i] += share * ((place > 0 ? weights.at(i - step) * sign_of(before) : 0) - weight * sign_of(here));
        return (double)weight * fabsf(here);
    }
};

/* Adds the loss along one axis of `length` places, whose neighbours lie `step` elements apart. */
static void difference_along(real *loss, real *dpred, const real *pred, const real *target, place_weights weights,
                             real weight, long n, long step, long length) {
    long pairs = n / length * (length - 1);
    if (pairs <= 0) return;
    total(difference_term{dpred, pred, target, weights, step, length, weight / (real)pairs},
          add_to_loss{loss, weight / (double)pairs}, 1, n);
}

void gradient_difference_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m,
                              long colours, real weight, long n, long H, long W) {
    const place_weights weights = {m, colours, H * W};
    difference_along(loss, dpred, pred, target, weights, weight, n * H * W, 1, W);
    difference_along(loss, dpred, pred, target, weights, weight, n * H * W, W, H);
}

struct abs_term {
    const real *x, *y;
    __device__ double at(long i) const { return fabsf(x[i] - y[i]); }
};
struct mean_of_sample {
    real *out;
    long n;
    __device__ void at(long sample, double sum) const { out[sample] = (real)(sum / (double)n); }
};

void mean_abs_difference(real *out, const real *x, const real *y, long B, long n) {
    total(abs_term{x, y}, mean_of_sample{out, n}, B, n);
}

struct dmd_term {
    real *g;
    const real *f, *r, *norm;
    long n, N;
    __device__ double at(long i) const {
        real difference = f[i] - r[i];
        g[i] = difference / (norm[i / n] * (real)N);
        return (double)difference * difference;
    }
};

void dmd_gradient(real *g, real *loss, const real *f, const real *r, const real *norm, long B, long n) {
    total(dmd_term{g, f, r, norm, n, B * n}, add_to_loss{loss, 1 / (double)(B * n)}, 1, B * n);
}

struct sid_term {
    real *g_r, *g_f, *g_x;
    const real *x, *r, *f, *norm;
    real alpha;
    long n, N;
    __device__ double at(long i) const {
        real k = 1 / ((real)N * norm[i / n]);
        real a = r[i] - f[i], b = (r[i] - x[i]) - alpha * a;
        if (g_r) g_r[i] = k * (b + (1 - alpha) * a);
        if (g_f) g_f[i] = k * (alpha * a - b);
        if (g_x) g_x[i] = -k * a;
        return (double)k * a * b;
    }
};

void sid_gradients(real *g_r, real *g_f, real *g_x, real *loss, const real *x, const real *r, const real *f,
                   const real *norm, real alpha, long B, long n) {
    total(sid_term{g_r, g_f, g_x, x, r, f, norm, alpha, n, B * n}, add_to_loss{loss, 1}, 1, B * n);
}

struct relativistic_term {
    real *da, *db;
    const real *a, *b;
    real weight;
    long n;
    __device__ double at(long i) const {
        double z = (double)a[i] - b[i], e = exp(-fabs(z));
        double slope = -(z < 0 ? 1 / (1 + e) : e / (1 + e)); /* -sigmoid(-z) */
        if (da) da[i] = (real)(weight * slope / (double)n);
        if (db) db[i] = (real)(-weight * slope / (double)n);
        return (z < 0 ? -z : 0) + log1p(e); /* softplus(-z) without overflow */
    }
};

void relativistic_loss(real *loss, real *da, real *db, const real *a, const real *b, real weight, long n) {
    total(relativistic_term{da, db, a, b, weight, n}, add_to_loss{loss, weight / (double)n}, 1, n);
}

struct penalty_term {
    real *dmoved, *dstill;
    const real *moved, *still;
    real h, weight;
    long n;
    __device__ double at(long i) const {
        double slope = ((double)moved[i] - still[i]) / h;
        real gradient = (real)(2 * weight * slope / ((double)n * h));
        if (dmoved) dmoved[i] += gradient;
        if (dstill) dstill[i] -= gradient;
        return slope * slope;
    }
};

void finite_difference_penalty(real *loss, real *dmoved, real *dstill, const real *moved, const real *still, real h,
                               real weight, long n) {
    total(penalty_term{dmoved, dstill, moved, still, h, weight, n}, add_to_loss{loss, weight / (double)n}, 1, n);
}
