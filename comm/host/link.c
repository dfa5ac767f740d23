/* link.c: see link.h. */
#include "comm/host/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/progress.h"

static const uint64_t WORLD_ID = 2;

/* ---- watchdog ---- */

int link_lost(struct comm_link *l, int rank) {
    char what[200];
    rounds_describe(&l->rounds.own, what, sizeof what);
    return tcp_job_lost(l->job, l->members[rank], what);
}

void link_moved_on(struct comm_link *l) {
    tcp_job_waits_for(l->job, -1);
    l->greeting = 0;
}

int link_look(struct comm_link *l, int rank, double *since, double *looked) {
    char name[160], what[200];
    int busy;
    double now = clock_seconds();
    if (now - *looked > 4 * LINK_TICK) *since += now - *looked; /* this process itself was stopped */
    *looked = now;
    TRY(tcp_job_check(l->job));
    tcp_job_waits_for(l->job, l->members[rank]);
    int culprit = tcp_job_culprit(l->job, l->members[rank], &busy);
    if (busy) *since = now;
    if (now - *since <= l->job->timeout + 2 * l->longest) return OK;
    tcp_job_name(l->job, culprit, name, sizeof name);
    rounds_describe(&l->rounds.own, what, sizeof what);
    if (culprit != l->members[rank])
        tcp_job_fail(l->job, "%s keeps the others waiting for %.0f s; rank %d is in %s", name, now - *since,
                     l->job->rank, what);
    else
        tcp_job_fail(l->job, "%s %s %s for %.0f s", name, l->greeting ? "has not reached" : "does not go on with", what,
                     now - *since);
    return tcp_job_check(l->job);
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

static void destroy(struct comm_link *l) {
    if (l->queue.calls) comm_queue_close(&l->queue);
    rounds_close(&l->rounds);
    if (l->wire) l->how->close(l);
    free(l->scratch.counts);
    free(l->scratch.values);
    free(l->members);
    free(l);
}

static int fill(struct comm_link *l, const int *members, struct comm_link *whole, int colour, int key) {
    l->members = calloc((size_t)l->size, sizeof *l->members);
    l->scratch.counts = calloc((size_t)l->size, sizeof *l->scratch.counts);
    l->scratch.values = calloc((size_t)l->size * COMM_VALUES, sizeof *l->scratch.values);
    if (!l->members || !l->scratch.counts || !l->scratch.values)
        return error_set(ERR_DEVICE, "out of memory for %d ranks", l->size);
    memcpy(l->members, members, (size_t)l->size * sizeof *members);
    TRY(rounds_open(&l->rounds, l->rank, l->size));
    l->rounds.link = l;
    l->rounds.exchange = l->how->exchange;
    l->rounds.mismatch = mismatch;
    TRY(l->how->open(l, whole, colour, key));
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

static int create(struct comm *comm, const struct comm_link *as, const int *members, struct comm_link *whole,
                  int colour, int key) {
    struct comm_link *l = calloc(1, sizeof *l);
    if (!l) return error_set(ERR_DEVICE, "out of memory");
    *l = *as;
    int code = fill(l, members, whole, colour, key);
    if (code) {
        destroy(l);
        return code;
    }
    *comm = (struct comm){
        .rank = l->rank, .size = l->size, .transport = &comm_linked, .link = l, .index = -1, .scratch = &l->scratch};
    count_locals(comm);
    return OK;
}

int link_open(struct comm *comm, struct tcp_job *job, const struct link_wire *how) {
    int *members = calloc((size_t)job->size, sizeof *members);
    int code = members ? OK : error_set(ERR_DEVICE, "out of memory for %d ranks", job->size);
    for (int r = 0; r < job->size && !code; r++) members[r] = r;
    struct comm_link link = {.how = how, .job = job, .size = job->size, .rank = job->rank, .id = WORLD_ID};
    if (!code) code = create(comm, &link, members, NULL, 0, 0);
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
static void close_with(struct comm *comm, int code) {
    struct tcp_job *job = comm->link->id == WORLD_ID ? comm->link->job : NULL;
    void (*end)(int) = comm->link->how->end;
    destroy(comm->link);
    if (!job) return;
    tcp_job_close(job);
    if (end) end(code);
}

static void link_close(struct comm *comm) { close_with(comm, tcp_job_check(comm->link->job)); }

static void link_abort(struct comm *comm, int code) {
    struct tcp_job *job = comm->link->job;
    char name[160], text[256];
    snprintf(text, sizeof text, "%s", error_text());
    tcp_job_name(job, job->rank, name, sizeof name);
    tcp_job_fail(job, "%s ended with an error: %s", name, text);
    close_with(comm, code ? code : ERR_DEVICE);
    error_set(code ? (enum error_code)code : ERR_DEVICE, "%s", text);
}

static void link_busy(struct comm *comm, const char *why) { tcp_job_busy(comm->link->job, why); }

static void link_tell(struct comm *comm, int64_t number) { tcp_job_tell(comm->link->job, number); }

static int link_told(struct comm *comm, int rank, int64_t *number) {
    return tcp_job_told(comm->link->job, comm->link->members[rank], number);
}

static int link_start(struct comm *comm, const struct comm_call *call, comm_ticket *ticket) {
    int code = comm_queue_start(&comm->link->queue, comm, call, ticket);
    if (code) tcp_job_noticed(comm->link->job);
    return code;
}

static int link_wait(struct comm *comm, comm_ticket ticket) {
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

static int link_split(struct comm *part, struct comm *whole, int colour, int key) {
    struct comm_link *l = whole->link;
    struct wish own = {colour, key, whole->rank}, *wishes = calloc((size_t)l->size, sizeof *wishes);
    int *members = calloc((size_t)l->size, sizeof *members);
    int code = wishes && members ? OK : error_set(ERR_DEVICE, "out of memory for %d ranks", l->size);
    if (!code) code = comm_all_gather_host(whole, wishes, &own, sizeof own);
    if (!code) {
        struct comm_link as = {.how = l->how, .job = l->job};
        as.size = choose(l, wishes, colour, members, &as.rank);
        /* the same on all members, another for every part that any two ranks share */
        as.id = ((l->id * 0x9e3779b97f4a7c15u + (uint64_t)++l->parts) * 0x9e3779b97f4a7c15u) ^ (uint32_t)colour;
        as.id |= 1u << 4;
        code = create(part, &as, members, l, colour, key);
    }
    free(wishes);
    free(members);
    return code;
}

const struct comm_transport comm_linked = {.name = "linked",
                                           .close = link_close,
                                           .abort = link_abort,
                                           .split = link_split,
                                           .busy = link_busy,
                                           .tell = link_tell,
                                           .told = link_told,
                                           .start = link_start,
                                           .wait = link_wait};
