/* shard.h: weights and gradients of a network divided over the ranks of a job (ZeRO: Rajbhandari et al. 2020). It is a
   source of slices (params.h); networks and steps do not know of it.
   Every slice of a parameter table is padded so that it is cut in `ranks` equal pieces; rank r owns piece r. What a
   rank holds of a network:
     zero   weights   gradients   master, moments, average (optimiser.h)
     0      whole     whole       whole
     1      whole     whole       pieces
     2      whole     pieces      pieces
     3      pieces    pieces      pieces       frozen networks too
   Gradients are sums over ranks, fp32, in rank order; they are reduced slice by slice beside the rest of backward: in
   the update's last backward (zero 0, 1), or in every one, from one of two working buffers (2, 3). Weights of zero 1
   and 2 are gathered after an update, slice by slice, and waited for where they are used first; those of zero 3 are
   gathered into one of three buffers when a slice is acquired, the next slice ahead of its use.
   Networks of a process share the working buffers. One process: everything is whole and nothing is exchanged.
   Failures of communication are kept and returned by sharding_status (networks ask at the end of a pass). */
#ifndef MODEL_PARAMS_SHARD_H
#define MODEL_PARAMS_SHARD_H

#include "kernels/arena.h"
#include "comm/comm.h"
#include "model/params/lora.h"
#include "model/params/params.h"

enum { SHARD_GATHERED = 3, SHARD_REDUCED = 2 };
struct sharded;
struct shard_buffer {
    const struct sharded *of; /* NULL: empty */
    int slice;
    int pending, held; /* its collective may be under way; between acquire and release */
    comm_ticket ticket;
    uint64_t used; /* clock of the last use */
    void *memory;
};
/* Of a process. All zero: one process, everything whole. */
struct sharding {
    struct comm *comm; /* NULL: one process, or a plan */
    int ranks, rank, zero;
    int together;        /* neighbouring ranks that work on the same samples (sequence.h); 1: each has its own */
    struct arena *host;  /* not NULL: optimisers keep their state in this host memory */
    size_t largest;      /* elements of the largest slice of all networks laid out */
    size_t largest_grad; /* and of those with gradients */
    struct shard_buffer gathered[SHARD_GATHERED], reduced[SHARD_REDUCED];
    int next_reduced;
    uint64_t clock;
    long *counts;             /* [ranks] */
    struct lora_buffers lora; /* of all networks with adapters */
    int code;                 /* of the first failure */
    char text[256];
};
/* comm may be NULL for a plan of rank 0 of `ranks`. zero 0..3. */
int sharding_open(struct sharding *shards, struct comm *comm, int ranks, int zero);
void sharding_close(struct sharding *shards);
/* Pads a network's table; before anything is laid out by it. NULL: one process. */
int sharding_divide(const struct sharding *shards, struct param_table *table);
/* The working buffers, after all networks are laid out. */
void sharding_layout(struct sharding *shards, struct arena *arena);
int sharding_status(const struct sharding *shards);
/* This rank, of those with the same samples, is the one that counts and writes what all of them have. NULL: it is. */
static inline int sharding_speaks(const struct sharding *shards) {
    return !shards || shards->together <= 1 || shards->rank % shards->together == 0;
}
/* values, device [n]: the sum over all ranks; of those with the same samples, which have the same values, once. */
int sharding_add(struct sharding *shards, real *values, long n);

/* all, device [ranks][bytes] = every rank's own. */
int sharding_collect(struct sharding *shards, void *all, const void *own, size_t bytes);

/* One network on this rank. */
struct sharded {
    struct sharding *all; /* NULL: one process */
    const struct param_table *table;
    elem *weights;                                  /* device: whole or pieces */
    real *grads;                                    /* device: whole or pieces; NULL: frozen */
    unsigned char *weights_pending, *grads_reduced; /* [slices] */
    comm_ticket *weights_ticket, *grads_ticket;     /* [slices] */
    int cleared;                                    /* the gradients are zero already */
    int last, rising;                               /* the slice acquired last; the way that acquires go */
    int *after[2];                                  /* what followed a slice last time, by that way */
};
/* Memory for a network that trains, for one that does not (arena.h: called while planning and once more). */
int shard_layout(struct sharded *shard, const char *network, const struct param_table *table, struct sharding *shards,
                 struct arena *arena);
int shard_layout_frozen(struct sharded *shard, const char *network, const struct param_table *table,
                        struct sharding *shards, struct arena *arena);
void shard_free(struct sharded *shard);
/* The network's parameters, without gradients. Whoever trains sets `grads` to the network's. */
struct params shard_frozen(struct sharded *shard);

/* A rank's piece of a slice: of the state of the optimiser. */
struct shard_piece {
    size_t at;    /* in an array of all pieces */
    size_t from;  /* in the slice */
    size_t count; /* elements */
};
struct shard_piece shard_piece(const struct sharded *shard, int slice);
size_t shard_pieces(const struct sharded *shard); /* elements of all of them */
/* Where this rank's piece of a slice lies. */
elem *shard_weights(const struct sharded *shard, int slice);
real *shard_grads(const struct sharded *shard, int slice);
/* The piece of a slice's weights that this rank holds, for who fills them in: at in shard->weights. */
struct shard_piece shard_weight_piece(const struct sharded *shard, int slice);
/* Room for a whole slice in real where its gradients will be. */
real *shard_scratch(struct sharded *shard, int slice);

/* Before an update's first backward: gradients zero. */
void shard_begin(struct sharded *shard);
/* Whoever used this rank's pieces of all gradients has set them to zero: the next update need not, unless the rank
   holds more of them than its pieces, or their place has served as scratch meanwhile. */
void shard_cleared(struct sharded *shard);
/* After its last: every gradient of slices first_slice .. is there, summed over ranks. */
void shard_reduce(struct sharded *shard, int first_slice);
/* This rank's pieces of the weights of slices first_slice .. are new. */
void shard_publish(struct sharded *shard, int first_slice);
/* Nothing of this network is under way any more. */
void shard_settle(struct sharded *shard);

#endif
