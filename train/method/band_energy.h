/* band_energy.h: mean square of latents in four bands of channels, over frames 1.. only. It is a figure to watch: the
   energy of generated latents over that of real ones should be near 1. The pca codec orders its channels from coarse to
   fine, so the last band is fine detail; far above 1 there means that the critic lags behind the student. */
#ifndef TRAIN_METHOD_BAND_ENERGY_H
#define TRAIN_METHOD_BAND_ENERGY_H

#include "kernels/arena.h"
#include "kernels/kernels.h"

enum { ENERGY_BANDS = 4 };
extern const char *const band_energy_names[ENERGY_BANDS]; /* names of the metrics */
struct band_energy {
    int B, F, bands; /* samples of the largest part; frames; 4, or 1 when the channels do not divide by 4 */
    long size;       /* elements of a latent frame */
    real *weight;    /* device [bands][B, F, bands]: selects a band and divides by the number of its values */
    real *zero;      /* device [B, F, C, H, W]: zeros, which the mean square is taken against */
};
void band_energy_layout(struct band_energy *e, int B, int F, int channels, long size, struct arena *arena);
/* Writes the constants, once the memory is there. batch: number of samples that the mean is over. */
int band_energy_prepare(struct band_energy *e, int batch);
/* Adds to out, device [4], what B samples x, device [B, F, C, H, W], contribute to the batch's mean. */
void band_energy_measure(const struct band_energy *e, real *out, const real *x, int B);

#endif
