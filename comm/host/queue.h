/* queue.h: the thread that runs a communicator's collectives one after the other, beside the compute, for transports of
   host memory. Calls run in the order in which they were put in; a ticket is the number of the call, from 1 on. */
#ifndef COMM_HOST_QUEUE_H
#define COMM_HOST_QUEUE_H

#include <pthread.h>

#include "comm/host/rounds.h"

struct queued_call {
    struct comm_call call;
    struct comm_place place;
};
struct comm_queue {
    struct rounds *rounds;
    struct queued_call *calls; /* ring of QUEUE_CALLS */
    long *counts;              /* [QUEUE_CALLS, 2, size] */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t added, done;
    int64_t taken, finished; /* calls put in; calls done */
    int code;                /* error code of the first call that failed; no call is run after it */
    char text[480];
    int stop, running;
};
int comm_queue_open(struct comm_queue *queue, struct rounds *rounds);
size_t comm_queue_memory(int ranks); /* bytes */
/* Ends the thread when it has run what is queued. */
void comm_queue_close(struct comm_queue *queue);
int comm_queue_start(struct comm_queue *queue, const struct comm *comm, const struct comm_call *call,
                     comm_ticket *ticket);
int comm_queue_wait(struct comm_queue *queue, comm_ticket ticket);

#endif
