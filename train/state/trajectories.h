/* trajectories.h: the teacher's trajectories on disk: FOLDER/trajectories/clip_000012.h5, one file a clip, so that it
   does not matter how many ranks recorded them or read them; written through checkpoints/state.h (whole or not at all,
   checked before it is read): `sigma` [levels + 1] (the last is 0), `states` [levels + 1, F C H W], the clip's
   conditions, and what it was made with. What does not fit the run is an error that names both. Clip n is sample n mod
   batch of recorded batch n / batch. */
#ifndef TRAIN_STATE_TRAJECTORIES_H
#define TRAIN_STATE_TRAJECTORIES_H

#include "model/dit/condition_batch.h"
#include "train/config/run_config.h"

struct trajectory_store {
    char folder[RUN_PATH + 64];
    const struct run_config *config;
    int levels;    /* of the student: states kept besides the end */
    size_t values; /* elements of a state: F C H W */
    float *host;   /* [levels + 1][values] */
};
/* stage_folder: RUN/ode_init. */
int trajectory_store_open(struct trajectory_store *t, const char *stage_folder, const struct run_config *config);
void trajectory_store_close(struct trajectory_store *t);
/* Whole batches there from number 0 on without a gap. */
int trajectory_store_count(const struct trajectory_store *t);
/* Clip `number`. states: device, [levels + 1] of [values] each at `stride` elements; condition: of this one clip. */
int trajectory_store_write(struct trajectory_store *t, long number, const real *states, size_t stride,
                           const struct condition_batch *condition);
int trajectory_store_read(struct trajectory_store *t, long number, real *states, size_t stride,
                          struct condition_batch *condition);

/* The sampler step at whose start the state is at each of the student's levels: step[levels]. ERR_USAGE names the level
   that the sampler does not pass through. */
int trajectory_steps(const struct run_config *config, const struct sampler *sampler, int *step);

#endif
