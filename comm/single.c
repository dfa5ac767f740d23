/* single.c: the transport of one process. Its collectives are copies, or nothing where the data is in place. */
#include <string.h>

#include "comm/transport.h"
#include "kernels/device.h"

static void single_close(struct comm *comm) { *comm = (struct comm){0}; }

static void single_abort(struct comm *comm, int code) {
    (void)code;
    single_close(comm);
}

static int single_split(struct comm *part, struct comm *whole, int colour, int key) {
    (void)whole, (void)colour, (void)key;
    *part = (struct comm){.size = 1, .local_size = 1, .transport = &comm_single};
    return 0;
}

static void single_busy(struct comm *comm, const char *why) { (void)comm, (void)why; }

static void single_publish(struct comm *comm, int64_t number) { (void)comm, (void)number; }

/* There is no other rank whose progress could be asked for. */
static int single_progress_of(struct comm *comm, int rank, int64_t *number) {
    (void)comm, (void)rank;
    *number = 0;
    return 0;
}

static int single_start(struct comm *comm, const struct comm_call *call, comm_ticket *ticket) {
    (void)comm;
    size_t bytes = 0;
    if (call->kind == COMM_REDUCE_SCATTER) bytes = (size_t)call->to_counts[0] * sizeof(real);
    if (call->kind == COMM_ALL_GATHER || call->kind == COMM_ALL_TO_ALL) bytes = (size_t)call->to_counts[0];
    *ticket = 0;
    if (!bytes || call->to == call->from) return 0;
    if (call->host)
        memcpy(call->to, call->from, bytes);
    else
        mem_copy(call->to, call->from, bytes);
    return 0;
}

static int single_wait(struct comm *comm, comm_ticket ticket) {
    (void)comm, (void)ticket;
    return 0;
}

const struct comm_transport comm_single = {.close = single_close,
                                           .abort = single_abort,
                                           .split = single_split,
                                           .busy = single_busy,
                                           .publish = single_publish,
                                           .progress_of = single_progress_of,
                                           .start = single_start,
                                           .wait = single_wait};
