/* wire.h: exchanges pieces of host memory between the members of a communicator, over sockets (tcp.c) or MPI (mpi.c),
   while the job's control connections (job.h) tell how the members are.

   Watchdog: a rank that a collective waits for may keep the others waiting for the timeout and twice the longest time
   that this rank itself has lately spent between two collectives: ranks do the same work, so what is slow here is slow
   there. A rank that says it is busy may take its time as long as it gives signs of life. */
#ifndef COMM_HOST_WIRE_H
#define COMM_HOST_WIRE_H

#include "comm/job/job.h"
#include "comm/transport.h"

enum { WIRE_PIECES = 2 };
/* What one member sends to and receives from another in an exchange. */
struct wire_piece {
    const void *send;
    size_t send_bytes;
    void *receive;
    size_t receive_bytes;
};
struct wire;
/* What carries the bytes. */
struct wire_kind {
    int (*start)(struct launch *launch); /* before the ranks meet; may choose where. NULL: nothing to do */
    /* Connects the members of w, a part of `whole` (NULL: all ranks) by colour and key. Sets w->state. */
    int (*open)(struct wire *w, struct wire *whole, int colour, int key);
    void (*close)(struct wire *w);
    int (*exchange)(struct wire *w, const struct wire_piece *pieces); /* wire_exchange; watched by wire_look */
    void (*end)(int code); /* after all communicators and the job; NULL: nothing to do */
};
extern const struct wire_kind wire_tcp, wire_mpi; /* built without MPI, wire_mpi refuses to start */
struct wire {
    const struct wire_kind *kind;
    void *state; /* the kind's */
    struct tcp_job *job;
    int size, rank;
    int *members; /* [size] ranks of the job */
    uint64_t id;
    struct comm_place place;  /* the call under way */
    int greeting;             /* its first exchange, of headers, is not over */
    double finished, longest; /* end of the last call; longest recent time between two calls */
};

/* A call begins and ends: OK, or the error of the job, which a call that failed fails. */
int wire_begin(struct wire *w, const struct comm_place *place);
int wire_end(struct wire *w, int code);
/* Exchanges pieces [size][WIRE_PIECES] (those of the rank itself are not looked at), in order between two ranks. */
int wire_exchange(struct wire *w, const struct wire_piece *pieces);
/* Fails the job: member `rank` is about to do something else, which `text` says. */
int wire_diverged(struct wire *w, int rank, const char *text);

/* For the kinds, in an exchange. Seconds between calls of wire_look while nothing moves. */
#define WIRE_TICK 0.25
/* Judges whether the wait for member `rank` goes on (OK) or is over (ERR_DEVICE). Nothing has moved since *since;
   *looked is when it was called last. Both are kept up to date. */
int wire_look(struct wire *w, int rank, double *since, double *looked);
/* The connection to member `rank` broke. ERR_DEVICE, with the reason. */
int wire_lost(struct wire *w, int rank);

#endif
