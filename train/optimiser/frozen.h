/* frozen.h: a network's weights that are not trained, and where they came from: those of a frozen network, or those
   under adapters, which several networks may share. train/state/weights_stream.h reads them. */
#ifndef TRAIN_OPTIMISER_FROZEN_H
#define TRAIN_OPTIMISER_FROZEN_H

#include "base/fileio.h"
#include "model/params/shard.h"

/* Where weights came from: a group of a state, or, with an empty group, a checkpoint of another kind. */
enum { ORIGIN_GROUP = 64 };
struct weights_origin {
    char path[FILE_PATH_MAX], group[ORIGIN_GROUP];
    uint64_t seed;             /* seed of modules that a checkpoint of another kind lacks */
    uint64_t sum;              /* checksum of the values in the file; 0: not known */
    struct file_identity seen; /* identity of a state that was found whole; zeros: it was not looked at */
    int new_audio;             /* 1: the checkpoint has no audio modules, and the seed made them; set with sum */
};
struct frozen_weights {
    struct sharded shard;
    struct weights_origin origin;
};

#endif
