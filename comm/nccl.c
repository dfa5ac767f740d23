/* nccl.c: collectives between GPUs. Calls are queued on a stream of the communicator's own, behind the work that the
   caller's current stream holds; comm_wait orders the caller's stream behind them; the host never waits. A second
   communicator, over TCP or MPI (link.h), serves host memory and watches the other processes.

   NCCL is used without blocking, so that nothing waits in it without end. A thread looks at the collectives under way:
   when the job has failed, NCCL reports an error, or one takes longer than the budget (wire.h) allows, it aborts the
   communicator, which ends the kernels that wait on the GPU. NCCL takes one thread at a time in a communicator, and
   none in one that is gone: every call and the abort are made under one lock, which none of them holds for long. */
#include "comm/nccl.h"

#ifdef HAVE_NCCL

#include <nccl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/progress.h"
#include "comm/host/link.h"
#include "kernels/device.h"

enum { CALLS = 256, LOOK_MICROSECONDS = 100000 };
/* Seconds that a caller stays awake while NCCL takes its call, which needs microseconds. */
static const double AWAKE = 100e-6, ASLEEP_MOST = 1e-3;
#ifdef TYPE_DOUBLE
#define NCCL_REAL ncclDouble
#else
#define NCCL_REAL ncclFloat
#endif

struct nccl_link {
    struct comm host;        /* the same ranks */
    pthread_mutex_t calls;   /* held in every call of NCCL's communicator */
    ncclComm_t nccl;         /* guarded by `calls`; NULL: not made yet, or gone */
    cudaStream_t stream;     /* its work goes before that of the compute stream */
    cudaEvent_t before;      /* end of the work that the caller had queued */
    cudaEvent_t done[CALLS]; /* ends of the last calls, a ring */
    pthread_t watcher;
    int watched;
    pthread_mutex_t lock;
    /* guarded by the lock */
    int64_t started, finished; /* calls; those finished when the watcher last looked */
    double since;              /* time of the last progress, on the clock of clock_seconds */
    double longest;            /* longest recent time between two calls, with the time of the last one */
    double last;
    char about[160]; /* names the last call, for error texts */
    int stop, failed;
    char text[480];
};

static struct nccl_link *link_of(const struct comm *comm) { return (struct nccl_link *)comm->link; }

/* ---- failure ---- */

static int failure(struct nccl_link *l) {
    pthread_mutex_lock(&l->lock);
    int code = l->failed ? error_set(ERR_DEVICE, "%s", l->text) : OK;
    pthread_mutex_unlock(&l->lock);
    return code;
}

static void abort_calls(struct nccl_link *l) {
    pthread_mutex_lock(&l->calls);
    if (l->nccl) ncclCommAbort(l->nccl);
    l->nccl = NULL;
    pthread_mutex_unlock(&l->calls);
}

/* Keeps the first failure, tells the other ranks, and ends the kernels that wait for them. */
static int fail(struct nccl_link *l, const char *text) {
    pthread_mutex_lock(&l->lock);
    int first = !l->failed;
    if (first) snprintf(l->text, sizeof l->text, "%s", text);
    l->failed = 1;
    pthread_mutex_unlock(&l->lock);
    if (first) {
        tcp_job_fail(l->host.link->wire.job, "%s", text);
        abort_calls(l);
    }
    return failure(l);
}

static int fail_nccl(struct nccl_link *l, ncclResult_t code, const char *what) {
    char text[400];
    pthread_mutex_lock(&l->calls);
    const char *more = l->nccl ? ncclGetLastError(l->nccl) : NULL;
    snprintf(text, sizeof text, "rank %d: %s: %s%s%.200s", l->host.rank, what, ncclGetErrorString(code),
             more && *more ? ": " : "", more ? more : "");
    pthread_mutex_unlock(&l->calls);
    return fail(l, text);
}

static int fail_cuda(struct nccl_link *l, cudaError_t code, const char *what) {
    char text[256];
    if (code == cudaSuccess) return OK;
    snprintf(text, sizeof text, "rank %d: %s: %s", l->host.rank, what, cudaGetErrorString(code));
    return fail(l, text);
}

/* ---- waiting for what takes microseconds, or for ever ---- */

/* Pauses between two looks at something that has been awaited for `waited` seconds. At first it only yields to other
   threads; then it sleeps for a quarter of that time, so that no wait becomes longer by more than a quarter. */
static void back_off(double waited) {
    if (waited < AWAKE)
        sched_yield();
    else
        usleep((useconds_t)(1e6 * (waited / 4 < ASLEEP_MOST ? waited / 4 : ASLEEP_MOST)));
}

/* Seconds that the other ranks may take before they count as lost. */
static double budget(struct nccl_link *l) {
    pthread_mutex_lock(&l->lock);
    double seconds = l->host.link->wire.job->timeout + 2 * l->longest;
    pthread_mutex_unlock(&l->lock);
    return seconds;
}

/* Asks NCCL for the communicator's state; ncclInProgress: it is still taking the call before. */
static ncclResult_t state_of(struct nccl_link *l) {
    ncclResult_t state = ncclInvalidUsage, code = ncclInvalidUsage;
    pthread_mutex_lock(&l->calls);
    if (l->nccl) code = ncclCommGetAsyncError(l->nccl, &state);
    pthread_mutex_unlock(&l->calls);
    return code == ncclSuccess ? state : code;
}

/* Waits, `limit` seconds at most, until NCCL has taken a call; it does not wait for the call's kernels. */
static int settle(struct nccl_link *l, ncclResult_t code, const char *what, double limit) {
    double begun = clock_seconds();
    if (code == ncclSuccess || code == ncclInProgress) code = state_of(l);
    while (code == ncclInProgress) {
        double waited = clock_seconds() - begun;
        TRY(failure(l));
        if (tcp_job_check(l->host.link->wire.job)) return fail(l, error_text());
        if (waited > limit) {
            char text[256];
            snprintf(text, sizeof text, "rank %d: %s is still in progress after %.0f s", l->host.rank, what, waited);
            return fail(l, text);
        }
        back_off(waited);
        code = state_of(l);
    }
    TRY(failure(l)); /* the communicator is gone too */
    return code == ncclSuccess ? OK : fail_nccl(l, code, what);
}

/* ---- watcher ---- */

/* Brings `finished` up to date; 1: a call is under way. */
static int look(struct nccl_link *l, double now) {
    pthread_mutex_lock(&l->lock);
    while (l->finished < l->started && cudaEventQuery(l->done[l->finished % CALLS]) == cudaSuccess) {
        l->finished++;
        l->since = now;
    }
    int busy = l->finished < l->started;
    if (!busy) l->since = now;
    pthread_mutex_unlock(&l->lock);
    return busy;
}

static void judge(struct nccl_link *l, double now) {
    struct tcp_job *job = l->host.link->wire.job;
    char text[400], name[160];
    if (tcp_job_check(job)) {
        fail(l, error_text());
        return;
    }
    ncclResult_t state = state_of(l);
    if (state != ncclSuccess && state != ncclInProgress) {
        fail_nccl(l, state, "NCCL");
        return;
    }
    if (!look(l, now)) return;
    int busy, rank = tcp_job_last(job, &busy);
    pthread_mutex_lock(&l->lock);
    if (busy) l->since = now;
    double waited = now - l->since;
    int over = waited > job->timeout + 2 * l->longest && (rank < 0 || !tcp_job_quiet(job, rank));
    if (over) {
        snprintf(name, sizeof name, "no rank");
        if (rank >= 0) tcp_job_name(job, rank, name, sizeof name);
        snprintf(text, sizeof text, "%s is behind; rank %d has waited in or before %.150s for %.0f s", name, job->rank,
                 l->about, waited);
    }
    pthread_mutex_unlock(&l->lock);
    if (over) fail(l, text);
}

static void *watch(void *argument) {
    struct nccl_link *l = argument;
    for (;;) {
        pthread_mutex_lock(&l->lock);
        int stop = l->stop || l->failed;
        pthread_mutex_unlock(&l->lock);
        if (stop) return NULL;
        judge(l, clock_seconds());
        usleep(LOOK_MICROSECONDS);
    }
}

/* ---- calls: under `calls` ---- */

static int equal(const long *counts, int size) {
    for (int r = 1; r < size; r++)
        if (counts[r] != counts[0]) return 0;
    return 1;
}

static ncclResult_t reduce_scatter(struct nccl_link *l, const struct comm_call *c) {
    const real *part = c->from;
    ncclResult_t code = ncclSuccess;
    if (equal(c->to_counts, l->host.size))
        return ncclReduceScatter(c->from, c->to, (size_t)c->to_counts[0], NCCL_REAL, ncclSum, l->nccl, l->stream);
    ncclGroupStart();
    for (int r = 0; r < l->host.size; part += c->to_counts[r++])
        if (c->to_counts[r] && code == ncclSuccess)
            code = ncclReduce(part, c->to, (size_t)c->to_counts[r], NCCL_REAL, ncclSum, r, l->nccl, l->stream);
    ncclResult_t end = ncclGroupEnd();
    return code != ncclSuccess && code != ncclInProgress ? code : end;
}

static ncclResult_t all_gather(struct nccl_link *l, const struct comm_call *c) {
    char *part = c->to;
    ncclResult_t code = ncclSuccess;
    if (equal(c->to_counts, l->host.size))
        return ncclAllGather(c->from, c->to, (size_t)c->to_counts[0], ncclInt8, l->nccl, l->stream);
    ncclGroupStart();
    for (int r = 0; r < l->host.size; part += c->to_counts[r++])
        if (c->to_counts[r] && code == ncclSuccess)
            code = ncclBroadcast(c->from, part, (size_t)c->to_counts[r], ncclInt8, r, l->nccl, l->stream);
    ncclResult_t end = ncclGroupEnd();
    return code != ncclSuccess && code != ncclInProgress ? code : end;
}

static ncclResult_t all_to_all(struct nccl_link *l, const struct comm_call *c) {
    const char *from = c->from;
    char *to = c->to;
    ncclResult_t code = ncclSuccess;
    ncclGroupStart();
    for (int r = 0; r < l->host.size; from += c->from_counts[r], to += c->to_counts[r], r++) {
        if (c->from_counts[r] && code == ncclSuccess)
            code = ncclSend(from, (size_t)c->from_counts[r], ncclInt8, r, l->nccl, l->stream);
        if (c->to_counts[r] && code == ncclSuccess)
            code = ncclRecv(to, (size_t)c->to_counts[r], ncclInt8, r, l->nccl, l->stream);
    }
    ncclResult_t end = ncclGroupEnd();
    return code != ncclSuccess && code != ncclInProgress ? code : end;
}

static ncclResult_t queue(struct nccl_link *l, const struct comm_call *c) {
    switch (c->kind) {
    case COMM_ALL_REDUCE:
        return ncclAllReduce(c->to, c->to, (size_t)c->n, NCCL_REAL, ncclSum, l->nccl, l->stream);
    case COMM_REDUCE_SCATTER:
        return reduce_scatter(l, c);
    case COMM_ALL_GATHER:
        return all_gather(l, c);
    case COMM_ALL_TO_ALL:
        return all_to_all(l, c);
    case COMM_BROADCAST:
        return ncclBroadcast(c->to, c->to, (size_t)c->n, ncclInt8, c->root, l->nccl, l->stream);
    case COMM_BARRIER:
        return ncclSuccess;
    }
    return ncclInvalidArgument;
}

static int submit(struct nccl_link *l, const struct comm_call *c) {
    pthread_mutex_lock(&l->calls);
    ncclResult_t code = l->nccl ? queue(l, c) : ncclInvalidUsage;
    pthread_mutex_unlock(&l->calls);
    return settle(l, code, comm_kind_name(c->kind), budget(l));
}

/* Waits for the stream by looking again and again, because a call that waits for the GPU could not be ended. */
static int drain(struct nccl_link *l) {
    double begun = clock_seconds();
    cudaError_t code;
    while ((code = cudaStreamQuery(l->stream)) == cudaErrorNotReady) {
        TRY(failure(l));
        back_off(clock_seconds() - begun);
    }
    return fail_cuda(l, code, "the stream of collectives");
}

static void note(struct nccl_link *l, const struct comm *comm, const struct comm_call *call) {
    struct comm_place place = comm_place(comm, call->kind, l->started + 1);
    double now = clock_seconds();
    pthread_mutex_lock(&l->lock);
    l->longest -= l->longest / 256;
    if (l->last > 0 && now - l->last > l->longest) l->longest = now - l->last;
    l->last = now;
    comm_describe(&place, l->about, sizeof l->about);
    pthread_mutex_unlock(&l->lock);
}

/* Tickets of calls on host memory are negative. */
static int nccl_start(struct comm *comm, const struct comm_call *call, comm_ticket *ticket) {
    struct nccl_link *l = link_of(comm);
    TRY(failure(l));
    if (call->host) {
        l->host.step = comm->step, l->host.what = comm->what, l->host.index = comm->index;
        TRY(l->host.transport->start(&l->host, call, ticket));
        *ticket = -*ticket;
        return OK;
    }
    note(l, comm, call);
    TRY(fail_cuda(l, cudaEventRecord(l->before, device_stream_handle()), "cudaEventRecord"));
    TRY(fail_cuda(l, cudaStreamWaitEvent(l->stream, l->before, 0), "cudaStreamWaitEvent"));
    TRY(submit(l, call));
    pthread_mutex_lock(&l->lock);
    cudaError_t code = cudaEventRecord(l->done[l->started % CALLS], l->stream);
    if (l->finished + CALLS <= l->started) l->finished = l->started + 1 - CALLS; /* a later call has its event now */
    *ticket = ++l->started;
    pthread_mutex_unlock(&l->lock);
    tcp_job_reached(l->host.link->wire.job);
    TRY(fail_cuda(l, code, "cudaEventRecord"));
    if (call->kind != COMM_BARRIER) return OK;
    TRY(drain(l));
    return comm_barrier(&l->host);
}

static int nccl_wait(struct comm *comm, comm_ticket ticket) {
    struct nccl_link *l = link_of(comm);
    TRY(failure(l));
    if (ticket < 0) return comm_wait(&l->host, -ticket);
    if (!ticket) return OK;
    return fail_cuda(l, cudaStreamWaitEvent(device_stream_handle(), l->done[(ticket - 1) % CALLS], 0),
                     "cudaStreamWaitEvent");
}

/* ---- opening and closing ---- */

static void end_watch(struct nccl_link *l) {
    if (!l->watched) return;
    pthread_mutex_lock(&l->lock);
    l->stop = 1;
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->watcher, NULL);
    l->watched = 0;
}

/* Cleans up after a failure of any kind: drops what NCCL still holds. */
static void destroy(struct nccl_link *l) {
    end_watch(l);
    abort_calls(l);
    for (int i = 0; i < CALLS; i++)
        if (l->done[i]) cudaEventDestroy(l->done[i]);
    if (l->before) cudaEventDestroy(l->before);
    if (l->stream) cudaStreamDestroy(l->stream);
    pthread_mutex_destroy(&l->calls);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static int make_events(struct nccl_link *l) {
    int least, greatest; /* priorities: lower numbers go first */
    cudaError_t code = cudaDeviceGetStreamPriorityRange(&least, &greatest);
    if (!code) code = cudaStreamCreateWithPriority(&l->stream, cudaStreamNonBlocking, greatest);
    if (!code) code = cudaEventCreateWithFlags(&l->before, cudaEventDisableTiming);
    for (int i = 0; i < CALLS && !code; i++) code = cudaEventCreateWithFlags(&l->done[i], cudaEventDisableTiming);
    return code ? error_set(ERR_DEVICE, "cuda: %s", cudaGetErrorString(code)) : OK;
}

static int join(struct nccl_link *l) {
    ncclUniqueId id;
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclResult_t code = l->host.rank ? ncclSuccess : ncclGetUniqueId(&id);
    TRY(comm_agree(&l->host, code ? error_set(ERR_DEVICE, "ncclGetUniqueId: %s", ncclGetErrorString(code)) : OK));
    TRY(comm_broadcast_host(&l->host, &id, sizeof id, 0));
    config.blocking = 0;
    pthread_mutex_lock(&l->calls);
    code = ncclCommInitRankConfig(&l->nccl, l->host.size, id, l->host.rank, &config);
    pthread_mutex_unlock(&l->calls);
    TRY(settle(l, code, "ncclCommInitRankConfig", l->host.link->wire.job->connect_timeout));
    l->since = clock_seconds();
    if (pthread_create(&l->watcher, NULL, watch, l)) return error_set(ERR_DEVICE, "cannot start a thread");
    l->watched = 1;
    return OK;
}

/* Opens over `host`, which still belongs to the caller when this fails. */
static int create(struct comm *comm, const struct comm *host) {
    struct nccl_link *l = calloc(1, sizeof *l);
    if (!l) return error_set(ERR_DEVICE, "out of memory");
    pthread_mutex_init(&l->calls, NULL);
    pthread_mutex_init(&l->lock, NULL);
    l->host = *host;
    int code = comm_agree(&l->host, make_events(l));
    if (!code) code = join(l);
    if (code) {
        destroy(l);
        return code;
    }
    *comm = *host;
    comm->transport = &comm_nccl;
    comm->link = (struct comm_link *)l;
    return OK;
}

/* Waits until all ranks are done before any takes its communicator down: a collective that is done here may still be on
   its way to another rank, from memory that NCCL would free. */
static int finish(struct nccl_link *l) {
    TRY(failure(l));
    TRY(drain(l));
    TRY(comm_barrier(&l->host));
    pthread_mutex_lock(&l->calls);
    ncclResult_t code = l->nccl ? ncclCommFinalize(l->nccl) : ncclInvalidUsage;
    pthread_mutex_unlock(&l->calls);
    return settle(l, code, "ncclCommFinalize", budget(l));
}

static void nccl_close(struct comm *comm) {
    struct nccl_link *l = link_of(comm);
    struct comm host = l->host;
    int code = finish(l);
    end_watch(l);
    if (!code && l->nccl && ncclCommDestroy(l->nccl) == ncclSuccess) l->nccl = NULL;
    destroy(l);
    comm_close(&host);
}

static void nccl_abort(struct comm *comm, int code) {
    struct nccl_link *l = link_of(comm);
    struct comm host = l->host;
    char text[256];
    snprintf(text, sizeof text, "%s", error_text());
    fail(l, text);
    destroy(l);
    error_set(code ? (enum error_code)code : ERR_DEVICE, "%s", text);
    comm_abort(&host, code);
}

/* Refuses an NCCL that cannot order the collectives of several communicators. A part works beside its
   whole on a stream of its own, and a GPU may not be able to run two collectives at once. So NCCL is
   told (NCCL_LAUNCH_ORDER_IMPLICIT) to start them on every GPU in the order in which all hosts queue
   them: none then waits for one that another GPU has not begun. */
static int orders_launches(void) {
    enum { FIRST = 22600 };
    int version = 0;
    ncclGetVersion(&version);
    return version >= FIRST
               ? OK
               : error_set(ERR_DEVICE,
                           "NCCL %d cannot order collectives of several communicators; %d or later is needed", version,
                           FIRST);
}

static int nccl_split(struct comm *part, struct comm *whole, int colour, int key) {
    struct comm host;
    TRY(orders_launches());
    TRY(comm_split(&host, &link_of(whole)->host, colour, key));
    int code = create(part, &host);
    if (code) comm_close(&host);
    return code;
}

static void nccl_busy(struct comm *comm, const char *why) { comm_busy(&link_of(comm)->host, why); }

static void nccl_publish(struct comm *comm, int64_t number) { comm_publish(&link_of(comm)->host, number); }

static int nccl_progress_of(struct comm *comm, int rank, int64_t *number) {
    return comm_progress_of(&link_of(comm)->host, rank, number);
}

const struct comm_transport comm_nccl = {.close = nccl_close,
                                         .abort = nccl_abort,
                                         .split = nccl_split,
                                         .busy = nccl_busy,
                                         .publish = nccl_publish,
                                         .progress_of = nccl_progress_of,
                                         .start = nccl_start,
                                         .wait = nccl_wait};

/* Chooses the local rank's entry of CUDA_VISIBLE_DEVICES or, without that variable, the GPU of that number. Where the
   starter has bound each process to one GPU of its own, as Slurm can, that one is taken. */
static int choose_gpu(const struct comm *host) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES"), *entry = visible;
    char choice[96];
    int count;
    snprintf(choice, sizeof choice, "%d", host->local_rank);
    if (visible && *visible) {
        if (!strchr(visible, ',')) return OK;
        for (int i = 0; i < host->local_rank && entry; i++) entry = (entry = strchr(entry, ',')) ? entry + 1 : NULL;
        if (!entry)
            return error_set(ERR_USAGE, "CUDA_VISIBLE_DEVICES=%s names fewer GPUs than this host has processes (%d)",
                             visible, host->local_size);
        snprintf(choice, sizeof choice, "%.*s", (int)strcspn(entry, ","), entry);
    }
    setenv("CUDA_VISIBLE_DEVICES", choice, 1);
    cudaError_t code = cudaGetDeviceCount(&count);
    if (code == cudaErrorInsufficientDriver) return error_set(ERR_DEVICE, "cuda: no NVIDIA driver on this machine");
    if (code || !count) return error_set(ERR_DEVICE, "cuda: there is no GPU %s on this host", choice);
    return OK;
}

int nccl_open(struct comm *comm, struct comm *host) {
    setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", 0); /* see nccl_split; read at NCCL's first call */
    int code = comm_agree(host, choose_gpu(host));
    if (!code) code = create(comm, host);
    if (code) comm_abort(host, code);
    return code;
}

#else

#include "base/error.h"

int nccl_open(struct comm *comm, struct comm *host) {
    (void)comm;
    comm_close(host);
    return error_set(ERR_USAGE, "transport \"nccl\" is part of the cuda backend; this program is built for %s",
                     BACKEND_NAME);
}

#endif
