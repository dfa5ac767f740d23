/* nccl.h: opens the communicator of all processes over NCCL (open.c). Ids and what concerns host memory go over TCP, or
   over MPI where mpirun started the processes. Built for another backend than cuda: ERR_USAGE. */
#ifndef COMM_NCCL_H
#define COMM_NCCL_H

#include "comm/job/launch.h"
#include "comm/transport.h"

/* `host`: an open communicator of the same ranks, which the new one owns from then on, also when it fails. Chooses this
   process's GPU by its local rank (CUDA_VISIBLE_DEVICES): before anything else touches CUDA. */
int nccl_open(struct comm *comm, struct comm *host);

#endif
