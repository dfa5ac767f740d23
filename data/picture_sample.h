/* picture_sample.h: what a decoder learns from, of a data set that holds its windows' true pictures: a reference and a
   few latent frames of a window that come later, with their pictures.
     latents  [1 + frames, C, H, W]: the reference's image latent, then latent frames a .. a + frames - 1 of the
              window, a >= 1
     pictures [1 + 4 frames, 3, pixel height, pixel width]: the reference, then the window's true pictures of those
              frames
   The reference is the first picture of the window itself or, with the probability `other`, of another window of the
   same shot in the same split (clip_rows.h). Where the sample begins and whose reference it has is a pure function of
   (seed, step, sample). Errors: ERR_INPUT of the data set. */
#ifndef DATA_PICTURE_SAMPLE_H
#define DATA_PICTURE_SAMPLE_H

#include "data/dataset.h"

struct picture_sampler;
/* Opens a sampler of `frames` latent frames after the reference, 1 to F - 1 (others: ERR_USAGE). ERR_INPUT: the set has
   no pictures. The set stays the caller's and must outlive the sampler. */
int picture_sampler_open(struct picture_sampler **sampler, struct dataset *set, enum dataset_split split, int frames,
                         double other, uint64_t seed);
void picture_sampler_close(struct picture_sampler *sampler);
/* Makes one sample from row `row` of the split, whose latents [F, C, H, W] are `window`. *joined 1: the first latent
   frame follows the reference in the clip; 0: there is a gap between them. */
int picture_sample(const struct picture_sampler *sampler, uint64_t step, uint32_t sample, long row, const float *window,
                   float *latents, unsigned char *pictures, int *joined);

#endif
