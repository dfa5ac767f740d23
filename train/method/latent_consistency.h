/* latent_consistency.h: how far decoded pixels, encoded again by the frozen codec, are from the latents they came from,
   with the gradient to the pixels. Encoding must be known as a linear map: the pca codec's,
     latent[c] = k_c b_c . (v - m) = (2 k_c b_c) . (x - (1 + m)/2)     for v = 2x - 1, pixels x in [0, 1],
   v a patch of 12 p^2 numbers in order (frame, colour, row, column); a clip's first frame counts four times. */
#ifndef TRAIN_METHOD_LATENT_CONSISTENCY_H
#define TRAIN_METHOD_LATENT_CONSISTENCY_H

#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/codec/codec.h"

struct latent_consistency {
    int batch, frames;         /* clips at most, latent frames of each */
    long C, h, w, patch, size; /* latents; pixels of a patch's side; 12 p^2 */
    real *basis;               /* [C, size]: 2 k_c b_c */
    real *offset;              /* [batch frames h w, C]: what the mean makes, the same in every row */
    real *clip;                /* [batch, 4 frames, 3, h p, w p]: the first frame four times over */
    real *rows;                /* [batch frames h w, size] */
    real *made, *wanted;       /* [batch frames h w, C] */
    real *weight;              /* [1] */
};
/* patch: pixels for a latent position along a side. */
void latent_consistency_layout(struct latent_consistency *c, int batch, int frames, int channels, int h, int w,
                               int patch, struct arena *arena);
/* Takes the codec's map. ERR_USAGE: the codec has none, or of another patch. */
int latent_consistency_prepare(struct latent_consistency *c, const struct codec *codec);
/* loss += weight mean (encode(pixels) - latents)^2; dpixels += its gradient (NULL: not wanted). clips: at most the
   layout's; pixels in [0, 1] [clips, 4 frames - 3, 3, H, W], latents [clips, frames, C, h, w]. */
void latent_consistency_gradient(struct latent_consistency *c, int clips, double weight, real *loss, real *dpixels,
                                 const real *pixels, const real *latents);

#endif
