/* place.h: where the ranks of a job meet: the row of ports of launch.h on rank 0's host. */
#ifndef COMM_JOB_PLACE_H
#define COMM_JOB_PLACE_H

#include "comm/job/launch.h"
#include "comm/job/socket.h"

/* Listens, rank 0 at the first free port of the row, the others at any. It listens on the loopback where MASTER_ADDR
   itself says so (localhost, 127.0.0.1, ::1), and otherwise on every interface, because a name that this host's
   /etc/hosts calls loopback may be another address elsewhere. ERR_DEVICE: no port is free. */
int place_listen(const struct launch *launch, int *listener, int *port);
/* Looks for rank 0 along the row, again and again until the deadline, and resolves its name anew each
   time. *fd is a connection to it that has been answered, *met its address. ERR_USAGE: the name has no
   address. ERR_DEVICE: no process of this job answers there. */
int place_find(const struct launch *launch, double deadline, int *fd, struct socket_address *met);

#endif
