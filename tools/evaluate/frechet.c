/* frechet.c: see frechet.h. With C1 = L L' the eigenvalues of C1 C2 are those of the symmetric L' C2 L, so that tr (C1
   C2)^(1/2) is the sum of their roots. They come from Householder's tridiagonal form by QR steps with Wilkinson's shift
   (Golub and Van Loan, "Matrix Computations", 4.2, 8.3). */
#include "tools/evaluate/frechet.h"

#include <math.h>
#include <string.h>

/* Sets l to the lower triangular factor of c. A direction in which c is zero leaves a column of zeros. */
static void factorise(double *l, const double *c, int n) {
    double largest = 0;
    for (int i = 0; i < n; i++) largest = fmax(largest, c[i * n + i]);
    memset(l, 0, sizeof *l * (size_t)n * (size_t)n);
    for (int j = 0; j < n; j++) {
        double pivot = c[j * n + j];
        for (int k = 0; k < j; k++) pivot -= l[j * n + k] * l[j * n + k];
        if (!(pivot > 1e-13 * largest)) continue;
        l[j * n + j] = sqrt(pivot);
        for (int i = j + 1; i < n; i++) {
            double sum = c[i * n + j];
            for (int k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
            l[i * n + j] = sum / l[j * n + j];
        }
    }
}

/* Sets m = l' c l; room: scratch [n]. */
static void conjugate(double *m, const double *l, const double *c, int n, double *room) {
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < n; i++) {
            double sum = 0;
            for (int k = j; k < n; k++) sum += c[i * n + k] * l[k * n + j];
            room[i] = sum;
        }
        for (int i = 0; i < n; i++) m[i * n + j] = 0;
        for (int k = 0; k < n; k++)
            for (int i = 0; i <= k; i++) m[i * n + j] += l[k * n + i] * room[k];
    }
}

/* Reduces the symmetric a, which is destroyed, to its tridiagonal form: diagonal d [n], off-diagonal e [n]. v: scratch
   [n]. */
static void tridiagonalise(double *a, double *d, double *e, double *v, int n) {
    for (int k = 0; k + 1 < n; k++) {
        double norm = 0;
        for (int i = k + 1; i < n; i++) norm += a[i * n + k] * a[i * n + k];
        norm = sqrt(norm);
        d[k] = a[k * n + k];
        double first = a[(k + 1) * n + k];
        e[k] = first > 0 ? -norm : norm;
        if (norm == 0) continue;
        for (int i = k + 1; i < n; i++) v[i] = a[i * n + k]; /* the reflection's direction: x - e first unit vector */
        v[k + 1] -= e[k];
        double half = e[k] * e[k] - e[k] * first, along = 0; /* half of |v|^2 */
        double *p = d + k + 1;                               /* scratch [n - k - 1]: the end of d is not used yet */
        for (int i = k + 1; i < n; i++) {
            double sum = 0;
            for (int j = k + 1; j < n; j++) sum += a[i * n + j] * v[j];
            p[i - k - 1] = sum / half;
            along += sum / half * v[i];
        }
        for (int i = k + 1; i < n; i++) p[i - k - 1] -= 0.5 * along / half * v[i];
        for (int i = k + 1; i < n; i++)
            for (int j = k + 1; j < n; j++) a[i * n + j] -= v[i] * p[j - k - 1] + p[i - k - 1] * v[j];
    }
    d[n - 1] = a[n * n - 1];
    e[n - 1] = 0;
}

/* Makes one QR step on rows low .. high. */
static void step(double *d, double *e, int low, int high) {
    double half = 0.5 * (d[high - 1] - d[high]), off = e[high - 1];
    double shift = d[high] - off * off / (half + copysign(hypot(half, off), half));
    double x = d[low] - shift, z = e[low];
    for (int k = low; k < high; k++) {
        double r = hypot(x, z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0;
        double a = d[k], b = e[k], f = d[k + 1];
        if (k > low) e[k - 1] = r;
        d[k] = c * c * a + 2 * c * s * b + s * s * f;
        d[k + 1] = s * s * a - 2 * c * s * b + c * c * f;
        e[k] = c * s * (f - a) + (c * c - s * s) * b;
        if (k + 1 == high) break;
        x = e[k];
        z = s * e[k + 1];
        e[k + 1] *= c;
    }
}

/* Turns d into the eigenvalues, in no order. */
static void eigenvalues(double *d, double *e, int n) {
    for (int high = n - 1, steps = 0; high > 0 && steps < 50 * n; steps++) {
        for (int i = 0; i < high; i++)
            if (fabs(e[i]) <= 1e-15 * (fabs(d[i]) + fabs(d[i + 1]))) e[i] = 0;
        while (high > 0 && e[high - 1] == 0) high--;
        if (!high) break;
        int low = high - 1;
        while (low > 0 && e[low - 1] != 0) low--;
        step(d, e, low, high);
    }
}

double frechet_distance(const struct normal *a, const struct normal *b, int n, double *room) {
    double *l = room, *m = l + (long)n * n, *d = m + (long)n * n, *e = d + n, sum = 0;
    factorise(l, a->covariance, n);
    conjugate(m, l, b->covariance, n, d);
    tridiagonalise(m, d, e, l, n);
    eigenvalues(d, e, n);
    for (int i = 0; i < n; i++) {
        double apart = a->mean[i] - b->mean[i];
        sum += apart * apart + a->covariance[i * n + i] + b->covariance[i * n + i] - 2 * sqrt(fmax(0, d[i]));
    }
    return fmax(0, sum);
}

double frechet_to_zero(const struct normal *a, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a->mean[i] * a->mean[i] + a->covariance[i * n + i];
    return sum;
}
