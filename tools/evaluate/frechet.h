/* frechet.h: the Frechet distance between two normal distributions, each given by mean and covariance:
     |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))
   (Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; FID is this over the
   features of a network, Heusel et al. 2017). Pure; host memory, doubles. */
#ifndef TOOLS_EVALUATE_FRECHET_H
#define TOOLS_EVALUATE_FRECHET_H

struct normal {
    const double *mean, *covariance; /* [n], [n, n], symmetric and not negative */
};
/* The distance; room: scratch [2 n n + 2 n]. */
double frechet_distance(const struct normal *a, const struct normal *b, int n, double *room);
/* The distance to a distribution that never varies and has mean 0: |m|^2 + tr C. */
double frechet_to_zero(const struct normal *a, int n);

#endif
