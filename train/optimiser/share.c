/* share.c: see share.h. */
#include "train/optimiser/share.h"

#include "base/error.h"
#include "kernels/device.h"

/* First sample of a piece. */
static int start_of(int batch, int pieces, int piece) {
    int extra = batch % pieces;
    return piece * (batch / pieces) + (piece < extra ? piece : extra);
}

int share_of(struct share *share, int batch, int parts, int rank, int ranks) {
    if (parts < 1) parts = 1;
    int pieces = ranks * parts;
    if (batch < pieces)
        return error_set(ERR_USAGE,
                         "batch: %d samples cannot be taken by %d ranks in %d parts each: expected at least %d", batch,
                         ranks, parts, pieces);
    *share = (struct share){.batch = batch, .parts = parts};
    share->first = start_of(batch, pieces, rank * parts);
    share->count = start_of(batch, pieces, rank * parts + parts) - share->first;
    share->largest = share_part(share, 0).count;
    return OK;
}

static int together(const struct sharding *shards) { return shards && shards->together > 1 ? shards->together : 1; }

int sharding_share(const struct sharding *shards, struct share *share, int batch, int parts) {
    int ranks = shards && shards->ranks ? shards->ranks : 1, each = together(shards);
    int code = share_of(share, batch, parts, shards ? shards->rank / each : 0, ranks / each);
    return code && each > 1 ? error_context(code, "ranks are groups of %d (comm.sequence)", each) : code;
}

/* The rank's own cut is that of the batch: of its pieces, too, the first have one more. */
struct part share_part(const struct share *share, int index) {
    int from = start_of(share->count, share->parts, index), to = start_of(share->count, share->parts, index + 1);
    return (struct part){.batch = share->batch,
                         .first = from,
                         .count = to - from,
                         .sample0 = share->first + from,
                         .last = index + 1 == share->parts};
}

struct part part_whole(int batch) {
    return (struct part){.batch = batch, .count = batch, .last = 1};
}

void batch_part(struct batch_part *b, const struct share *share, int index, const real *clips, long clip,
                const struct condition_batch *condition) {
    b->part = share_part(share, index);
    b->clips = clips + b->part.first * clip;
    condition_batch_part(&b->condition, condition, b->part.first, b->part.count);
}
