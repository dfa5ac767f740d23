/* wire.h: exchanges pieces of host memory between the members of a communicator, over sockets (tcp.c) or MPI (mpi.c),
   while the job's control connections (job.h) tell whether the members are alive.

   Watchdog: a rank may keep the others waiting for the timeout plus twice the longest time that the waiting
   rank itself has lately spent between two collectives, because ranks do the same work and are slow together.
   A rank that says that it is busy (comm_busy) may take any time as long as it gives signs of life. */
#ifndef COMM_HOST_WIRE_H
#define COMM_HOST_WIRE_H

#include "comm/job/job.h"
#include "comm/transport.h"

enum { WIRE_PIECES = 2 };
/* Memory that one member sends to, and receives from, another in an exchange. */
struct wire_piece {
    const void *send;
    size_t send_bytes;
    void *receive;
    size_t receive_bytes;
};
struct wire;
/* The functions of what carries the bytes: sockets or MPI. */
struct wire_kind {
    int (*start)(struct launch *launch); /* called before the ranks meet; may choose where. NULL: nothing to do */
    /* Connects the members of w, which is a part of `whole` by colour and key, or all ranks (NULL). Sets w->state. */
    int (*open)(struct wire *w, struct wire *whole, int colour, int key);
    void (*close)(struct wire *w);
    int (*exchange)(struct wire *w, const struct wire_piece *pieces); /* does wire_exchange; calls wire_look */
    void (*end)(int code); /* called after all communicators and the job are closed; NULL: nothing to do */
};
extern const struct wire_kind wire_tcp, wire_mpi; /* built without MPI, wire_mpi refuses to start */
struct wire {
    const struct wire_kind *kind;
    void *state; /* the kind's own */
    struct tcp_job *job;
    int size, rank;
    int *members; /* [size] the members' ranks in the job */
    uint64_t id;
    struct comm_place place;  /* the call under way */
    int greeting;             /* 1: its first exchange, of headers, is not over */
    double finished, longest; /* seconds: time of the end of the last call; longest recent time between two calls */
};

/* Begin and end a call. Both return OK or the error of the job; a call that ends with an error fails the job. */
int wire_begin(struct wire *w, const struct comm_place *place);
int wire_end(struct wire *w, int code);
/* Exchanges pieces [size][WIRE_PIECES]; those of the rank itself are ignored. Pieces
   between two ranks arrive in order. */
int wire_exchange(struct wire *w, const struct wire_piece *pieces);
/* Fails the job, because member `rank` is about to do something else than this rank; `text` says what. */
int wire_diverged(struct wire *w, int rank, const char *text);

/* Seconds between two calls of wire_look, by a kind in whose exchange nothing moves. */
#define WIRE_TICK 0.25
/* Call it about every WIRE_TICK while blocked on member `rank`. Returns OK: wait on; ERR_DEVICE: the watchdog gives up.
   *since is the time since which nothing has moved, *looked that of the last call; both are kept up to date. */
int wire_look(struct wire *w, int rank, double *since, double *looked);
/* Reports that the connection to member `rank` broke. Returns ERR_DEVICE with the reason. */
int wire_lost(struct wire *w, int rank);

#endif
