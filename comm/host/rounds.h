/* rounds.h: the collectives of comm.h as rounds of messages between every two ranks, over a wire of host memory
   (wire.h). Before the first round the ranks exchange headers that say what they are about to do, so that ranks that
   have diverged find out.

   Sums: rank r adds slice r of the buffer. It receives the other ranks' copies of that slice, adds them in rank order
   and, in an all-reduce, sends the sums to all. Slices are walked in chunks; a round carries one chunk of copies and
   the sums of the chunk before:

     round 1   copies of chunk 1 go to the rank that adds them
     round 2   copies of chunk 2                               sums of chunk 1 go to all
     round 3   copies of chunk 3                               sums of chunk 2
     ...

   So every rank sends and receives 2 (N-1)/N of the buffer, the least possible. */
#ifndef COMM_HOST_ROUNDS_H
#define COMM_HOST_ROUNDS_H

#include "comm/host/wire.h"

enum { ROUND_CHUNK = 1 << 18 /* bytes */ };
/* Announces a call to another rank before it begins. */
struct round_header {
    uint64_t magic;
    struct comm_place place;
    int64_t n, root;
    uint64_t counts; /* checksum of the counts that must agree */
    int64_t bytes;   /* bytes that it will send to the receiver of this header (all_to_all) */
    int32_t rank;
};
struct rounds {
    struct wire *wire;
    int rank, size; /* those of the wire */
    struct round_header own;
    struct round_header *headers; /* [2, size]: headers to send, headers received */
    struct wire_piece *pieces;    /* [size][WIRE_PIECES] */
    char *staging;                /* [size][ROUND_CHUNK] */
    long *offsets;                /* [2, size] */
};
int rounds_open(struct rounds *rounds, struct wire *wire);
size_t rounds_memory(int ranks); /* bytes */
void rounds_close(struct rounds *rounds);
/* Runs a call, between wire_begin and wire_end. */
int rounds_run(struct rounds *rounds, const struct comm_call *call);

#endif
