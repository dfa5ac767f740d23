/* levels.h: one noise level a clip, drawn by its address, and what a step derives from it on the device. Frame 0 is the
   clean reference: it is at level 0, is not noised and takes no part in losses.
   Levels stay in double on the host and in real on the device. */
#ifndef TRAIN_METHOD_LEVELS_H
#define TRAIN_METHOD_LEVELS_H

#include "base/philox.h"
#include "kernels/arena.h"
#include "train/config/run_config.h"

struct levels {
    int B, F;            /* samples in hand, at most those laid out */
    real *t;             /* device [B, F]: 1000 sigma; 0 at frame 0 */
    real *sigma;         /* 0 at frame 0 */
    real *clean;         /* 1 - sigma; 1 at frame 0 */
    real *minus_sigma;   /* 0 at frame 0 */
    real *one, *zero;    /* 1, 0 */
    real *generated;     /* 1; 0 at frame 0 */
    real *through_noise; /* 1 - sigma, the derivative of the noisy clip by the clip; 0 at frame 0 */
    double *drawn;       /* host [B] */
    real *host;          /* host staging [8, B, F] */
};
int levels_layout(struct levels *l, int B, int F, struct arena *arena);
void levels_free(struct levels *l);

/* A level from (address, sample) (pure). */
double level_draw(const struct level_config *config, const struct random_address *address);
/* Draws the levels of samples address->sample .. + B - 1 and uploads; these B samples are now in hand. */
void levels_draw(struct levels *l, const struct level_config *config, const struct random_address *address, int B);

/* noisy = (1 - sigma) x + sigma noise, frame by frame of `size` elements. */
void levels_noise(const struct levels *l, real *noisy, const real *x, const real *noise, long size);
/* x0 = noisy - sigma velocity. */
void levels_x0(const struct levels *l, real *x0, const real *noisy, const real *velocity, long size);

#endif
