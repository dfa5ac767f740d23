/* tcp.c: collectives over TCP: a connection between every two ranks of a communicator, rounds of messages (rounds.h) on
   the communicator's own thread (queue.h), watched by the job's control connections (tcp_job.h).

   Watchdog: a rank that a collective waits for may keep the others waiting for the timeout and twice the longest time
   that this rank itself has lately spent between two collectives: ranks do the same work, so what is slow here is slow
   there. A rank that says it is busy may take its time as long as it gives signs of life. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/progress.h"
#include "kernels/comm/queue.h"
#include "kernels/comm/tcp.h"
#include "kernels/comm/tcp_job.h"

static const uint64_t WORLD_ID = 2;
static const double TICK = 0.25; /* seconds between looks at failures and budgets while nothing moves */

/* How far the pieces of one peer are. */
struct cursor {
    int sending, receiving; /* piece */
    size_t sent, received;  /* of it */
};
struct comm_link {
    struct tcp_job *job;
    int size, rank;
    int *members; /* [size] ranks of the job */
    int *sockets; /* [size] */
    uint64_t id;
    int parts; /* made of it */
    struct rounds rounds;
    struct comm_queue queue;
    struct cursor *cursors;   /* [size] */
    struct pollfd *entries;   /* [size + 1] */
    int greeting;             /* the round under way is that of the headers */
    double finished, longest; /* end of the last call; longest recent time between two calls */
};

/* ---- watchdog ---- */

static int is_done(const struct comm_link *l, int p) {
    return p == l->rank || (l->cursors[p].sending == ROUND_PIECES && l->cursors[p].receiving == ROUND_PIECES);
}

/* The first rank that has something to send or to take. */
static int awaited(const struct comm_link *l) {
    for (int p = 0; p < l->size; p++)
        if (p != l->rank && l->cursors[p].receiving < ROUND_PIECES) return p;
    for (int p = 0; p < l->size; p++)
        if (p != l->rank && l->cursors[p].sending < ROUND_PIECES) return p;
    return -1;
}

static int lost(struct comm_link *l, int p) {
    char what[200];
    rounds_describe(&l->rounds.own, what, sizeof what);
    return tcp_job_lost(l->job, l->members[p], what);
}

/* Nothing has moved since *since. */
static int look(struct comm_link *l, double now, double *since) {
    char name[160], what[200];
    int busy, p = awaited(l);
    TRY(tcp_job_check(l->job));
    if (p < 0) return OK;
    tcp_job_waits_for(l->job, l->members[p]);
    int rank = tcp_job_culprit(l->job, l->members[p], &busy);
    if (busy) *since = now;
    if (now - *since <= l->job->timeout + 2 * l->longest) return OK;
    tcp_job_name(l->job, rank, name, sizeof name);
    rounds_describe(&l->rounds.own, what, sizeof what);
    if (rank != l->members[p])
        tcp_job_fail(l->job, "%s keeps the others waiting for %.0f s; rank %d is in %s", name, now - *since,
                     l->job->rank, what);
    else
        tcp_job_fail(l->job, "%s %s %s for %.0f s", name, l->greeting ? "has not reached" : "does not go on with", what,
                     now - *since);
    return tcp_job_check(l->job);
}

/* ---- moving bytes ---- */

/* Sends what fits. *moved 1: something went. */
static int push(struct comm_link *l, const struct round_piece *pieces, int p, int *moved) {
    struct cursor *c = &l->cursors[p];
    while (c->sending < ROUND_PIECES) {
        const struct round_piece *piece = &pieces[c->sending];
        size_t left = piece->send_bytes - c->sent;
        if (!left) {
            c->sending++, c->sent = 0;
            continue;
        }
        ssize_t n = send(l->sockets[p], (const char *)piece->send + c->sent, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return OK;
        if (n < 0) return lost(l, p);
        c->sent += (size_t)n;
        *moved = 1;
    }
    return OK;
}

static int pull(struct comm_link *l, const struct round_piece *pieces, int p, int *moved) {
    struct cursor *c = &l->cursors[p];
    while (c->receiving < ROUND_PIECES) {
        const struct round_piece *piece = &pieces[c->receiving];
        size_t left = piece->receive_bytes - c->received;
        if (!left) {
            c->receiving++, c->received = 0;
            continue;
        }
        ssize_t n = recv(l->sockets[p], (char *)piece->receive + c->received, left, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return OK;
        if (n <= 0) return lost(l, p);
        c->received += (size_t)n;
        *moved = 1;
    }
    return OK;
}

static int wait_for_sockets(struct comm_link *l) {
    for (int p = 0; p < l->size; p++) {
        const struct cursor *c = &l->cursors[p];
        short events = (short)((c->sending < ROUND_PIECES ? POLLOUT : 0) | (c->receiving < ROUND_PIECES ? POLLIN : 0));
        l->entries[p] = (struct pollfd){.fd = p != l->rank && events ? l->sockets[p] : -1, .events = events};
    }
    l->entries[l->size] = (struct pollfd){.fd = l->job->alarm, .events = POLLIN};
    return poll(l->entries, (nfds_t)l->size + 1, (int)(1000 * TICK));
}

static int exchange(void *link, const struct round_piece *pieces) {
    struct comm_link *l = link;
    double since = clock_seconds(), looked = since;
    memset(l->cursors, 0, (size_t)l->size * sizeof *l->cursors);
    for (;;) {
        int moved = 0, open = 0;
        for (int p = 0; p < l->size; p++) {
            const struct round_piece *own = pieces + (size_t)p * ROUND_PIECES;
            if (is_done(l, p)) continue;
            TRY(push(l, own, p, &moved));
            TRY(pull(l, own, p, &moved));
            open += !is_done(l, p);
        }
        if (!open) break;
        if (moved) {
            since = looked = clock_seconds();
            continue;
        }
        wait_for_sockets(l);
        double now = clock_seconds();
        if (l->entries[l->size].revents) TRY(tcp_job_check(l->job));
        if (now - looked < TICK) continue;
        if (now - looked > 4 * TICK) since += now - looked; /* this process itself was stopped */
        looked = now;
        TRY(look(l, now, &since));
    }
    tcp_job_waits_for(l->job, -1);
    l->greeting = 0;
    return OK;
}

static int mismatch(void *link, int rank, const char *text) {
    struct comm_link *l = link;
    char name[160];
    tcp_job_name(l->job, l->members[rank], name, sizeof name);
    tcp_job_fail(l->job, "ranks have diverged: %s %s", name, text);
    return tcp_job_check(l->job);
}

static int run_call(void *link, const struct comm_call *call, const struct round_header *about) {
    struct comm_link *l = link;
    double start = clock_seconds(), between = l->finished > 0 ? start - l->finished : 0;
    l->longest -= l->longest / 256;
    if (between > l->longest) l->longest = between;
    l->greeting = 1;
    int code = tcp_job_check(l->job);
    if (!code) code = rounds_run(&l->rounds, call, about);
    if (code) tcp_job_fail(l->job, "%s", error_text());
    l->finished = clock_seconds();
    return code;
}

/* ---- communicators ---- */

static void link_close(struct comm_link *l) {
    if (l->queue.calls) comm_queue_close(&l->queue);
    rounds_close(&l->rounds);
    for (int p = 0; p < l->size && l->sockets; p++) socket_close(&l->sockets[p]);
    free(l->members);
    free(l->sockets);
    free(l->cursors);
    free(l->entries);
    free(l);
}

static int link_fill(struct comm_link *l, const int *members) {
    size_t n = (size_t)l->size;
    l->members = calloc(n, sizeof *l->members);
    l->sockets = calloc(n, sizeof *l->sockets);
    l->cursors = calloc(n, sizeof *l->cursors);
    l->entries = calloc(n + 1, sizeof *l->entries);
    for (int p = 0; p < l->size && l->sockets; p++) l->sockets[p] = -1;
    if (!l->members || !l->sockets || !l->cursors || !l->entries)
        return error_set(ERR_DEVICE, "out of memory for %d ranks", l->size);
    memcpy(l->members, members, n * sizeof *members);
    TRY(rounds_open(&l->rounds, l->rank, l->size));
    l->rounds.link = l;
    l->rounds.exchange = exchange;
    l->rounds.mismatch = mismatch;
    TRY(tcp_job_connect(l->job, l->sockets, members, l->size, l->id));
    return comm_queue_open(&l->queue, l->size, l, run_call);
}

/* The ranks of the same host, as far as the job knows. */
static void count_locals(struct comm *comm) {
    const struct tcp_job *job = comm->link->job;
    const char *host = job->peers[job->rank].host;
    comm->local_rank = comm->local_size = 0;
    for (int p = 0; p < comm->size; p++) {
        int here = !strcmp(job->peers[comm->link->members[p]].host, host);
        comm->local_size += here;
        comm->local_rank += here && p < comm->rank;
    }
}

static int link_open(struct comm *comm, struct tcp_job *job, const int *members, int size, int rank, uint64_t id) {
    struct comm_link *l = calloc(1, sizeof *l);
    if (!l) return error_set(ERR_DEVICE, "out of memory");
    *l = (struct comm_link){.job = job, .size = size, .rank = rank, .id = id};
    int code = link_fill(l, members);
    if (code) {
        link_close(l);
        return code;
    }
    *comm = (struct comm){.rank = rank, .size = size, .transport = &comm_tcp, .link = l, .index = -1};
    count_locals(comm);
    return OK;
}

int tcp_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout) {
    struct tcp_job *job;
    TRY(tcp_job_open(&job, launch, options, timeout));
    int *members = calloc((size_t)job->size, sizeof *members);
    int code = members ? OK : error_set(ERR_DEVICE, "out of memory for %d ranks", job->size);
    for (int r = 0; r < job->size && !code; r++) members[r] = r;
    if (!code) code = link_open(comm, job, members, job->size, job->rank, WORLD_ID);
    free(members);
    if (code) {
        tcp_job_close(job);
        return code;
    }
    comm->local_rank = job->local_rank;
    comm->local_size = job->local_size;
    return OK;
}

/* The job belongs to the communicator of all ranks, which is closed last. */
static void tcp_close(struct comm *comm) {
    struct tcp_job *job = comm->link->id == WORLD_ID ? comm->link->job : NULL;
    link_close(comm->link);
    if (job) tcp_job_close(job);
}

static void tcp_abort(struct comm *comm, int code) {
    struct tcp_job *job = comm->link->job;
    char name[160], text[256];
    snprintf(text, sizeof text, "%s", error_text());
    tcp_job_name(job, job->rank, name, sizeof name);
    if (code) tcp_job_fail(job, "%s ended with an error: %s", name, text);
    tcp_close(comm);
    error_set(code ? code : ERR_DEVICE, "%s", text);
}

static void tcp_busy(struct comm *comm, const char *why) { tcp_job_busy(comm->link->job, why); }

static int tcp_start(struct comm *comm, const struct comm_call *call, comm_ticket *ticket) {
    int code = comm_queue_start(&comm->link->queue, comm, call, ticket);
    if (code) tcp_job_noticed(comm->link->job);
    return code;
}

static int tcp_wait(struct comm *comm, comm_ticket ticket) {
    int code = comm_queue_wait(&comm->link->queue, ticket);
    if (code) tcp_job_noticed(comm->link->job);
    return code;
}

/* ---- parts ---- */

struct wish {
    int32_t colour, key, rank; /* rank in the whole */
};

static int by_key(const void *a, const void *b) {
    const struct wish *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static int choose(const struct comm_link *whole, struct wish *wishes, int colour, int *members, int *own) {
    int count = 0;
    for (int p = 0; p < whole->size; p++)
        if (wishes[p].colour == colour) wishes[count++] = wishes[p];
    qsort(wishes, (size_t)count, sizeof *wishes, by_key);
    for (int i = 0; i < count; i++) {
        members[i] = whole->members[wishes[i].rank];
        if (wishes[i].rank == whole->rank) *own = i;
    }
    return count;
}

static int tcp_split(struct comm *part, struct comm *whole, int colour, int key) {
    struct comm_link *l = whole->link;
    struct wish own = {colour, key, whole->rank}, *wishes = calloc((size_t)l->size, sizeof *wishes);
    int *members = calloc((size_t)l->size, sizeof *members), rank = 0;
    int code = wishes && members ? OK : error_set(ERR_DEVICE, "out of memory for %d ranks", l->size);
    if (!code) code = comm_all_gather_host(whole, wishes, &own, sizeof own);
    if (!code) {
        int count = choose(l, wishes, colour, members, &rank);
        /* the same on all members, another for every part that any two ranks share */
        uint64_t id = ((l->id * 0x9e3779b97f4a7c15u + (uint64_t)++l->parts) * 0x9e3779b97f4a7c15u) ^ (uint32_t)colour;
        code = link_open(part, l->job, members, count, rank, id | 1u << 4);
    }
    free(wishes);
    free(members);
    return code;
}

const struct comm_transport comm_tcp = {.name = "tcp",
                                        .close = tcp_close,
                                        .abort = tcp_abort,
                                        .split = tcp_split,
                                        .busy = tcp_busy,
                                        .start = tcp_start,
                                        .wait = tcp_wait};
