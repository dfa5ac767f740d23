/* batch_split.h: which samples of the global batch are this rank's, and in which parts (micro-batches) it takes them.
   The batch is cut in ranks x parts pieces of neighbouring samples, as equal as they can be: the first batch mod pieces
   have one more. Rank r takes pieces r parts .. r parts + parts - 1. Every rank goes through the same number of parts,
   so collectives meet; every part has at least one sample. Where ranks divide a clip's tokens
   (model/params/sequence.h), `ranks` is the number of their groups and all of a group have the same samples. Random
   numbers are addressed by the sample's number in the global batch and losses are divided by the global batch, so
   neither depends on the cut. */
#ifndef TRAIN_OPTIMISER_BATCH_SPLIT_H
#define TRAIN_OPTIMISER_BATCH_SPLIT_H

#include "model/dit/condition_batch.h"
#include "model/params/shard.h"

struct batch_split {
    int batch;        /* samples of the global batch */
    int first, count; /* this rank's */
    int parts;        /* that it takes them in */
    int largest;      /* samples of its largest part */
};
struct part {
    int batch;        /* samples of the global batch */
    int first, count; /* in the rank's share */
    long sample0;     /* number of its first sample in the global batch */
    int last;         /* of the rank's parts */
};
/* ERR_USAGE: fewer samples than ranks x parts. parts 0: 1. */
int batch_split_of(struct batch_split *split, int batch, int parts, int rank, int ranks);
/* Of this rank of the process's; NULL: one process. */
int sharding_batch_split(const struct sharding *shards, struct batch_split *split, int batch, int parts);
struct part batch_split_part(const struct batch_split *split, int index);
/* A part of a batch as it lies on the device. */
struct batch_part {
    struct part part;
    const real *clips; /* [count, F, C, H, W] */
    struct condition_batch condition;
};
/* Part `index` of the rank's clips [split, clip elements each] and conditions. */
void batch_part(struct batch_part *b, const struct batch_split *split, int index, const real *clips, long clip,
                const struct condition_batch *condition);
/* A part of all samples: what one process takes at once. */
struct part part_whole(int batch);

#endif
