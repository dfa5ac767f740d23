/* rounds.h: the collectives of comm.h as rounds of messages between every two ranks, for transports that can exchange
   host memory (tcp, mpi).

   Sums: every rank is given the parts of one slice of the buffer, adds them in rank order and, in an all-reduce, sends
   the sums to all. The slices are walked in chunks; a round carries one chunk of parts and the sums of the chunk
   before. So every rank sends and receives 2 (N-1)/N of the buffer, the least possible.
   Before the first round of a collective the ranks exchange headers that say what they are about to do. */
#ifndef COMM_HOST_ROUNDS_H
#define COMM_HOST_ROUNDS_H

#include <stddef.h>

#include "comm/transport.h"

enum { ROUND_PIECES = 2, ROUND_CHUNK = 1 << 18 /* bytes */, COMM_NAME = 40 };
/* What one rank sends to and receives from another in a round. */
struct round_piece {
    const void *send;
    size_t send_bytes;
    void *receive;
    size_t receive_bytes;
};
/* What a rank says of a call. */
struct round_header {
    uint64_t magic;
    int64_t number, step, index; /* of the call; comm_at */
    int64_t n, root;
    uint64_t counts; /* checksum of the counts that must agree */
    int64_t bytes;   /* that it will send to the receiver of this header (all_to_all) */
    int32_t kind, rank;
    char what[COMM_NAME];
};
struct rounds {
    int rank, size;
    void *link;
    /* Exchanges pieces [size][ROUND_PIECES] (those of the rank itself are not looked at), in order between two ranks. */
    int (*exchange)(void *link, const struct round_piece *pieces);
    /* OK to go on, else the error: `other` is about to do something else. */
    int (*mismatch)(void *link, int rank, const char *text);
    struct round_header own;
    struct round_header *headers; /* [2, size]: sent, received */
    struct round_piece *pieces;   /* [size][ROUND_PIECES] */
    char *staging;                /* [size][ROUND_CHUNK] */
    long *offsets;                /* [2, size] */
};
int rounds_open(struct rounds *rounds, int rank, int size);
void rounds_close(struct rounds *rounds);
/* `own`: number, step, index and what are filled in. */
int rounds_run(struct rounds *rounds, const struct comm_call *call, const struct round_header *own);
/* "all_reduce 17 "grads block 7" of step 3" */
void rounds_describe(const struct round_header *header, char *text, size_t size);

#endif
