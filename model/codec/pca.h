/* pca.h: what the pca codec and its fit share. */
#ifndef MODEL_CODEC_PCA_H
#define MODEL_CODEC_PCA_H

#include <stddef.h>

enum { PCA_LANES = 16 }; /* patches that are worked on together */

/* Copies the p x p patches first .. first+count-1 (row-major over the picture, count <= PCA_LANES) of four frames into
   tile [12 p^2, PCA_LANES], a patch a lane. Frame f is at frames + f * stride: stride 0 takes one frame four times. */
void pca_gather(float *tile, const float *frames, size_t stride, int height, int width, int p, int first, int count);

#endif
