/* tcp.h: opens the communicator of all processes over TCP (open.c; also nccl.c, for its ids). */
#ifndef COMM_HOST_TCP_H
#define COMM_HOST_TCP_H

#include "comm/job/launch.h"
#include "comm/transport.h"

/* launch->size > 1 */
int tcp_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout);

#endif
