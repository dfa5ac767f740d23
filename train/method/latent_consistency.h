/* latent_consistency.h: the mean square distance between latents and the decoded pixels encoded again by the frozen
   codec, with its gradient to the pixels. Encoding must be a linear map that the codec gives, which is so for pca:
     latent[c] = k_c b_c . (v - m) = (2 k_c b_c) . (x - (1 + m)/2)     for v = 2x - 1, pixels x in [0, 1],
   v a patch of 12 p^2 numbers in order (frame, colour, row, column); a clip's first frame counts four times. */
#ifndef TRAIN_METHOD_LATENT_CONSISTENCY_H
#define TRAIN_METHOD_LATENT_CONSISTENCY_H

#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/codec/codec.h"

struct latent_consistency {
    int batch, frames;         /* largest number of clips, latent frames of each */
    long C, h, w, patch, size; /* channels, rows and columns of latents; side of a patch in pixels; 12 p^2 */
    real *basis;               /* device, as those below, [C, size]: 2 k_c b_c */
    real *offset;              /* [batch frames h w, C]: (2 k_c b_c) . (1 + m)/2, the same in every row */
    real *clip;                /* [batch, 4 frames, 3, h p, w p]: the first frame four times over */
    real *rows;                /* [batch frames h w, size]: the patches, one a row */
    real *made, *wanted;       /* [batch frames h w, C]: latents of the pixels without the offset; latents + offset */
    real *weight;              /* [1]: weight of the loss */
};
/* patch: the codec's stride, pixels for a latent position along a side. */
void latent_consistency_layout(struct latent_consistency *c, int batch, int frames, int channels, int h, int w,
                               int patch, struct arena *arena);
/* Takes the codec's linear map. ERR_USAGE: the codec has none, or one for patches of another size. */
int latent_consistency_prepare(struct latent_consistency *c, const struct codec *codec);
/* Adds weight x mean (encode(pixels) - latents)^2 to loss, and its gradient to dpixels (NULL: it is not wanted). clips:
   at most the layout's; pixels [clips, 4 frames - 3, 3, H, W] in [0, 1], latents [clips, frames, C, h, w]. */
void latent_consistency_gradient(struct latent_consistency *c, int clips, double weight, real *loss, real *dpixels,
                                 const real *pixels, const real *latents);

#endif
