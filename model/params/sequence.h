/* sequence.h: the tokens of a clip divided over ranks, for clips too long for one (sequence parallelism by exchanges of
   tokens for heads: Jacobs et al. 2023, DeepSpeed-Ulysses).
   A job is cut into groups of neighbouring ranks that work on the same samples. Each rank of a group holds its own
   tokens of EVERY frame, neighbours in the frame's order, so that whatever works by frame or by row works on them as on
   whole frames. Self-attention alone needs all tokens: around it ranks exchange tokens for heads. Two ranks, a frame of
   four tokens a b c d, heads 0 1 2 3 (a2: head 2 of token a):

               own tokens, all heads                  all tokens, own heads
     rank 0    a0 a1 | a2 a3         start_heads      a0 a1    kept
               b0 b1 | b2 b3  \     ------------>     b0 b1
                               \ /                    c0 c1    from rank 1
                                X                     d0 d1
     rank 1    c0 c1 | c2 c3   / \                    a2 a3    from rank 0
               d0 d1 | d2 d3  /     <------------     b2 b3
                                    start_tokens      c2 c3    kept
                                                      d2 d3

   Counts that the ranks do not divide are cut as equally as can be; the first ranks have one more. What is small
   (latents, velocity, losses, conditions) is whole on every rank, and every rank computes it alike.

   Gradients. The loss is one function of the whole velocity, which every rank computes alike; each rank goes back from
   it through its own tokens only. So each weight gradient is a sum over the rank's tokens (backward is linear in the
   gradient that enters), and the sum of these over the group is the whole gradient: the sum over all ranks of the job,
   as with divided samples. Where ranks go back alike from rows that all of them gathered (a discriminator's logits, the
   loss itself), the gradient counts on the first rank of the group only.

   Memory layout: rows are [G, P, width] for G frames of P tokens; a rank's own are [G, P_r, width]. */
#ifndef MODEL_PARAMS_SEQUENCE_H
#define MODEL_PARAMS_SEQUENCE_H

#include "kernels/arena.h"
#include "kernels/pieces.h"
#include "comm/comm.h"

struct sequence {
    struct comm comm; /* communicator of the group; size 0: not joined, or one rank */
    int ranks, rank;  /* size of the group, place in it; ranks 0 or 1: nothing is divided */
    long *counts;     /* host [2 ranks], work space */
};
/* Cuts `all` processes, of which this is number `rank`, into groups of `ranks` neighbours. ERR_USAGE: `all` is no
   multiple of `ranks`. */
int sequence_open(struct sequence *s, int all, int rank, int ranks);
/* Connects the group's ranks; collective over world. A plan, which runs alone, leaves it out. */
int sequence_join(struct sequence *s, struct comm *world);
/* Closes the group; call it before world is closed. */
void sequence_close(struct sequence *s);

/* Index of the first of rank's things, when n things are divided over `ranks` (rank == ranks: n). */
static inline long sequence_first(long n, int ranks, int rank) { return piece_first(n, ranks, rank); }
static inline int sequence_divides(const struct sequence *s) { return s && s->ranks > 1; }
/* Number of this rank's things out of n; sequence_own_first: index of the first of them. s NULL: all n are its own. */
static inline long sequence_own(const struct sequence *s, long n) {
    if (!sequence_divides(s)) return n;
    return sequence_first(n, s->ranks, s->rank + 1) - sequence_first(n, s->ranks, s->rank);
}
static inline long sequence_own_first(const struct sequence *s, long n) {
    return sequence_divides(s) ? sequence_first(n, s->ranks, s->rank) : 0;
}

/* An exchange under way and its two buffers, each as large as the larger of what is sent and what is received. */
struct sequence_slot {
    void *sent, *received; /* device */
    comm_ticket ticket;
    long groups, tokens, heads, width; /* sizes of the exchange; width: bytes of a head */
};
void sequence_slot_layout(struct sequence_slot *slot, size_t bytes, struct arena *arena);

/* Exchange own tokens of all heads, rows [G, P_r, H, D], for all tokens of own heads, [G, P, H_r, D]. Work between
   start and finish runs beside the exchange; `from` may be used again at once, and `to` may be the same memory. */
int sequence_start_heads(const struct sequence *s, struct sequence_slot *slot, const elem *from, long groups,
                         long tokens, long heads, long D);
int sequence_finish_heads(const struct sequence *s, struct sequence_slot *slot, elem *to);
/* The way back: from [G, P, H_r, D] to rows [G, P_r, H, D]. */
int sequence_start_tokens(const struct sequence *s, struct sequence_slot *slot, const elem *from, long groups,
                          long tokens, long heads, long D);
int sequence_finish_tokens(const struct sequence *s, struct sequence_slot *slot, elem *to);

/* sequence_gather: collects whole rows [G, P, width bytes] on every rank from all ranks' own rows. sequence_take:
   copies the own rows out of whole ones; nothing is exchanged. */
int sequence_gather(const struct sequence *s, struct sequence_slot *slot, void *whole, const void *own, long groups,
                    long tokens, size_t width);
void sequence_take(const struct sequence *s, void *own, const void *whole, long groups, long tokens, size_t width);

/* Exchange own rows of all G frames for whole rows of own frames, [G_r, P, width bytes]; and back. */
int sequence_to_frames(const struct sequence *s, struct sequence_slot *slot, void *frames, const void *own, long groups,
                       long tokens, size_t width);
int sequence_from_frames(const struct sequence *s, struct sequence_slot *slot, void *own, const void *frames,
                         long groups, long tokens, size_t width);

#endif
