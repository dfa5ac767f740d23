/* link.h: a communicator of several processes of host memory: rounds of messages (rounds.h) over a wire (sockets or MPI)
   on a thread of its own (queue.h), watched by the job's control connections (tcp_job.h).

   Watchdog: a rank that a collective waits for may keep the others waiting for the timeout and twice the longest time
   that this rank itself has lately spent between two collectives: ranks do the same work, so what is slow here is slow
   there. A rank that says it is busy may take its time as long as it gives signs of life. */
#ifndef COMM_HOST_LINK_H
#define COMM_HOST_LINK_H

#include "comm/host/queue.h"
#include "comm/job/job.h"

/* What carries the messages. */
struct link_wire {
    /* Connects the members of l, a part of `whole` (NULL: all ranks) by colour and key. Sets l->wire. */
    int (*open)(struct comm_link *l, struct comm_link *whole, int colour, int key);
    void (*close)(struct comm_link *l);
    int (*exchange)(void *link, const struct round_piece *pieces); /* rounds.h; of all pieces, watched by link_look */
    void (*end)(int code); /* of the communicator of all ranks, after everything else; NULL: nothing to do */
};
struct comm_link {
    const struct link_wire *how;
    void *wire;
    struct tcp_job *job;
    int size, rank;
    int *members; /* [size] ranks of the job */
    uint64_t id;
    int parts; /* made of it */
    struct rounds rounds;
    struct comm_queue queue;
    struct comm_scratch scratch;
    int greeting;             /* the round under way is that of the headers */
    double finished, longest; /* end of the last call; longest recent time between two calls */
};
extern const struct comm_transport comm_linked;

/* The communicator of all ranks of the job, which it owns from then on, also when it fails. */
int link_open(struct comm *comm, struct tcp_job *job, const struct link_wire *how);

/* For wires, in a round. Seconds between calls of link_look while nothing moves. */
#define LINK_TICK 0.25
/* `rank` of l's is waited for; nothing has moved since *since. Call it every LINK_TICK or so; *looked: when it was called last.
   ERR_DEVICE: the wait is over. */
int link_look(struct comm_link *l, int rank, double *since, double *looked);
/* The connection to it broke. ERR_DEVICE, with the reason. */
int link_lost(struct comm_link *l, int rank);
/* The round is done. */
void link_moved_on(struct comm_link *l);

#endif
