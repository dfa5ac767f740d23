/* link.c: see link.h. */
#include "comm/host/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const uint64_t WORLD_ID = 2;
static const struct comm_transport comm_linked;

/* ---- communicators ---- */

static void destroy(struct comm_link *l) {
    if (l->queue.calls) comm_queue_close(&l->queue);
    rounds_close(&l->rounds);
    if (l->wire.state) l->wire.kind->close(&l->wire);
    free(l->scratch.counts);
    free(l->scratch.values);
    free(l->wire.members);
    free(l);
}

static int fill(struct comm_link *l, const int *members, struct wire *whole, int colour, int key) {
    struct wire *w = &l->wire;
    size_t n = (size_t)w->size;
    w->members = calloc(n, sizeof *w->members);
    l->scratch.counts = calloc(n, sizeof *l->scratch.counts);
    l->scratch.values = calloc(n * COMM_VALUES, sizeof *l->scratch.values);
    if (!w->members || !l->scratch.counts || !l->scratch.values)
        return error_set(ERR_DEVICE, "out of memory for %d ranks", w->size);
    for (int p = 0; p < w->size; p++) w->members[p] = members ? members[p] : p;
    TRY(rounds_open(&l->rounds, w));
    TRY(w->kind->open(w, whole, colour, key));
    return comm_queue_open(&l->queue, &l->rounds);
}

/* Finds local_rank and local_size: the members that are on this host, as far as the job knows. */
static void count_locals(struct comm *comm) {
    const struct wire *w = &comm->link->wire;
    const struct tcp_job *job = w->job;
    const char *host = job->peers[job->rank].host;
    comm->local_rank = comm->local_size = 0;
    for (int p = 0; p < comm->size; p++) {
        int here = !strcmp(job->peers[w->members[p]].host, host);
        comm->local_size += here;
        comm->local_rank += here && p < comm->rank;
    }
}

/* Opens a communicator whose wire has kind, job, size, rank and id filled in. members NULL: all ranks. */
static int create(struct comm *comm, const struct wire *wire, const int *members, struct wire *whole, int colour,
                  int key) {
    struct comm_link *l = calloc(1, sizeof *l);
    if (!l) return error_set(ERR_DEVICE, "out of memory");
    l->wire = *wire;
    int code = fill(l, members, whole, colour, key);
    if (code) {
        destroy(l);
        return code;
    }
    *comm = (struct comm){.rank = wire->rank,
                          .size = wire->size,
                          .transport = &comm_linked,
                          .link = l,
                          .index = -1,
                          .scratch = &l->scratch};
    count_locals(comm);
    return OK;
}

int link_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout,
              const struct wire_kind *kind) {
    struct launch l = *launch;
    struct wire wire = {.kind = kind, .size = l.size, .rank = l.rank, .id = WORLD_ID};
    if (kind->start) TRY(kind->start(&l));
    TRY(tcp_job_open(&wire.job, &l, options, timeout));
    int code = create(comm, &wire, NULL, NULL, 0, 0);
    if (code) {
        tcp_job_close(wire.job);
        return code;
    }
    comm->local_rank = wire.job->local_rank;
    comm->local_size = wire.job->local_size;
    return OK;
}

/* Closes a communicator; that of all ranks, which is closed last, ends the job too. */
static void close_with(struct comm *comm, int code) {
    const struct wire *w = &comm->link->wire;
    struct tcp_job *job = w->id == WORLD_ID ? w->job : NULL;
    void (*end)(int) = w->kind->end;
    destroy(comm->link);
    if (!job) return;
    tcp_job_close(job);
    if (end) end(code);
}

static void link_close(struct comm *comm) { close_with(comm, tcp_job_check(comm->link->wire.job)); }

static void link_abort(struct comm *comm, int code) {
    struct tcp_job *job = comm->link->wire.job;
    char name[160], text[256];
    snprintf(text, sizeof text, "%s", error_text());
    tcp_job_name(job, job->rank, name, sizeof name);
    tcp_job_fail(job, "%s ended with an error: %s", name, text);
    close_with(comm, code ? code : ERR_DEVICE);
    error_set(code ? (enum error_code)code : ERR_DEVICE, "%s", text);
}

static void link_busy(struct comm *comm, const char *why) { tcp_job_busy(comm->link->wire.job, why); }

static void link_publish(struct comm *comm, int64_t number) { tcp_job_publish(comm->link->wire.job, number); }

static int link_progress_of(struct comm *comm, int rank, int64_t *number) {
    return tcp_job_progress_of(comm->link->wire.job, comm->link->wire.members[rank], number);
}

static int link_start(struct comm *comm, const struct comm_call *call, comm_ticket *ticket) {
    int code = comm_queue_start(&comm->link->queue, comm, call, ticket);
    if (code) tcp_job_noticed(comm->link->wire.job);
    return code;
}

static int link_wait(struct comm *comm, comm_ticket ticket) {
    int code = comm_queue_wait(&comm->link->queue, ticket);
    if (code) tcp_job_noticed(comm->link->wire.job);
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

static int choose(const struct wire *whole, struct wish *wishes, int colour, int *members, int *own) {
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

static int link_split(struct comm *part, struct comm *whole, int colour, int key) {
    struct wire *w = &whole->link->wire;
    struct wish own = {colour, key, whole->rank}, *wishes = calloc((size_t)w->size, sizeof *wishes);
    int *members = calloc((size_t)w->size, sizeof *members);
    int code = wishes && members ? OK : error_set(ERR_DEVICE, "out of memory for %d ranks", w->size);
    if (!code) code = comm_all_gather_host(whole, wishes, &own, sizeof own);
    if (!code) {
        struct wire as = {.kind = w->kind, .job = w->job};
        as.size = choose(w, wishes, colour, members, &as.rank);
        /* an id that all members compute alike, and that differs between parts that share ranks */
        as.id =
            ((w->id * 0x9e3779b97f4a7c15u + (uint64_t)++whole->link->parts) * 0x9e3779b97f4a7c15u) ^ (uint32_t)colour;
        as.id |= 1u << 4;
        code = create(part, &as, members, w, colour, key);
    }
    free(wishes);
    free(members);
    return code;
}

static const struct comm_transport comm_linked = {.close = link_close,
                                                  .abort = link_abort,
                                                  .split = link_split,
                                                  .busy = link_busy,
                                                  .publish = link_publish,
                                                  .progress_of = link_progress_of,
                                                  .start = link_start,
                                                  .wait = link_wait};
