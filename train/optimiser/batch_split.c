/* batch_split.c: see batch_split.h. */
#include "train/optimiser/batch_split.h"

#include "base/error.h"
#include "kernels/device.h"

/* Number of the first sample of a piece. */
static int start_of(int batch, int pieces, int piece) {
    int extra = batch % pieces;
    return piece * (batch / pieces) + (piece < extra ? piece : extra);
}

int batch_split_of(struct batch_split *split, int batch, int parts, int rank, int ranks) {
    if (parts < 1) parts = 1;
    int pieces = ranks * parts;
    if (batch < pieces)
        return error_set(ERR_USAGE,
                         "batch: %d samples cannot be taken by %d ranks in %d parts each: expected at least %d", batch,
                         ranks, parts, pieces);
    *split = (struct batch_split){.batch = batch, .parts = parts};
    split->first = start_of(batch, pieces, rank * parts);
    split->count = start_of(batch, pieces, rank * parts + parts) - split->first;
    split->largest = batch_split_part(split, 0).count;
    return OK;
}

static int together(const struct sharding *shards) { return shards && shards->together > 1 ? shards->together : 1; }

int sharding_batch_split(const struct sharding *shards, struct batch_split *split, int batch, int parts) {
    int ranks = shards && shards->ranks ? shards->ranks : 1, each = together(shards);
    int code = batch_split_of(split, batch, parts, shards ? shards->rank / each : 0, ranks / each);
    return code && each > 1 ? error_context(code, "ranks are groups of %d (comm.sequence)", each) : code;
}

/* A rank's samples, cut by the same rule, give its pieces of the batch: there, too, the larger pieces come first. */
struct part batch_split_part(const struct batch_split *split, int index) {
    int from = start_of(split->count, split->parts, index), to = start_of(split->count, split->parts, index + 1);
    return (struct part){.batch = split->batch,
                         .first = from,
                         .count = to - from,
                         .sample0 = split->first + from,
                         .last = index + 1 == split->parts};
}

struct part part_whole(int batch) {
    return (struct part){.batch = batch, .count = batch, .last = 1};
}

void batch_part(struct batch_part *b, const struct batch_split *split, int index, const real *clips, long clip,
                const struct condition_batch *condition) {
    b->part = batch_split_part(split, index);
    b->clips = clips + b->part.first * clip;
    condition_batch_part(&b->condition, condition, b->part.first, b->part.count);
}
