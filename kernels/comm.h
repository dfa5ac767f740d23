/* comm.h: collectives between the processes of a job, stream-ordered like kernels. One interface for all transports
   (kernels/comm/): single (one process; everything is a no-op) now; tcp, mpi and nccl fill in the same functions.
   Buffers are device pointers. Failures: OK or ERR_DEVICE with a text that names the rank. */
#ifndef KERNELS_COMM_H
#define KERNELS_COMM_H

#include "types.h"

struct comm {
    int rank, size;
};

/* transport: "single". Anything else is ERR_USAGE until it is built. */
int comm_open(struct comm *comm, const char *transport);
void comm_close(struct comm *comm);
int comm_all_reduce(struct comm *comm, real *buffer, long n); /* sum, in rank order */
int comm_broadcast(struct comm *comm, void *buffer, long bytes, int root);
int comm_barrier(struct comm *comm);

/* Sequence parallelism's hook, called once before and once after self-attention (Ulysses: heads for tokens). With one
   process the buffer stays as it is. buffer [B, n, H, D] elem. */
enum seq_direction { SEQ_TOKENS_TO_HEADS, SEQ_HEADS_TO_TOKENS };
int comm_seq_exchange(struct comm *comm, elem *buffer, long B, long n, long H, long D, enum seq_direction direction);

#endif
