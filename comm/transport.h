/* transport.h: the functions that a transport gives behind comm.h. collectives.c turns
   every collective into a `struct comm_call`. */
#ifndef COMM_TRANSPORT_H
#define COMM_TRANSPORT_H

#include "comm/comm.h"

enum comm_kind {
    COMM_ALL_REDUCE,     /* `to` [n] real, in place */
    COMM_REDUCE_SCATTER, /* `to` is own, `from` is all, to_counts in real */
    COMM_ALL_GATHER,     /* `to` is all, `from` is own, to_counts in bytes */
    COMM_ALL_TO_ALL,     /* both counts in bytes */
    COMM_BROADCAST,      /* `to` [n] bytes, which root has */
    COMM_BARRIER
};
enum { COMM_NAME = 40 };
struct comm_call {
    enum comm_kind kind;
    void *to;
    const void *from;
    const long *to_counts, *from_counts; /* [size], in the caller's memory */
    long n;
    int root;
    int host; /* 1: the buffers are host memory */
};
/* Host memory for collectives.c, so that no call allocates any. The transport of several ranks owns it. */
struct comm_scratch {
    long *counts;   /* [size] */
    double *values; /* [size, COMM_VALUES] */
};
/* Each function does what comm.h says of the function whose name ends so; `start` runs a call, `wait` is comm_wait. */
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

/* Identifies a call within its communicator, for messages and for the check that all ranks make the same call. */
struct comm_place {
    int64_t number;       /* counts calls, from 1 on */
    int64_t step, index;  /* arguments of comm_at */
    int32_t kind;         /* enum comm_kind */
    char what[COMM_NAME]; /* argument of comm_at; "": none */
};
struct comm_place comm_place(const struct comm *comm, enum comm_kind kind, int64_t number);
/* Writes the place as text: all_reduce 17 "grads block 7" of step 3 */
void comm_describe(const struct comm_place *place, char *text, size_t size);

#endif
