/* shard.h: weights, gradients and optimiser state of a network divided over the ranks of a job (ZeRO: Rajbhandari et
   al. 2020). It is a source of slices (params.h); networks and steps do not know of it.
   Every slice of a parameter table is padded so that it can be cut into `ranks` equal pieces; rank r owns piece r. What
   rank 1 of 4 holds of a slice (# held, . not held; state: master weights, moments, average of optimiser.h):

                  zero 0    zero 1    zero 2    zero 3
     weights      [####]    [####]    [####]    [.#..]      zero 3: also of frozen networks
     gradients    [####]    [####]    [.#..]    [.#..]
     state        [####]    [.#..]    [.#..]    [.#..]

   What moves, slice by slice:
     zero 0   in the update's last backward an all-reduce sums the gradients; then every rank updates everything.
     zero 1   in the last backward a reduce-scatter gives each rank the sum of its piece; the rank updates that piece,
              and an all-gather brings the new weights of all pieces, waited for where a slice is used first.
     zero 2   as 1, but in every backward: a whole slice's gradients stand in one of two working buffers only until
              they are summed, and the rank's piece is added to those that it keeps.
     zero 3   as 2, but weights are gathered when a slice is acquired, into one of three buffers, the next slice ahead
              of its use; after an update there is nothing to gather.
   Sums are fp32, in rank order, and run beside the rest of backward. Networks of a process share the working buffers.
   With one process everything is whole and nothing is exchanged.
   A failure of communication is kept and returned by sharding_status, which networks ask at the end of a pass. */
#ifndef MODEL_PARAMS_SHARD_H
#define MODEL_PARAMS_SHARD_H

#include "kernels/arena.h"
#include "comm/comm.h"
#include "model/params/lora.h"
#include "model/params/params.h"

enum { SHARD_GATHERED = 3, SHARD_REDUCED = 2 };
struct sharded;
struct shard_buffer {
    const struct sharded *of; /* network whose slice lies here; NULL: empty */
    int slice;
    int pending, held; /* its collective may be under way; number of acquires not yet released */
    comm_ticket ticket;
    uint64_t used; /* sharding's clock at the last use */
    void *memory;
};
/* What all networks of a process share. All zero: one process, everything whole. */
struct sharding {
    struct comm *comm; /* NULL: one process, or a plan */
    int ranks, rank, zero;
    int together;        /* neighbouring ranks that work on the same samples (sequence.h); 1: each rank has its own */
    struct arena *host;  /* host memory where optimisers keep their state; NULL: it lies on the device */
    size_t largest;      /* elements of the largest slice of all networks laid out */
    size_t largest_grad; /* the same of the networks that train */
    struct shard_buffer gathered[SHARD_GATHERED], reduced[SHARD_REDUCED];
    int next_reduced;
    uint64_t clock;
    long *counts;             /* [ranks] */
    struct lora_buffers lora; /* shared by all networks with adapters */
    int code;                 /* code and text of the first failure */
    char text[256];
};
/* Sets up what a process's networks share. zero: 0 .. 3, as above. comm may be NULL: a plan of rank 0 of `ranks`. */
int sharding_open(struct sharding *shards, struct comm *comm, int ranks, int zero);
void sharding_close(struct sharding *shards);
/* Pads a network's table so that every slice divides; call it before anything is laid out by the table. shards NULL:
   one process. */
int sharding_divide(const struct sharding *shards, struct param_table *table);
/* Lays out the working buffers, after all networks, whose largest slice sizes them. */
void sharding_layout(struct sharding *shards, struct arena *arena);
/* Returns the first failure of communication since sharding_open, with its text, or OK. */
int sharding_status(const struct sharding *shards);
/* Whether this rank counts and writes for all ranks that work on the same samples; the first of them does. NULL:
   true. */
static inline int sharding_speaks(const struct sharding *shards) {
    return !shards || shards->together <= 1 || shards->rank % shards->together == 0;
}
/* Sums values, device [n], over all ranks, in place. Of ranks with the same samples, which have the same values, only
   the first one's are counted. */
int sharding_add(struct sharding *shards, real *values, long n);

/* Gathers every rank's `bytes` bytes at `own` into all, device [ranks][bytes]. */
int sharding_collect(struct sharding *shards, void *all, const void *own, size_t bytes);

/* One network on this rank. */
struct sharded {
    struct sharding *all; /* NULL: one process */
    const struct param_table *table;
    elem *weights;                                  /* device, whole or this rank's pieces */
    real *grads;                                    /* the same; NULL: a frozen network */
    unsigned char *weights_pending, *grads_reduced; /* [slices] being gathered; summed already */
    comm_ticket *weights_ticket, *grads_ticket;     /* [slices] */
    int cleared;                                    /* 1: the gradients are zero already */
    int last, rising;                               /* slice acquired last; 1: acquires go upwards, 0: downwards */
    int *next[2]; /* [slices] the slice acquired after this one last time, downwards and upwards */
};
/* Takes memory for a network that trains, or for a frozen one (arena.h: called while planning and once more). */
int shard_layout(struct sharded *shard, const char *network, const struct param_table *table, struct sharding *shards,
                 struct arena *arena);
int shard_layout_frozen(struct sharded *shard, const char *network, const struct param_table *table,
                        struct sharding *shards, struct arena *arena);
void shard_free(struct sharded *shard);
/* Returns the network's parameters, without gradients. Whoever trains sets `grads` to sharded.grads. */
struct params shard_frozen(struct sharded *shard);

/* This rank's piece of a slice. */
struct shard_piece {
    size_t at;    /* offset in an array that holds this rank's pieces of all slices */
    size_t from;  /* offset in the slice */
    size_t count; /* elements */
};
/* The piece whose optimiser state this rank holds; shard_pieces: elements of these pieces of all slices. */
struct shard_piece shard_piece(const struct sharded *shard, int slice);
size_t shard_pieces(const struct sharded *shard);
/* Returns where that piece's weights and gradients lie. */
elem *shard_weights(const struct sharded *shard, int slice);
real *shard_grads(const struct sharded *shard, int slice);
/* The piece of a slice's weights that this rank holds, for whoever fills them in: from shard->weights + at on. */
struct shard_piece shard_weight_piece(const struct sharded *shard, int slice);
/* Returns room for a whole slice in real, in the memory of gradients, whose contents are lost. */
real *shard_scratch(struct sharded *shard, int slice);

/* Starts an update: zeroes the gradients. Call it before the update's first backward. */
void shard_begin(struct sharded *shard);
/* Notes that the caller has set this rank's pieces of all gradients to zero, so that shard_begin need not do it. It
   does so all the same where the rank holds more than its pieces, or where shard_scratch has used their memory
   meanwhile. */
void shard_cleared(struct sharded *shard);
/* Ends an update's backwards: on return the gradients of all slices from first_slice on are summed over ranks. */
void shard_reduce(struct sharded *shard, int first_slice);
/* Tells the others that this rank has updated its pieces of the weights of all slices from first_slice on: zero 1 and 2
   start to gather them, zero 3 forgets gathered copies. */
void shard_publish(struct sharded *shard, int first_slice);
/* Waits until none of this network's collectives is under way. */
void shard_settle(struct sharded *shard);

#endif
