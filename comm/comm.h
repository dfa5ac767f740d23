/* comm.h: collectives between the processes of a job (its ranks), stream-ordered like kernels. One interface for all
   transports (comm/): single (one process), tcp, mpi, nccl.

   Every rank of a communicator calls the same collectives in the same order, with matching counts. Buffers are device
   pointers unless a name says host. A plain call is ordered on the current stream like a kernel: what comes after it
   sees its result. comm_start_* only starts: the collective runs beside the compute, in the order in which collectives
   were called on this communicator; its buffers are left alone until comm_wait has ordered it before what comes next.

   Sums are taken in rank order: the same bits on every rank and in every run (nccl: in its own order, which is fixed
   for a fixed number of ranks, buffer size and way in which the GPUs are connected).

   Failures: OK or ERR_DEVICE with a text that names the rank at fault: it died, is silent, lags behind for too long, or
   called something else. A communicator that failed fails at once from then on; nothing ever waits without end. */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/types.h"

struct comm_transport; /* comm/transport.h */
struct comm_link;      /* a transport's own */
struct comm {
    int rank, size;                         /* in this communicator */
    int local_rank, local_size;             /* among the ranks of this communicator on this host */
    const struct comm_transport *transport; /* NULL: one process */
    struct comm_link *link;
    long step;        /* comm_at */
    const char *what; /* comm_at; NULL: nothing said */
    long index;
    struct comm_scratch *scratch; /* transport.h; NULL: one process */
};

struct comm_options {
    const char *transport;  /* "auto" (NULL), "single", "tcp", "mpi", "nccl" */
    double timeout;         /* seconds; 0: 25. The environment's STREAMAVATAR_COMM_TIMEOUT goes first */
    double connect_timeout; /* seconds for all ranks to come; 0: 60 */
    const char *config;     /* text that must be the same on every rank; NULL: none */
    /* Called once, from another thread, when the job has failed and this process makes no call that could tell it so
       for some seconds. For programs: print the text and end. NULL: none. */
    void (*failed)(void *context, const char *text);
    void *context;
};
/* Rank, number of ranks and meeting place come from the environment (docs/scaling.md); "auto" is single where it names
   none. ERR_USAGE: variables that are missing or wrong, a transport that is not built, configs that differ (the text
   names the first line that does). ERR_DEVICE: fewer ranks than promised, builds that differ, no connection. */
int comm_open(struct comm *comm, const struct comm_options *options);
/* Host memory of a communicator of so many ranks (tcp, mpi); 0 for one. */
size_t comm_memory(int ranks);
/* After the last collective of every rank; of a part (comm_split) before its whole. */
void comm_close(struct comm *comm);
/* Instead of comm_close where this rank must end with an error: the others learn `code` and error_text(). */
void comm_abort(struct comm *comm, int code);
/* The ranks of one colour make a communicator of their own, ordered by key, then by rank. Collective over `whole`. */
int comm_split(struct comm *part, struct comm *whole, int colour, int key);

/* What the calls from here on are about, for messages and for the check that ranks agree: "grads block", 7 of step 3.
   `what` must live as long as the communicator (a literal); index < 0: none. */
void comm_at(struct comm *comm, long step, const char *what, long index);
/* This rank will be long before its next collective, legitimately ("writing a checkpoint"); NULL: no longer. While it
   lives the others wait for it without a limit. */
void comm_busy(struct comm *comm, const char *why);
/* A number that the others may ask for, beside all collectives and from any thread: "as far as I have come". It is with
   them in a moment, the last one told counts; 0 at first. Neither call waits. told: rank's of the job. ERR_DEVICE: the
   job has failed, or the rank has left without having told more. */
void comm_publish(struct comm *comm, int64_t number);
int comm_progress_of(struct comm *comm, int rank, int64_t *number);

/* ---- on device memory; counts (in real or bytes) have one entry a rank, may be 0, and are copied ---- */

int comm_all_reduce(struct comm *comm, real *buffer, long n); /* sum */
/* own [counts[rank]] = the sum of all ranks' part `rank` of `all`, whose parts lie one after the other. own may be that
   part of all; what else is in `all` is then undefined (it may serve as scratch). */
int comm_reduce_scatter(struct comm *comm, real *own, real *all, const long *counts);
/* all = every rank's own [bytes[its rank]], in rank order. own may be that part of all. */
int comm_all_gather(struct comm *comm, void *all, const void *own, const long *bytes);
/* Part r of `from` (from_bytes[r]) goes to rank r; part r of `to` (to_bytes[r]) comes from it. No overlap. */
int comm_all_to_all(struct comm *comm, void *to, const long *to_bytes, const void *from, const long *from_bytes);
int comm_broadcast(struct comm *comm, void *buffer, long bytes, int root);
/* Every rank has come here, and what it queued before is done. */
int comm_barrier(struct comm *comm);

typedef int64_t comm_ticket;
int comm_start_all_reduce(struct comm *comm, real *buffer, long n, comm_ticket *ticket);
int comm_start_reduce_scatter(struct comm *comm, real *own, real *all, const long *counts, comm_ticket *ticket);
int comm_start_all_gather(struct comm *comm, void *all, const void *own, const long *bytes, comm_ticket *ticket);
int comm_start_all_to_all(struct comm *comm, void *to, const long *to_bytes, const void *from, const long *from_bytes,
                          comm_ticket *ticket);
/* Later work on the current stream comes after this collective and all that were called before it. */
int comm_wait(struct comm *comm, comm_ticket ticket);

/* ---- on host memory; return when done ---- */

int comm_broadcast_host(struct comm *comm, void *buffer, long bytes, int root);
/* all [size, bytes] in rank order */
int comm_all_gather_host(struct comm *comm, void *all, const void *own, long bytes);
enum comm_combine { COMM_SUM, COMM_MIN, COMM_MAX };
enum { COMM_VALUES = 64 };
/* Each of values [n <= COMM_VALUES] combined over the ranks, in rank order. A NaN on any rank gives NaN. */
int comm_values(struct comm *comm, enum comm_combine how, double *values, int n);
/* Every rank gives the code of what it just did. OK when all are; else, on every rank, the code of the first rank that
   failed (its own on a rank that failed), with the text "rank R: TEXT". So that all leave together. */
int comm_agree(struct comm *comm, int code);

#endif
