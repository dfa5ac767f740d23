/* rounds.h: the collectives of comm.h as rounds of messages between every two ranks, over a wire of host memory
   (wire.h).

   Sums: every rank is given the parts of one slice of the buffer, adds them in rank order and, in an all-reduce, sends
   the sums to all. The slices are walked in chunks; a round carries one chunk of parts and the sums of the chunk
   before. So every rank sends and receives 2 (N-1)/N of the buffer, the least possible.
   Before the first round of a collective the ranks exchange headers that say what they are about to do. */
#ifndef COMM_HOST_ROUNDS_H
#define COMM_HOST_ROUNDS_H

#include "comm/host/wire.h"

enum { ROUND_CHUNK = 1 << 18 /* bytes */ };
/* What a rank says of a call. */
struct round_header {
    uint64_t magic;
    struct comm_place place;
    int64_t n, root;
    uint64_t counts; /* checksum of the counts that must agree */
    int64_t bytes;   /* that it will send to the receiver of this header (all_to_all) */
    int32_t rank;
};
struct rounds {
    struct wire *wire;
    int rank, size; /* the wire's */
    struct round_header own;
    struct round_header *headers; /* [2, size]: sent, received */
    struct wire_piece *pieces;    /* [size][WIRE_PIECES] */
    char *staging;                /* [size][ROUND_CHUNK] */
    long *offsets;                /* [2, size] */
};
int rounds_open(struct rounds *rounds, struct wire *wire);
size_t rounds_memory(int ranks); /* bytes */
void rounds_close(struct rounds *rounds);
/* Runs the call that wire_begin has begun. */
int rounds_run(struct rounds *rounds, const struct comm_call *call);

#endif
