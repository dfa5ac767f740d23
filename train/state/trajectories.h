/* trajectories.h: the teacher's trajectories on disk, FOLDER/trajectories/clip_000012.h5. There is one file a clip, so
   that it does not matter how many ranks recorded or read them. A file is written whole or not at all and is checked
   before it is read (checkpoints/state.h). It holds `sigma` [levels + 1], the last of which is 0, `states` [levels + 1,
   F C H W], the clip's conditions, and the settings that it was recorded with; settings that are not the run's are an
   error that names both. Clip n is sample n mod batch of recorded batch n / batch. */
#ifndef TRAIN_STATE_TRAJECTORIES_H
#define TRAIN_STATE_TRAJECTORIES_H

#include "model/dit/condition_batch.h"
#include "train/config/run_config.h"

struct trajectory_store {
    char folder[RUN_PATH + 64];
    const struct run_config *config;
    int levels;    /* the student's levels, at which states are kept besides the end */
    size_t values; /* elements of a state: F C H W */
    float *host;   /* [levels + 1][values] */
};
/* stage_folder: RUN/ode_init. */
int trajectory_store_open(struct trajectory_store *t, const char *stage_folder, const struct run_config *config);
void trajectory_store_close(struct trajectory_store *t);
/* Number of whole batches on disk, from number 0 on without a gap. */
int trajectory_store_count(const struct trajectory_store *t);
/* Write and read clip `number`. states: device, [levels + 1][values], `stride` elements from one to the next;
   condition: this one clip's. */
int trajectory_store_write(struct trajectory_store *t, long number, const real *states, size_t stride,
                           const struct condition_batch *condition);
int trajectory_store_read(struct trajectory_store *t, long number, real *states, size_t stride,
                          struct condition_batch *condition);

/* Finds, for each of the student's levels, the sampler step at whose start the state is at that level: step[levels].
   ERR_USAGE names a level that the sampler does not pass through. */
int trajectory_steps(const struct run_config *config, const struct sampler *sampler, int *step);

#endif
