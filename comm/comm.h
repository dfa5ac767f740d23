/* comm.h: collectives between the processes of a job (its ranks), ordered on streams like kernels. One interface serves
   all transports: single (one process), tcp, mpi, nccl.

   Every rank of a communicator calls the same collectives in the same order, with matching counts. Buffers are device
   pointers unless a name says host. A plain call is ordered on the current stream like a kernel: later work on the
   stream sees its result. comm_start_* only starts a collective, which runs beside the compute; a communicator runs its
   collectives in the order of the calls. Leave the buffers of a started collective alone until comm_wait has ordered
   later work behind it.

   Sums are taken in rank order: the same bits on every rank and in every run (nccl: in its own order, which is fixed
   for a fixed number of ranks, buffer size and way in which the GPUs are connected).

   Errors: ERR_DEVICE, with a text that names the rank at fault: it died, is silent, lags behind for too long, or called
   another collective. A communicator that has failed once fails at once from then on. No call waits without end. */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/types.h"

struct comm_transport; /* comm/transport.h */
struct comm_link;      /* a transport's own state */
struct comm {
    int rank, size;                         /* this rank's number in this communicator; number of its ranks */
    int local_rank, local_size;             /* the same among its ranks on this host */
    const struct comm_transport *transport; /* NULL: one process */
    struct comm_link *link;
    long step;        /* step, what and index: the last arguments of comm_at */
    const char *what; /* NULL: nothing */
    long index;
    struct comm_scratch *scratch; /* transport.h; NULL: one process */
};

struct comm_options {
    const char *transport;  /* "auto" (NULL), "single", "tcp", "mpi", "nccl" */
    double timeout;         /* seconds that a silent or slow rank is waited for; 0: 25. The environment variable
                               STREAMAVATAR_COMM_TIMEOUT overrides it */
    double connect_timeout; /* seconds for all ranks to come; 0: 60 */
    const char *config;     /* text that must be the same on every rank; NULL: none */
    /* Called once, from another thread, when the job has failed and this process has made no call for some seconds that
       could have returned the error. A program prints the text and ends. NULL: none. */
    void (*failed)(void *context, const char *text);
    void *context;
};
/* Opens the communicator of all processes of the job. Rank, number of ranks and meeting place come from the environment
   (docs/scaling.md); without them "auto" is single. ERR_USAGE: variables are missing or wrong, the transport is not
   built in, or configs differ (the text names the first line that does). ERR_DEVICE: fewer ranks came than promised,
   builds differ, or there is no connection. */
int comm_open(struct comm *comm, const struct comm_options *options);
/* Bytes of host memory that a communicator of so many ranks takes (tcp, mpi); 0 for one rank. */
size_t comm_memory(int ranks);
/* Closes a communicator, after the last collective of every rank. A part (comm_split) is closed before its whole. */
void comm_close(struct comm *comm);
/* Closes it where this rank must end with an error: the other ranks then fail with `code`
   and this rank's error_text(). */
void comm_abort(struct comm *comm, int code);
/* The ranks of one colour make a communicator of their own, ordered by key, then by rank. Collective over `whole`. */
int comm_split(struct comm *part, struct comm *whole, int colour, int key);

/* Says what the calls from here on are about, for messages and for the check that all ranks make the same call: "grads
   block", 7 in step 3. `what` must live as long as the communicator (a literal); index < 0: none. */
void comm_at(struct comm *comm, long step, const char *what, long index);
/* Says that this rank rightly needs long before its next collective ("writing a checkpoint"): as long as it lives, the
   others wait for it without a limit. NULL: that is over. */
void comm_busy(struct comm *comm, const char *why);
/* Publishes this rank's progress counter, which is 0 at first. Other ranks read its latest value with
   comm_progress_of. No collective is involved, any thread may call either function, and neither waits;
   a new value arrives within moments, and only the latest is kept. ERR_DEVICE: the job has failed, or
   the rank has left and its counter can no longer change. */
void comm_publish(struct comm *comm, int64_t number);
int comm_progress_of(struct comm *comm, int rank, int64_t *number);

/* ---- on device memory; counts (in real or bytes) have one entry a rank, may be 0, and are copied ---- */

int comm_all_reduce(struct comm *comm, real *buffer, long n); /* sum */
/* own [counts[rank]] = the sum over ranks of piece number `rank` of `all`, which consists of one piece
   for each rank, one after the other. own may be that piece of `all`. The rest of `all` is undefined
   afterwards (it may serve as scratch). */
int comm_reduce_scatter(struct comm *comm, real *own, real *all, const long *counts);
/* all = every rank's own [bytes[its rank]], in rank order. own may be this rank's piece of `all`. */
int comm_all_gather(struct comm *comm, void *all, const void *own, const long *bytes);
/* Sends piece r of `from` (from_bytes[r]) to rank r, and receives piece r of `to`
   (to_bytes[r]) from it. `to` and `from` do not overlap. */
int comm_all_to_all(struct comm *comm, void *to, const long *to_bytes, const void *from, const long *from_bytes);
int comm_broadcast(struct comm *comm, void *buffer, long bytes, int root);
/* Returns when every rank has called it and the work that it had queued before is done. */
int comm_barrier(struct comm *comm);

/* Collectives that are only started; the ticket is for comm_wait. */
typedef int64_t comm_ticket;
int comm_start_all_reduce(struct comm *comm, real *buffer, long n, comm_ticket *ticket);
int comm_start_reduce_scatter(struct comm *comm, real *own, real *all, const long *counts, comm_ticket *ticket);
int comm_start_all_gather(struct comm *comm, void *all, const void *own, const long *bytes, comm_ticket *ticket);
int comm_start_all_to_all(struct comm *comm, void *to, const long *to_bytes, const void *from, const long *from_bytes,
                          comm_ticket *ticket);
/* Orders later work on the current stream behind this collective and all that were called before it. */
int comm_wait(struct comm *comm, comm_ticket ticket);

/* ---- on host memory; return when done ---- */

int comm_broadcast_host(struct comm *comm, void *buffer, long bytes, int root);
/* all [size, bytes] in rank order */
int comm_all_gather_host(struct comm *comm, void *all, const void *own, long bytes);
enum comm_combine { COMM_SUM, COMM_MIN, COMM_MAX };
enum { COMM_VALUES = 64 };
/* Replaces each of values [n <= COMM_VALUES] by its combination over the ranks, in rank
   order. A NaN on any rank gives NaN. */
int comm_values(struct comm *comm, enum comm_combine how, double *values, int n);
/* Makes all ranks leave together when one has failed. Every rank gives the code of what it just did. Returns OK when
   all codes are OK; otherwise a rank that failed gets its own code, every other that of the first rank that failed,
   with the text "rank R: TEXT". */
int comm_agree(struct comm *comm, int code);

#endif
