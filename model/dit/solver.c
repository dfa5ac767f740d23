/* solver.c: see solver.h. With h the step in lambda, E = expm1(-h) and a = 1 - sigma at its end,
     predictor  (sigma'/sigma) s - a E (m0 + (m1 - m0) / (2 r)),  r = (lambda_{i-1} - lambda_i) / h
     corrector  (sigma/sigma'') s - a E (m1 + c0 (m2 - m1) / r + c1 (m0 - m1)),  r = (lambda_{i-2} - lambda_{i-1}) / h
   where c0, c1 solve c0 + c1 = b0, r c0 + c1 = b1 with b0 = phi1 / E, b1 = 2 phi2 / E, phi1 = -E/h - 1,
   phi2 = -phi1/h - 1/2; of order 1: c1 = 1/2. At sigma = 1 lambda is minus infinity, E = -1 and 1/r = 0. */
#include "model/dit/solver.h"

#include <math.h>

static double lambda(double sigma) { return log((1 - sigma) / sigma); }

/* Order of the predictor of step i. */
static int order_of(int steps, int i) { return i >= 1 && steps - i >= 2 ? 2 : 1; }

struct solver_predictor solver_unipc_predictor(const double *sigma, int steps, int i) {
    double h = lambda(sigma[i + 1]) - lambda(sigma[i]), weight = -(1 - sigma[i + 1]) * expm1(-h);
    struct solver_predictor p = {.x = sigma[i + 1] / sigma[i], .m0 = weight};
    if (order_of(steps, i) == 2) {
        double r = (lambda(sigma[i - 1]) - lambda(sigma[i])) / h;
        p.m1 = weight / (2 * r);
        p.m0 -= p.m1;
    }
    return p;
}

struct solver_corrector solver_unipc_corrector(const double *sigma, int steps, int i) {
    double h = lambda(sigma[i]) - lambda(sigma[i - 1]), E = expm1(-h), weight = -(1 - sigma[i]) * E;
    struct solver_corrector c = {.start = sigma[i] / sigma[i - 1]};
    double c0_r = 0, c1 = 0.5; /* c0 / r, c1 */
    if (order_of(steps, i - 1) == 2) {
        double r = (lambda(sigma[i - 2]) - lambda(sigma[i - 1])) / h;
        double phi1 = -E / h - 1, phi2 = -phi1 / h - 0.5, b0 = phi1 / E, b1 = 2 * phi2 / E, c0 = (b0 - b1) / (1 - r);
        c0_r = c0 / r;
        c1 = b0 - c0;
    }
    c.m0 = weight * c1;
    c.m1 = weight * (1 - c0_r - c1);
    c.m2 = weight * c0_r;
    return c;
}
