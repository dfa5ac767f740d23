/* adapters.h: finds, loads and verifies the frozen weights under adapters, when a stage starts and when it resumes; for
   state_read.c, which reads the adapters' own values. */
#ifndef TRAIN_STATE_ADAPTERS_H
#define TRAIN_STATE_ADAPTERS_H

#include "train/state/state.h"

/* Reads this rank's part of frozen weights from origin, whose checksum it sets. */
int adapters_load_frozen(struct frozen_weights *weights, struct weights_origin *origin);
/* Gives a network with adapters its first weights, from a source. Adapters of the same kind over the same weights are
   trained on: *goes_on is 1, and the caller reads their values from `from`. Any other source becomes the frozen weights
   under new adapters. */
int adapters_start(struct optimiser *o, const char *name, struct weights_origin *from, int *goes_on);
/* Called before a resuming stage reads its arrays from its state (path: the file). Checks that the state has the
   config's adapters, or none as the config, and loads the weights under them. Where those were moved, the source that
   the config names (train_state_source) is taken if it holds the same values. ERR_USAGE names the key that has
   changed. */
int adapters_resume(struct state_reader *r, const char *path, const struct saved_network *network);

#endif
