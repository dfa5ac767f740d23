/* transport.h: what a transport fills in behind comm.h. collectives.c turns every collective into a
   `struct comm_call`. */
#ifndef COMM_TRANSPORT_H
#define COMM_TRANSPORT_H

#include "comm/comm.h"

enum comm_kind {
    COMM_ALL_REDUCE,     /* to [n] real, in place */
    COMM_REDUCE_SCATTER, /* to: own; from: all; to_counts in real */
    COMM_ALL_GATHER,     /* to: all; from: own; to_counts in bytes */
    COMM_ALL_TO_ALL,     /* counts in bytes */
    COMM_BROADCAST,      /* to [n] bytes, from root */
    COMM_BARRIER
};
enum { COMM_NAME = 40 };
struct comm_call {
    enum comm_kind kind;
    void *to;
    const void *from;
    const long *to_counts, *from_counts; /* [size], the caller's */
    long n;
    int root;
    int host; /* the buffers are host memory */
};
/* Host memory of a communicator of several ranks, for collectives.c: nothing is allocated in a call.
   The transport's. */
struct comm_scratch {
    long *counts;   /* [size] */
    double *values; /* [size, COMM_VALUES] */
};
struct comm_transport {
    void (*close)(struct comm *comm);
    void (*abort)(struct comm *comm, int code);
    int (*split)(struct comm *part, struct comm *whole, int colour, int key);
    void (*busy)(struct comm *comm, const char *why);
    void (*publish)(struct comm *comm, int64_t number);
    int (*progress_of)(struct comm *comm, int rank, int64_t *number);
    int (*start)(struct comm *comm, const struct comm_call *call, comm_ticket *ticket);
    int (*wait)(struct comm *comm, comm_ticket ticket);
};
extern const struct comm_transport comm_single, comm_nccl;

const char *comm_kind_name(enum comm_kind kind);

/* Which call of its communicator a call is, for messages and for the check that ranks agree. */
struct comm_place {
    int64_t number;      /* from 1 on */
    int64_t step, index; /* comm_at */
    int32_t kind;
    char what[COMM_NAME]; /* "": nothing was said */
};
struct comm_place comm_place(const struct comm *comm, enum comm_kind kind, int64_t number);
/* Writes: all_reduce 17 "grads block 7" of step 3 */
void comm_describe(const struct comm_place *place, char *text, size_t size);

#endif
