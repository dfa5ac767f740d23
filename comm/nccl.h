/* nccl.h: opens the communicator of all processes over NCCL (open.c). NCCL's ids and collectives on host memory go over
   TCP, or over MPI where mpirun started the processes. On backends other than cuda it is ERR_USAGE. */
#ifndef COMM_NCCL_H
#define COMM_NCCL_H

#include "comm/job/launch.h"
#include "comm/transport.h"

/* Opens it over `host`, an open communicator of the same ranks, which the new one owns from then on,
   also when this fails. Chooses this process's GPU by its local rank (CUDA_VISIBLE_DEVICES); call it
   before anything else touches CUDA. */
int nccl_open(struct comm *comm, struct comm *host);

#endif
