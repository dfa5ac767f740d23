/* latent_distance.h: how far generated latents are from real ones as distributions, cheap enough to choose a state by.
   For every element of a latent frame, mean m and deviation s are taken over clips and frames 1.., of generated (g) and
   of real latents (r); a distance is the sum over elements of (m_g - m_r)^2 + (s_g - s_r)^2, over that of
   m_r^2 + s_r^2. That is the Frechet distance of two normal distributions whose elements are independent (Dowson and
   Landau 1982), over the distance to a clip that never moves: 0 is best, 1 is a still picture, more is worse than
   none. Two kinds are averaged: appearance, a frame less its clip's reference, and motion, a frame less the one before.
   Host memory, doubles. */
#ifndef TRAIN_METHOD_LATENT_DISTANCE_H
#define TRAIN_METHOD_LATENT_DISTANCE_H

#include "kernels/types.h"

enum latent_side { LATENTS_MADE, LATENTS_REAL, LATENT_SIDES };
enum latent_difference { DIFFERENCE_REFERENCE, DIFFERENCE_BEFORE, LATENT_DIFFERENCES };
struct latent_distance {
    int F;
    long size;                                         /* elements of a latent frame */
    long frames[LATENT_SIDES];                         /* that were added */
    double *sum[LATENT_SIDES][LATENT_DIFFERENCES];     /* [size] */
    double *squares[LATENT_SIDES][LATENT_DIFFERENCES]; /* [size] */
};
/* ERR_DEVICE: out of memory. The caller closes what was opened. */
int latent_distance_open(struct latent_distance *d, int F, long size);
void latent_distance_close(struct latent_distance *d);
/* Adds clips [count, F, size], host. */
void latent_distance_add(struct latent_distance *d, enum latent_side side, const real *clips, int count);
double latent_distance(const struct latent_distance *d);
/* Mean square distance of frames from their references, made over real: far above 1 where clips do not keep the person
   that they begin with. */
double latent_drift(const struct latent_distance *d);

#endif
