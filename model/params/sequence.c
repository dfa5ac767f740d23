/* sequence.c: see sequence.h. An exchange packs one piece for each rank, sends the pieces, and unpacks what comes.
   Pieces are cut in two ways:
     by heads   [rank][G P_r, H_rank, D]   of rows [G P_r, H, D]
     by tokens  [rank][G, P_rank, width]   of whole frames [G, P, width] */
#include "model/params/sequence.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

int sequence_open(struct sequence *s, int all, int rank, int ranks) {
    memset(s, 0, sizeof *s);
    s->ranks = ranks;
    if (ranks <= 1) return OK;
    if (all % ranks)
        return error_set(ERR_USAGE, "comm.sequence: %d process%s cannot make groups of %d", all, all == 1 ? "" : "es",
                         ranks);
    s->rank = rank % ranks;
    s->counts = calloc(2 * (size_t)ranks, sizeof *s->counts);
    return s->counts ? OK : error_set(ERR_DEVICE, "sequence: out of host memory");
}

int sequence_join(struct sequence *s, struct comm *world) {
    return sequence_divides(s) ? comm_split(&s->comm, world, world->rank / s->ranks, s->rank) : OK;
}

void sequence_close(struct sequence *s) {
    if (s->comm.size) comm_close(&s->comm);
    free(s->counts);
    memset(s, 0, sizeof *s);
}

void sequence_slot_layout(struct sequence_slot *slot, size_t bytes, struct arena *arena) {
    slot->sent = arena_take(arena, "sequence exchange", bytes);
    slot->received = arena_take(arena, "sequence exchange", bytes);
}

static long count_of(const struct sequence *s, long n, int rank) {
    return sequence_first(n, s->ranks, rank + 1) - sequence_first(n, s->ranks, rank);
}

/* ---- heads ---- */

/* counts[rank] = bytes of each rank's piece: this rank's rows cut by heads, or its heads' rows cut by tokens. */
static void count_heads(const struct sequence *s, const struct sequence_slot *e, long *counts) {
    long rows = e->groups * sequence_own(s, e->tokens);
    for (int r = 0; r < s->ranks; r++) counts[r] = rows * count_of(s, e->heads, r) * e->width;
}
static void count_tokens(const struct sequence *s, const struct sequence_slot *e, long *counts) {
    long row = sequence_own(s, e->heads) * e->width;
    for (int r = 0; r < s->ranks; r++) counts[r] = e->groups * count_of(s, e->tokens, r) * row;
}

static struct comm *comm_of(const struct sequence *s, const char *what) {
    struct comm *comm = (struct comm *)&s->comm; /* comm_at changes only a note in it */
    comm_at(comm, comm->step, what, -1);
    return comm;
}

static void begin(struct sequence_slot *slot, long groups, long tokens, long heads, long width) {
    slot->groups = groups;
    slot->tokens = tokens;
    slot->heads = heads;
    slot->width = width;
}

int sequence_start_heads(const struct sequence *s, struct sequence_slot *slot, const elem *from, long groups,
                         long tokens, long heads, long D) {
    begin(slot, groups, tokens, heads, D * (long)sizeof(elem));
    pieces_pack(slot->sent, from, groups * sequence_own(s, tokens), heads, slot->width, s->ranks);
    count_heads(s, slot, s->counts);
    count_tokens(s, slot, s->counts + s->ranks);
    return comm_start_all_to_all(comm_of(s, "heads for tokens"), slot->received, s->counts + s->ranks, slot->sent,
                                 s->counts, &slot->ticket);
}

int sequence_finish_heads(const struct sequence *s, struct sequence_slot *slot, elem *to) {
    TRY(comm_wait((struct comm *)&s->comm, slot->ticket));
    pieces_unpack(to, slot->received, slot->groups, slot->tokens, sequence_own(s, slot->heads) * slot->width, s->ranks);
    return OK;
}

int sequence_start_tokens(const struct sequence *s, struct sequence_slot *slot, const elem *from, long groups,
                          long tokens, long heads, long D) {
    begin(slot, groups, tokens, heads, D * (long)sizeof(elem));
    pieces_pack(slot->sent, from, groups, tokens, sequence_own(s, heads) * slot->width, s->ranks);
    count_tokens(s, slot, s->counts);
    count_heads(s, slot, s->counts + s->ranks);
    return comm_start_all_to_all(comm_of(s, "tokens for heads"), slot->received, s->counts + s->ranks, slot->sent,
                                 s->counts, &slot->ticket);
}

int sequence_finish_tokens(const struct sequence *s, struct sequence_slot *slot, elem *to) {
    TRY(comm_wait((struct comm *)&s->comm, slot->ticket));
    pieces_unpack(to, slot->received, slot->groups * sequence_own(s, slot->tokens), slot->heads, slot->width, s->ranks);
    return OK;
}

/* ---- rows ---- */

int sequence_gather(const struct sequence *s, struct sequence_slot *slot, void *whole, const void *own, long groups,
                    long tokens, size_t width) {
    for (int r = 0; r < s->ranks; r++) s->counts[r] = groups * count_of(s, tokens, r) * (long)width;
    TRY(comm_all_gather(comm_of(s, "tokens of all"), slot->received, own, s->counts));
    pieces_unpack(whole, slot->received, groups, tokens, (long)width, s->ranks);
    return OK;
}

void sequence_take(const struct sequence *s, void *own, const void *whole, long groups, long tokens, size_t width) {
    size_t bytes = (size_t)sequence_own(s, tokens) * width, first = (size_t)sequence_own_first(s, tokens) * width;
    mem_copy_rows(own, bytes, (const char *)whole + first, (size_t)tokens * width, bytes, (size_t)groups);
}

/* Bytes of each rank's piece: `rows` of this rank's rows, which already lie in the order of the frames' owners, and
   `frames` of its whole frames, cut by tokens. */
static void count_frames(const struct sequence *s, long groups, long tokens, long width, long *rows, long *frames) {
    for (int r = 0; r < s->ranks; r++) {
        rows[r] = count_of(s, groups, r) * sequence_own(s, tokens) * width;
        frames[r] = sequence_own(s, groups) * count_of(s, tokens, r) * width;
    }
}

int sequence_to_frames(const struct sequence *s, struct sequence_slot *slot, void *frames, const void *own, long groups,
                       long tokens, size_t width) {
    long *rows = s->counts, *pieces = s->counts + s->ranks;
    count_frames(s, groups, tokens, (long)width, rows, pieces);
    TRY(comm_all_to_all(comm_of(s, "frames for tokens"), slot->received, pieces, own, rows));
    pieces_unpack(frames, slot->received, sequence_own(s, groups), tokens, (long)width, s->ranks);
    return OK;
}

int sequence_from_frames(const struct sequence *s, struct sequence_slot *slot, void *own, const void *frames,
                         long groups, long tokens, size_t width) {
    long *rows = s->counts, *pieces = s->counts + s->ranks;
    count_frames(s, groups, tokens, (long)width, rows, pieces);
    pieces_pack(slot->sent, frames, sequence_own(s, groups), tokens, (long)width, s->ranks);
    return comm_all_to_all(comm_of(s, "tokens for frames"), own, rows, slot->sent, pieces);
}
