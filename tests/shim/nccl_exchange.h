/* nccl_exchange.h: how the fake of NCCL (nccl.cpp) moves data between processes: memory that they share, in which each
   rank has a place that the others read. Sums are taken in rank order, as the transports of host memory take them.
   Nothing here waits: what needs another rank is asked again. */
#ifndef TESTS_SHIM_NCCL_EXCHANGE_H
#define TESTS_SHIM_NCCL_EXCHANGE_H

#include <stddef.h>
#include <atomic>

#include "nccl.h"

enum { NCCL_RANKS = 8, NCCL_PIECE = 1 << 16 };
enum nccl_kind {
    NCCL_ALL_REDUCE,
    NCCL_REDUCE,
    NCCL_REDUCE_SCATTER,
    NCCL_ALL_GATHER,
    NCCL_BROADCAST,
    NCCL_SEND,
    NCCL_RECV
};

/* What a rank says of the piece that it shows. */
struct nccl_said {
    long kind, bytes, at, part, root, type;
};
struct nccl_place {
    std::atomic<long> shown, taken; /* pieces: that it has put here; that it has read of all */
    struct nccl_said said;
    unsigned char data[NCCL_PIECE];
};
struct nccl_letter { /* what one rank sends another */
    std::atomic<long> sent, received;
    size_t bytes;
    unsigned char data[NCCL_PIECE];
};
struct nccl_shared {
    std::atomic<int> joined;
    struct nccl_place place[NCCL_RANKS];
    struct nccl_letter letter[NCCL_RANKS][NCCL_RANKS];
};
struct nccl_member {
    struct nccl_shared *shared;
    int rank, size;
    long pieces; /* that it has been through */
};
struct nccl_op {
    enum nccl_kind kind;
    const char *from;
    char *to;
    size_t bytes; /* bytes of one part; a collective that scatters has a part for each rank */
    ncclDataType_t type;
    int root; /* the root of a collective, the peer of a message */
    size_t at;
    int part, shown, done;
};

/* Memory of a communicator whose id is made here, and what the others open it by. NULL: it cannot be made. */
struct nccl_shared *nccl_shared_make(char *path, size_t size);
struct nccl_shared *nccl_shared_open(const char *path);
/* What this rank has put there is gone, read or not. */
void nccl_forget(struct nccl_member *m);
/* Goes on with an operation as far as it can; 1: it is done. Ranks that do not say the same never end. */
int nccl_go_on(struct nccl_member *m, struct nccl_op *op);

#endif
