/* link.h: the transport between processes whose buffers are in host memory. A thread (queue.h) takes the collectives
   one by one and runs each as rounds of messages (rounds.h) over a wire (wire.h). */
#ifndef COMM_HOST_LINK_H
#define COMM_HOST_LINK_H

#include "comm/host/queue.h"

struct comm_link {
    struct wire wire;
    struct rounds rounds;
    struct comm_queue queue;
    struct comm_scratch scratch;
    int parts; /* communicators that comm_split has made of it */
};
/* Opens the communicator of all processes; launch->size > 1. */
int link_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout,
              const struct wire_kind *kind);

#endif
