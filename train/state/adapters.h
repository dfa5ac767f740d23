/* adapters.h: what adapters are over, when a stage starts and when it resumes: found, loaded, held to be what it was.
   For state_read.c. Nothing here is of the adapters' own values. */
#ifndef TRAIN_STATE_ADAPTERS_H
#define TRAIN_STATE_ADAPTERS_H

#include "train/state/state.h"

/* Frozen weights of this rank, and where they came from; origin's sum is set. */
int adapters_load_frozen(struct frozen_weights *weights, struct weights_origin *origin);
/* A network's first weights: adapters over the same weights, of the same kind, go on (*goes_on: their values are to be
   read from `from`); other weights become those that new adapters are over. */
int adapters_start(struct optimiser *o, const char *name, struct weights_origin *from, int *goes_on);
/* Before the arrays of a stage's own state (path: its file): it has the config's adapters, or none. ERR_USAGE names the
   key that is another now; where the base was moved, the source that the config names (train_state_source) is taken
   when it holds the same values. */
int adapters_resume(struct state_reader *r, const char *path, const struct saved_network *network);

#endif
