/* batch_split.h: which samples of the global batch are this rank's, and in which parts (micro-batches) it takes them.
   The batch is cut into ranks x parts pieces of neighbouring samples, as equal as they can be: the first batch mod
   pieces have one more. For a batch of 7, two ranks and two parts:

     samples   | 0 1 | 2 3 | 4 5 | 6 |
               | rank 0    | rank 1  |

   Every rank goes through the same number of parts, so that collectives meet; every part has at least one sample. Where
   ranks divide a clip's tokens (model/params/sequence.h), `ranks` is the number of their groups, and all of a group
   have the same samples. Random numbers are addressed by the sample's number in the global batch and losses are divided
   by the global batch, so that neither depends on the cut. */
#ifndef TRAIN_OPTIMISER_BATCH_SPLIT_H
#define TRAIN_OPTIMISER_BATCH_SPLIT_H

#include "model/dit/condition_batch.h"
#include "model/params/shard.h"

struct batch_split {
    int batch;        /* samples of the global batch */
    int first, count; /* this rank's samples: number of the first one, and how many */
    int parts;        /* parts that it takes them in */
    int largest;      /* samples of its largest part */
};
struct part {
    int batch;        /* samples of the global batch */
    int first, count; /* the part's samples, counted in the rank's */
    long sample0;     /* number of its first sample in the global batch */
    int last;         /* 1: it is the rank's last part */
};
/* Cuts a batch for one rank; parts 0 is 1 part. ERR_USAGE: there are fewer samples than ranks x parts. */
int batch_split_of(struct batch_split *split, int batch, int parts, int rank, int ranks);
/* Cuts a batch for this process by the rank that it has in `shards`; NULL: there is one process. */
int sharding_batch_split(const struct sharding *shards, struct batch_split *split, int batch, int parts);
struct part batch_split_part(const struct batch_split *split, int index);
/* A part of a batch on the device. */
struct batch_part {
    struct part part;
    const real *clips; /* [count, F, C, H, W] */
    struct condition_batch condition;
};
/* Points b at part `index` of the rank's clips [split], of `clip` elements each, and of their conditions. */
void batch_part(struct batch_part *b, const struct batch_split *split, int index, const real *clips, long clip,
                const struct condition_batch *condition);
/* The part that is a whole batch, where one process takes it at once. */
struct part part_whole(int batch);

#endif
