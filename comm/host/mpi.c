/* mpi.c: the wire of MPI (wire.h), for jobs that mpirun starts. Messages go by MPI; ranks meet and watch each other
   over the control connections of job.h, so a rank that dies or hangs is named here too. MPI is called from the thread
   of each communicator and from the program's: it must give MPI_THREAD_MULTIPLE. */
#include "comm/host/wire.h"

#ifdef HAVE_MPI

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/progress.h"

enum { MESSAGE_MAX = 1 << 30 }; /* bytes: MPI counts in int */

/* One direction of the exchange with one peer: the piece under way and how far it is. */
struct lane {
    int piece;
    size_t done, under_way;
};
struct messages {
    MPI_Comm comm;
    struct lane *lanes;    /* [size, 2]: to and from each rank */
    MPI_Request *requests; /* one for each lane */
    int *completed;        /* [2 size] */
};

static int failed(int code, const char *what) {
    char text[MPI_MAX_ERROR_STRING];
    int length;
    if (code == MPI_SUCCESS) return OK;
    MPI_Error_string(code, text, &length);
    return error_set(ERR_DEVICE, "%s: %.*s", what, length, text);
}

/* Starts the next message of lane i (even: to rank i/2, odd: from it); after the last one its piece is WIRE_PIECES. */
static int advance(struct messages *m, int i, const struct wire_piece *pieces) {
    struct lane *lane = &m->lanes[i];
    int out = i % 2 == 0, peer = i / 2;
    while (lane->piece < WIRE_PIECES) {
        const struct wire_piece *p = &pieces[(size_t)peer * WIRE_PIECES + (size_t)lane->piece];
        size_t left = (out ? p->send_bytes : p->receive_bytes) - lane->done;
        if (!left) {
            lane->piece++, lane->done = 0;
            continue;
        }
        lane->under_way = left < MESSAGE_MAX ? left : MESSAGE_MAX;
        int n = (int)lane->under_way;
        if (out)
            return failed(MPI_Isend((const char *)p->send + lane->done, n, MPI_BYTE, peer, 0, m->comm, &m->requests[i]),
                          "MPI_Isend");
        return failed(MPI_Irecv((char *)p->receive + lane->done, n, MPI_BYTE, peer, 0, m->comm, &m->requests[i]),
                      "MPI_Irecv");
    }
    return OK;
}

static int awaited(const struct messages *m, int size) {
    for (int from = 1; from >= 0; from--)
        for (int p = 0; p < size; p++)
            if (m->requests[2 * p + from] != MPI_REQUEST_NULL) return p;
    return 0;
}

/* Pauses between two looks, after some that were in vain (idle): MPI moves messages only while it is called, large ones
   piece by piece. While a rank is awaited the wait may be long, and the processor is soon left to others. Once all have
   begun, it looks long without a pause, because on a busy machine every pause costs a time slice. */
static void rest(int awaiting, long idle) {
    if (idle > (awaiting ? 200 : 20000)) {
        struct timespec pause = {.tv_nsec = idle < 2000 ? 20000 : 200000};
        nanosleep(&pause, NULL);
    }
}

static int exchange(struct wire *w, const struct wire_piece *pieces) {
    struct messages *m = w->state;
    double since = clock_seconds(), looked = since;
    long idle = 0;
    memset(m->lanes, 0, 2 * (size_t)w->size * sizeof *m->lanes);
    for (int i = 0; i < 2 * w->size; i++) {
        m->requests[i] = MPI_REQUEST_NULL;
        if (i / 2 != w->rank) TRY(advance(m, i, pieces));
    }
    for (;;) {
        int count;
        TRY(failed(MPI_Testsome(2 * w->size, m->requests, &count, m->completed, MPI_STATUSES_IGNORE), "MPI_Testsome"));
        if (count == MPI_UNDEFINED) return OK; /* no request is left */
        for (int k = 0; k < count; k++) {
            struct lane *lane = &m->lanes[m->completed[k]];
            lane->done += lane->under_way;
            TRY(advance(m, m->completed[k], pieces));
        }
        if (count) {
            since = looked = clock_seconds();
            idle = 0;
            continue;
        }
        rest(w->greeting, idle++);
        if (clock_seconds() - looked >= WIRE_TICK) TRY(wire_look(w, awaited(m, w->size), &since, &looked));
    }
}

/* ---- opening ---- */

static void wire_close(struct wire *w) {
    struct messages *m = w->state;
    /* some messages never end after a failure, so MPI is left as it is */
    if (m->comm != MPI_COMM_NULL && !tcp_job_check(w->job)) MPI_Comm_free(&m->comm);
    free(m->lanes);
    free(m->requests);
    free(m->completed);
    free(m);
}

static int wire_open(struct wire *w, struct wire *whole, int colour, int key) {
    size_t n = (size_t)w->size;
    struct messages *m = w->state = calloc(1, sizeof *m);
    if (!m) return error_set(ERR_DEVICE, "out of memory");
    m->comm = MPI_COMM_NULL;
    m->lanes = calloc(2 * n, sizeof *m->lanes);
    m->requests = calloc(2 * n, sizeof *m->requests);
    m->completed = calloc(2 * n, sizeof *m->completed);
    if (!m->lanes || !m->requests || !m->completed) return error_set(ERR_DEVICE, "out of memory for %d ranks", w->size);
    MPI_Comm from = whole ? ((struct messages *)whole->state)->comm : MPI_COMM_WORLD;
    /* ranks of equal keys keep their order, as in link.c */
    TRY(failed(MPI_Comm_split(from, whole ? colour & 0x7fffffff : 0, whole ? key : w->rank, &m->comm),
               "MPI_Comm_split"));
    return failed(MPI_Comm_set_errhandler(m->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

/* Finalizes MPI, except after an error: the other ranks may never come to MPI_Finalize,
   so the process just ends, and mpirun ends the job. */
static void end(int code) {
    if (!code) MPI_Finalize();
}

/* Rank 0 listens at a free port and tells the others by MPI. */
static int choose_meeting_place(struct launch *l) {
    struct place {
        char address[256];
        uint64_t mark;
        int32_t port, code;
    } place = {.mark = (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL), .code = OK};
    if (l->rank == 0) {
        struct socket_address loopback;
        int only_here = l->local_size == l->size;
        snprintf(place.address, sizeof place.address, "%s", only_here ? "127.0.0.1" : l->host);
        if (only_here) place.code = socket_resolve(&loopback, place.address, 0);
        if (!place.code) place.code = socket_listen(&l->listener, only_here ? &loopback : NULL, &place.port);
    }
    TRY(failed(MPI_Bcast(&place, sizeof place, MPI_BYTE, 0, MPI_COMM_WORLD), "MPI_Bcast"));
    if (place.code) return l->rank ? error_set(ERR_DEVICE, "rank 0 cannot listen") : place.code;
    memcpy(l->address, place.address, sizeof l->address);
    l->port = place.port;
    l->ports = 1;
    l->mark = place.mark;
    return OK;
}

static int start(struct launch *l) {
    int given, rank, size;
    TRY(failed(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &given), "MPI_Init_thread"));
    if (given != MPI_THREAD_MULTIPLE)
        return error_set(ERR_DEVICE, "this MPI gives thread level %d, MPI_THREAD_MULTIPLE (%d) is needed", given,
                         MPI_THREAD_MULTIPLE);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    TRY(failed(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank"));
    TRY(failed(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size"));
    if (size != l->size || rank != l->rank)
        return error_set(ERR_DEVICE,
                         "mpirun says rank %d of %d, MPI says %d of %d: this program was built with another MPI",
                         l->rank, l->size, rank, size);
    return choose_meeting_place(l);
}

const struct wire_kind wire_mpi = {
    .start = start, .open = wire_open, .close = wire_close, .exchange = exchange, .end = end};

#else

#include "base/error.h"

static int start(struct launch *l) {
    return error_set(ERR_USAGE, "mpirun started %d processes, but this program was built without MPI (none was found)",
                     l->size);
}

const struct wire_kind wire_mpi = {.start = start};

#endif
