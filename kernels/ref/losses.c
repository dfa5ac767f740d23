/* losses.c: losses with their gradients, as the definition. loss is real [1] and added to; sums over elements are kept
   in double, so that a loss of millions of elements still has real's precision. */
#include "kernels/kernels.h"
#include "kernels/device.h"

#include <math.h>

void mse_loss(real *loss, real *dpred, const real *pred, const real *target, const real *weight, long groups,
              long size) {
    KERNEL_SCOPE;
    double total = 0;
    for (long g = 0; g < groups; g++) {
        double sum = 0;
        for (long i = g * size; i < (g + 1) * size; i++) {
            real difference = pred[i] - target[i];
            sum += (double)difference * difference;
            if (dpred) dpred[i] = 2 * weight[g] * difference / (real)size;
        }
        total += weight[g] * sum / (double)size;
    }
    *loss += (real)total;
}

static real sign_of(real v) { return (real)((v > 0) - (v < 0)); }

/* The weights of plane p's places; NULL where all are 1. */
static const real *map_of(const real *m, long p, long colours, long size) { return m ? m + p / colours * size : NULL; }

void abs_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m, long colours, real weight,
              long n, long size) {
    KERNEL_SCOPE;
    double sum = 0;
    real share = weight / (real)(n * size);
    for (long p = 0; p < n; p++) {
        const real *map = map_of(m, p, colours, size);
        for (long k = 0; k < size; k++) {
            long i = p * size + k;
            real difference = pred[i] - target[i], here = map ? map[k] : 1;
            sum += here * fabs(difference);
            if (dpred) dpred[i] += share * here * sign_of(difference);
        }
    }
    *loss += (real)(weight * sum / (double)(n * size));
}

/* Term of element i and its neighbour `step` elements further; adds its gradient, `share` in size, to both. */
static double gradient_term(real *dpred, const real *pred, const real *target, long i, long step, real share) {
    real difference = (pred[i + step] - target[i + step]) - (pred[i] - target[i]);
    if (dpred) dpred[i + step] += share * sign_of(difference), dpred[i] -= share * sign_of(difference);
    return fabs(difference);
}

void gradient_difference_loss(real *loss, real *dpred, const real *pred, const real *target, const real *m,
                              long colours, real weight, long n, long H, long W) {
    KERNEL_SCOPE;
    double across = 0, down = 0;
    long pairs_across = n * H * (W - 1), pairs_down = n * (H - 1) * W;
    for (long line = 0; line < n * H; line++) {
        long p = line / H, y = line - p * H;
        const real *map = map_of(m, p, colours, H * W);
        for (long x = 0; x < W; x++) {
            long i = line * W + x;
            real here = map ? map[y * W + x] : 1;
            if (x < W - 1)
                across += here * gradient_term(dpred, pred, target, i, 1, weight * here / (real)pairs_across);
            if (y < H - 1) down += here * gradient_term(dpred, pred, target, i, W, weight * here / (real)pairs_down);
        }
    }
    if (pairs_across) *loss += (real)(weight * across / (double)pairs_across);
    if (pairs_down) *loss += (real)(weight * down / (double)pairs_down);
}

void mean_abs_difference(real *out, const real *x, const real *y, long B, long n) {
    KERNEL_SCOPE;
    for (long b = 0; b < B; b++) {
        double sum = 0;
        for (long i = b * n; i < (b + 1) * n; i++) sum += fabs(x[i] - y[i]);
        out[b] = (real)(sum / (double)n);
    }
}

void dmd_gradient(real *g, real *loss, const real *f, const real *r, const real *norm, long B, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < B * n; i++) {
        real difference = f[i] - r[i];
        sum += (double)difference * difference;
        g[i] = difference / (norm[i / n] * (real)(B * n));
    }
    *loss += (real)(sum / (double)(B * n));
}

void sid_gradients(real *g_r, real *g_f, real *g_x, real *loss, const real *x, const real *r, const real *f,
                   const real *norm, real alpha, long B, long n) {
    KERNEL_SCOPE;
    double total = 0;
    for (long i = 0; i < B * n; i++) {
        real k = 1 / ((real)(B * n) * norm[i / n]);
        real a = r[i] - f[i], b = (r[i] - x[i]) - alpha * a;
        total += (double)k * a * b;
        if (g_r) g_r[i] = k * (b + (1 - alpha) * a);
        if (g_f) g_f[i] = k * (alpha * a - b);
        if (g_x) g_x[i] = -k * a;
    }
    *loss += (real)total;
}

void relativistic_loss(real *loss, real *da, real *db, const real *a, const real *b, real weight, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < n; i++) {
        double z = (double)a[i] - b[i], e = exp(-fabs(z));
        sum += (z < 0 ? -z : 0) + log1p(e);                  /* softplus(-z) without overflow */
        double slope = -(z < 0 ? 1 / (1 + e) : e / (1 + e)); /* -sigmoid(-z) */
        if (da) da[i] = (real)(weight * slope / (double)n);
        if (db) db[i] = (real)(-weight * slope / (double)n);
    }
    *loss += (real)(weight * sum / (double)n);
}

void finite_difference_penalty(real *loss, real *dmoved, real *dstill, const real *moved, const real *still, real h,
                               real weight, long n) {
    KERNEL_SCOPE;
    double sum = 0;
    for (long i = 0; i < n; i++) {
        double slope = ((double)moved[i] - still[i]) / h;
        real gradient = (real)(2 * weight * slope / ((double)n * h));
        sum += slope * slope;
        if (dmoved) dmoved[i] += gradient;
        if (dstill) dstill[i] -= gradient;
    }
    *loss += (real)(weight * sum / (double)n);
}
