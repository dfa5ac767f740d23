/* mpi.h: opens the communicator of all processes that mpirun started (open.c). Built without MPI: ERR_USAGE. */
#ifndef COMM_HOST_MPI_H
#define COMM_HOST_MPI_H

#include "comm/job/launch.h"
#include "comm/transport.h"

/* launch->size > 1 */
int mpi_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout);

#endif
