/* pass_reduction.h: a student that loses its passes one by one while it is refined, as in TurboTalk (Liu et al. 2026),
   which goes from 4 passes to 1 by adversarial distillation; here real clips are what rollouts are compared with, and
   the steps of the stage are split evenly over the numbers of passes:

     steps   | 3 passes | 2 passes | 1 pass |     from rollout.sigma's 3 to refine.passes 1

   The levels of p passes are those of the N at places i N / p, i = 0 .. p-1, rounded half up: the student has learned
   them, and they are spread as evenly as the list is. Of 1, 0.86, 0.6 two passes have 1 and 0.6. Pure functions. */
#ifndef TRAIN_METHOD_PASS_REDUCTION_H
#define TRAIN_METHOD_PASS_REDUCTION_H

#include "model/dit/rollout.h"

/* Number of passes in update number `step` of `steps`, from `most` down to `fewest`; before the first update `most`,
   after the last one `fewest`. */
int reduced_passes(int most, int fewest, long step, long steps);
/* Leaves a rollout so many of its passes. */
void reduce_passes(struct rollout_config *config, int passes);
/* Leaves a rollout the passes that it has in update number `step`. fewest 0: all of them, in every update. */
void reduce_passes_at(struct rollout_config *config, int fewest, long step, long steps);

#endif
