/* sequence.h: the tokens of a clip divided over ranks, for clips too long for one (sequence parallelism by exchanges of
   tokens for heads: Jacobs et al. 2023, DeepSpeed-Ulysses).
   A job is cut in groups of neighbouring ranks that work on the same samples. Each rank of a group holds its own tokens
   of EVERY frame, neighbours in the frame's order, so that whatever works by frame or by row works on them as on whole
   frames. Self-attention alone needs all tokens: around it every rank gives its tokens of the others' heads for their
   tokens of its own heads. Counts that the ranks do not divide are cut as equally as can be, the first ranks have one
   more. What is small (latents, velocity, losses, conditions) is whole on every rank and made by all of them alike.

   Gradients. The loss is one function of the whole velocity, which every rank computes alike; the rank goes back from
   it through its own tokens only. So each weight gradient is a sum over the rank's tokens (the network is linear in
   what comes from above), and their sum over the group is the whole: the sum over all ranks of the job, as with divided
   samples. What ranks compute alike from gathered rows and goes back alike (a discriminator's logits, the loss itself)
   is counted on the first rank of the group only.

   Memory layout: rows are [G, P, width] for G frames of P tokens; a rank's own are [G, P_r, width]. */
#ifndef MODEL_PARAMS_SEQUENCE_H
#define MODEL_PARAMS_SEQUENCE_H

#include "kernels/arena.h"
#include "kernels/pieces.h"
#include "comm/comm.h"

struct sequence {
    struct comm comm; /* of the group; size 0: not joined, or one rank */
    int ranks, rank;  /* of the group and in it; ranks 0, 1: nothing is divided */
    long *counts;     /* host [2 ranks] */
};
/* Groups of `ranks` neighbours among `all`, of which this is number `rank`. ERR_USAGE: `all` is no multiple of
   ranks. */
int sequence_open(struct sequence *s, int all, int rank, int ranks);
/* Meets the others of the group; a plan does not. Collective over world. */
int sequence_join(struct sequence *s, struct comm *world);
/* Before the world's. */
void sequence_close(struct sequence *s);

/* Of n things that `ranks` share, where those of `rank` start (rank == ranks: n). */
static inline long sequence_first(long n, int ranks, int rank) { return piece_first(n, ranks, rank); }
static inline int sequence_divides(const struct sequence *s) { return s && s->ranks > 1; }
/* How many, and where, of n are this rank's. s NULL: all of them. */
static inline long sequence_own(const struct sequence *s, long n) {
    if (!sequence_divides(s)) return n;
    return sequence_first(n, s->ranks, s->rank + 1) - sequence_first(n, s->ranks, s->rank);
}
static inline long sequence_own_first(const struct sequence *s, long n) {
    return sequence_divides(s) ? sequence_first(n, s->ranks, s->rank) : 0;
}

/* An exchange under way and its buffers, each of the larger of what is sent and what is received. */
struct sequence_slot {
    void *sent, *received; /* device */
    comm_ticket ticket;
    long groups, tokens, heads, width; /* of the exchange; width: bytes of a head */
};
void sequence_slot_layout(struct sequence_slot *slot, size_t bytes, struct arena *arena);

/* Tokens for heads: from rows [G, P_r, H, D] to [G, P, H_r, D] of the rank's heads. The work that comes between start
   and finish runs beside the exchange; from may be used again at once, and `to` may be the same memory. */
int sequence_start_heads(const struct sequence *s, struct sequence_slot *slot, const elem *from, long groups,
                         long tokens, long heads, long D);
int sequence_finish_heads(const struct sequence *s, struct sequence_slot *slot, elem *to);
/* And back: from [G, P, H_r, D] to rows [G, P_r, H, D]. */
int sequence_start_tokens(const struct sequence *s, struct sequence_slot *slot, const elem *from, long groups,
                          long tokens, long heads, long D);
int sequence_finish_tokens(const struct sequence *s, struct sequence_slot *slot, elem *to);

/* whole [G, P, width bytes] on every rank from each one's own rows; own rows of whole ones. */
int sequence_gather(const struct sequence *s, struct sequence_slot *slot, void *whole, const void *own, long groups,
                    long tokens, size_t width);
void sequence_take(const struct sequence *s, void *own, const void *whole, long groups, long tokens, size_t width);

/* Tokens for frames: from own rows of all G frames to whole frames [G_r, P, width bytes] of the rank's share of them,
   and back. */
int sequence_to_frames(const struct sequence *s, struct sequence_slot *slot, void *frames, const void *own, long groups,
                       long tokens, size_t width);
int sequence_from_frames(const struct sequence *s, struct sequence_slot *slot, void *own, const void *frames,
                         long groups, long tokens, size_t width);

#endif
