/* frozen.h: a network's weights that do not train on this rank, and where they came from: what adapters are over, and
   what several networks share. train/state/weights_stream.h reads them. */
#ifndef TRAIN_OPTIMISER_FROZEN_H
#define TRAIN_OPTIMISER_FROZEN_H

#include "base/fileio.h"
#include "model/params/shard.h"

/* Where weights came from: a group of a state, or (empty) a checkpoint of another kind. */
enum { ORIGIN_GROUP = 64 };
struct weights_origin {
    char path[FILE_PATH_MAX], group[ORIGIN_GROUP];
    uint64_t seed;             /* of modules that a checkpoint of another kind lacks */
    uint64_t sum;              /* of the values that the file holds; 0: not known */
    struct file_identity seen; /* of a state that was found whole; zeros: it was not looked at */
    int new_audio;             /* set with the sum: the audio modules are from the seed, for the checkpoint has none */
};
struct frozen_weights {
    struct sharded shard;
    struct weights_origin origin;
};

#endif
