/* mpi.h: opens the communicator of all processes that mpirun started (open.c). Built without MPI: ERR_USAGE. */
#ifndef KERNELS_COMM_MPI_H
#define KERNELS_COMM_MPI_H

#include "kernels/comm/launch.h"
#include "kernels/comm/transport.h"

/* launch->size > 1 */
int mpi_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout);

#endif
