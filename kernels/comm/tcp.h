/* tcp.h: opens the communicator of all processes over TCP (open.c; also nccl.c, for its ids). */
#ifndef KERNELS_COMM_TCP_H
#define KERNELS_COMM_TCP_H

#include "kernels/comm/launch.h"
#include "kernels/comm/transport.h"

/* launch->size > 1 */
int tcp_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout);

#endif
