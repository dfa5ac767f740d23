/* collectives.c: the collectives of comm.h as calls of the communicator's transport. Opening is a file of its own
   (open.c), so that programs whose networks could be divided but never are link no transport. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "comm/transport.h"

static const struct comm_transport *transport_of(const struct comm *comm) {
    return comm->transport ? comm->transport : &comm_single;
}

void comm_close(struct comm *comm) {
    transport_of(comm)->close(comm);
    *comm = (struct comm){0};
}

void comm_abort(struct comm *comm, int code) {
    transport_of(comm)->abort(comm, code);
    *comm = (struct comm){0};
}

int comm_split(struct comm *part, struct comm *whole, int colour, int key) {
    return transport_of(whole)->split(part, whole, colour, key);
}

void comm_at(struct comm *comm, long step, const char *what, long index) {
    comm->step = step;
    comm->what = what;
    comm->index = index;
}

void comm_busy(struct comm *comm, const char *why) { transport_of(comm)->busy(comm, why); }

void comm_publish(struct comm *comm, int64_t number) { transport_of(comm)->publish(comm, number); }

int comm_progress_of(struct comm *comm, int rank, int64_t *number) {
    return transport_of(comm)->progress_of(comm, rank, number);
}

/* ---- device memory ---- */

static int run(struct comm *comm, const struct comm_call *call) {
    comm_ticket ticket;
    TRY(transport_of(comm)->start(comm, call, &ticket));
    return comm_wait(comm, ticket);
}

int comm_wait(struct comm *comm, comm_ticket ticket) { return transport_of(comm)->wait(comm, ticket); }

int comm_start_all_reduce(struct comm *comm, real *buffer, long n, comm_ticket *ticket) {
    struct comm_call call = {.kind = COMM_ALL_REDUCE, .to = buffer, .n = n};
    return transport_of(comm)->start(comm, &call, ticket);
}

int comm_start_reduce_scatter(struct comm *comm, real *own, real *all, const long *counts, comm_ticket *ticket) {
    struct comm_call call = {.kind = COMM_REDUCE_SCATTER, .to = own, .from = all, .to_counts = counts};
    return transport_of(comm)->start(comm, &call, ticket);
}

int comm_start_all_gather(struct comm *comm, void *all, const void *own, const long *bytes, comm_ticket *ticket) {
    struct comm_call call = {.kind = COMM_ALL_GATHER, .to = all, .from = own, .to_counts = bytes};
    return transport_of(comm)->start(comm, &call, ticket);
}

int comm_start_all_to_all(struct comm *comm, void *to, const long *to_bytes, const void *from, const long *from_bytes,
                          comm_ticket *ticket) {
    struct comm_call call = {
        .kind = COMM_ALL_TO_ALL, .to = to, .from = from, .to_counts = to_bytes, .from_counts = from_bytes};
    return transport_of(comm)->start(comm, &call, ticket);
}

int comm_all_reduce(struct comm *comm, real *buffer, long n) {
    comm_ticket ticket;
    TRY(comm_start_all_reduce(comm, buffer, n, &ticket));
    return comm_wait(comm, ticket);
}

int comm_reduce_scatter(struct comm *comm, real *own, real *all, const long *counts) {
    comm_ticket ticket;
    TRY(comm_start_reduce_scatter(comm, own, all, counts, &ticket));
    return comm_wait(comm, ticket);
}

int comm_all_gather(struct comm *comm, void *all, const void *own, const long *bytes) {
    comm_ticket ticket;
    TRY(comm_start_all_gather(comm, all, own, bytes, &ticket));
    return comm_wait(comm, ticket);
}

int comm_all_to_all(struct comm *comm, void *to, const long *to_bytes, const void *from, const long *from_bytes) {
    comm_ticket ticket;
    TRY(comm_start_all_to_all(comm, to, to_bytes, from, from_bytes, &ticket));
    return comm_wait(comm, ticket);
}

int comm_broadcast(struct comm *comm, void *buffer, long bytes, int root) {
    return run(comm, &(struct comm_call){.kind = COMM_BROADCAST, .to = buffer, .n = bytes, .root = root});
}

int comm_barrier(struct comm *comm) { return run(comm, &(struct comm_call){.kind = COMM_BARRIER}); }

/* ---- host memory ---- */

int comm_broadcast_host(struct comm *comm, void *buffer, long bytes, int root) {
    return run(comm, &(struct comm_call){.kind = COMM_BROADCAST, .to = buffer, .n = bytes, .root = root, .host = 1});
}

int comm_all_gather_host(struct comm *comm, void *all, const void *own, long bytes) {
    long *counts = comm->scratch ? comm->scratch->counts : &bytes;
    for (int r = 0; r < comm->size; r++) counts[r] = bytes;
    return run(comm,
               &(struct comm_call){.kind = COMM_ALL_GATHER, .to = all, .from = own, .to_counts = counts, .host = 1});
}

static double combine(enum comm_combine how, double a, double b) {
    if (how == COMM_SUM) return a + b;
    if (isnan(a) || isnan(b)) return NAN;
    if (how == COMM_MIN) return b < a ? b : a;
    return b > a ? b : a;
}

int comm_values(struct comm *comm, enum comm_combine how, double *values, int n) {
    if (n < 0 || n > COMM_VALUES) return error_set(ERR_USAGE, "comm_values: %d values, at most %d", n, COMM_VALUES);
    double own[COMM_VALUES], *all = comm->scratch ? comm->scratch->values : own;
    TRY(comm_all_gather_host(comm, all, values, n * (long)sizeof *values));
    for (int i = 0; i < n; i++) {
        values[i] = all[i];
        for (int r = 1; r < comm->size; r++)
            values[i] = combine(how, values[i], all[(size_t)r * (size_t)n + (size_t)i]);
    }
    return OK;
}

struct outcome {
    int code;
    char text[252];
};

int comm_agree(struct comm *comm, int code) {
    if (comm->size == 1) return code;
    struct outcome own = {.code = code}, *all = calloc((size_t)comm->size, sizeof *all);
    if (!all) return error_set(ERR_DEVICE, "out of memory for the outcomes of %d ranks", comm->size);
    if (code) strncpy(own.text, error_text(), sizeof own.text - 1);
    int met = comm_all_gather_host(comm, all, &own, sizeof own);
    if (met) {
        /* this rank's own error is the better reason */
        code = code ? error_set(code, "%s", own.text) : met;
    } else {
        for (int r = 0; r < comm->size && !code; r++) {
            all[r].text[sizeof all[r].text - 1] = 0;
            if (all[r].code) code = error_set(all[r].code, "rank %d: %s", r, all[r].text);
        }
    }
    free(all);
    return code;
}
