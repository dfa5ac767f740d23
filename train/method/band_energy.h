/* band_energy.h: mean square of latents in four bands of channels, frames 1.. only: a figure to watch. The pca codec
   orders its components from coarse to fine, so the last band is fine detail; generated over real near 1 is right, and
   a finest band far above 1 is the overshoot of a cold critic. */
#ifndef TRAIN_METHOD_BAND_ENERGY_H
#define TRAIN_METHOD_BAND_ENERGY_H

#include "kernels/arena.h"
#include "kernels/kernels.h"

enum { ENERGY_BANDS = 4 };
extern const char *const band_energy_names[ENERGY_BANDS]; /* of metrics */
struct band_energy {
    int B, F, bands; /* of the largest part; bands: 4, or 1 when the channels do not divide by 4 */
    long size;       /* elements of a latent frame */
    real *weight;    /* device [bands][B, F, bands] */
    real *zero;      /* device [B, F, C, H, W] */
};
void band_energy_layout(struct band_energy *e, int B, int F, int channels, long size, struct arena *arena);
/* After the memory is there: constants. batch: the samples over which it is a mean. */
int band_energy_prepare(struct band_energy *e, int batch);
/* out: device [4], += the share of B samples x, device [B, F, C, H, W]. */
void band_energy_measure(const struct band_energy *e, real *out, const real *x, int B);

#endif
