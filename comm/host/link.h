/* link.h: the transport of several processes of host memory: collectives as rounds of messages (rounds.h) over a wire
   (wire.h), on a thread of their own (queue.h). */
#ifndef COMM_HOST_LINK_H
#define COMM_HOST_LINK_H

#include "comm/host/queue.h"

struct comm_link {
    struct wire wire;
    struct rounds rounds;
    struct comm_queue queue;
    struct comm_scratch scratch;
    int parts; /* made of it */
};
/* Opens the communicator of all processes; launch->size > 1. */
int link_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout,
              const struct wire_kind *kind);

#endif
