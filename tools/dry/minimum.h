/* minimum.h: computes the least that a pass can move, as a list of fused kernels that follows from the network's sizes
   alone; each operand is read once and written once. The counts of a dry run are held against it. */
#ifndef TOOLS_DRY_MINIMUM_H
#define TOOLS_DRY_MINIMUM_H

#include "model/dit/rollout.h"
#include "tools/record/traffic.h"

/* All passes of one chunk of a stream in the steady state: queries, keys and values by one product, their norms and
   rotation by one kernel, one attention over history and own frames, GELU in its product, each residual with the next
   norm. Once a chunk the history's keys are rotated, and the audio's keys and values are made. */
struct traffic minimum_chunk(const struct dit_config *config, const struct rollout_config *rollout);
/* Forward and backward of `frames` frames of one clip without history; everything that the backward reads is kept. In
   the backward, too, queries, keys and values are one product, and each norm goes with the residual in front of it. */
struct traffic minimum_training(const struct dit_config *config, int frames);

#endif
