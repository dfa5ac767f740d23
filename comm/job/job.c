/* job.c: opening and closing a job over TCP, connections between its processes, its one failure (job.h). */
#include "comm/job/job.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/progress.h"

static const double LOST_SECONDS = 1; /* time for the control thread to learn why a connection broke */
static const uint64_t CONTROL_ID = 1;

/* ---- failure ---- */

void tcp_job_fail(struct tcp_job *job, const char *format, ...) {
    va_list list;
    va_start(list, format);
    pthread_mutex_lock(&job->lock);
    if (!job->failure) {
        vsnprintf(job->reason, sizeof job->reason, format, list);
        job->failure = job->announce = 1;
        job->failure_time = clock_seconds();
        eventfd_write(job->alarm, 1);
        eventfd_write(job->nudge, 1);
    }
    pthread_mutex_unlock(&job->lock);
    va_end(list);
}

int tcp_job_check(struct tcp_job *job) {
    pthread_mutex_lock(&job->lock);
    int code = job->failure ? error_set(ERR_DEVICE, "%s", job->reason) : OK;
    pthread_mutex_unlock(&job->lock);
    return code;
}

void tcp_job_noticed(struct tcp_job *job) {
    pthread_mutex_lock(&job->lock);
    job->noticed = 1;
    pthread_mutex_unlock(&job->lock);
}

int tcp_job_lost(struct tcp_job *job, int rank, const char *during) {
    struct pollfd alarm = {.fd = job->alarm, .events = POLLIN};
    char name[160];
    poll(&alarm, 1, (int)(1000 * LOST_SECONDS));
    tcp_job_name(job, rank, name, sizeof name);
    pthread_mutex_lock(&job->lock);
    int left = job->peers[rank].left;
    pthread_mutex_unlock(&job->lock);
    tcp_job_fail(job, left ? "%s left before %s" : "%s closed its connection in %s", name, during);
    return tcp_job_check(job);
}

void tcp_job_name(const struct tcp_job *job, int rank, char *text, size_t size) {
    snprintf(text, size, "rank %d (%s, process %d)", rank, job->peers[rank].host, job->peers[rank].pid);
}

/* ---- what the control thread tells the others ---- */

void tcp_job_busy(struct tcp_job *job, const char *why) {
    pthread_mutex_lock(&job->lock);
    snprintf(job->busy, sizeof job->busy, "%s", why ? why : "");
    pthread_mutex_unlock(&job->lock);
    eventfd_write(job->nudge, 1);
}

void tcp_job_publish(struct tcp_job *job, int64_t number) {
    pthread_mutex_lock(&job->lock);
    job->published = number;
    pthread_mutex_unlock(&job->lock);
    eventfd_write(job->nudge, 1);
}

int tcp_job_progress_of(struct tcp_job *job, int rank, int64_t *number) {
    pthread_mutex_lock(&job->lock);
    const struct tcp_peer *p = &job->peers[rank];
    *number = rank == job->rank ? job->published : p->published;
    int left = p->left, failed = job->failure;
    pthread_mutex_unlock(&job->lock);
    if (failed) return tcp_job_check(job);
    return left ? error_set(ERR_DEVICE, "rank %d has left", rank) : OK;
}

void tcp_job_waits_for(struct tcp_job *job, int rank) {
    pthread_mutex_lock(&job->lock);
    job->waiting_for = rank;
    pthread_mutex_unlock(&job->lock);
}

int tcp_job_culprit(struct tcp_job *job, int rank, int *busy) {
    pthread_mutex_lock(&job->lock);
    for (int hops = 0; hops < job->size; hops++) {
        int next = job->peers[rank].waiting_for;
        if (next < 0 || next >= job->size || next == job->rank || job->peers[rank].busy) break;
        rank = next;
    }
    *busy = job->peers[rank].busy;
    pthread_mutex_unlock(&job->lock);
    return rank;
}

int tcp_job_quiet(struct tcp_job *job, int rank) {
    pthread_mutex_lock(&job->lock);
    const struct tcp_peer *p = &job->peers[rank];
    int quiet = rank != job->rank && p->control >= 0 && clock_seconds() - p->heard > job->timeout / 2;
    pthread_mutex_unlock(&job->lock);
    return quiet;
}

void tcp_job_reached(struct tcp_job *job) {
    pthread_mutex_lock(&job->lock);
    job->reached++;
    pthread_mutex_unlock(&job->lock);
}

int tcp_job_last(struct tcp_job *job, int *busy) {
    int rank = -1;
    pthread_mutex_lock(&job->lock);
    int64_t least = job->reached;
    for (int r = 0; r < job->size; r++)
        if (r != job->rank && job->peers[r].reached < least) least = job->peers[rank = r].reached;
    *busy = rank >= 0 && job->peers[rank].busy;
    pthread_mutex_unlock(&job->lock);
    return rank;
}

/* ---- connections ---- */

static int find(const int *members, int count, int rank) {
    for (int i = 0; i < count; i++)
        if (members[i] == rank) return i;
    return -1;
}

/* Connects to a rank and waits until its door has let this process in. */
static int call_once(int *fd, const struct socket_address *at, const struct door_word *word, double deadline) {
    struct door_answer answer;
    TRY(socket_connect(fd, at, deadline));
    int code = socket_send(*fd, word, sizeof *word, deadline);
    if (!code) code = socket_receive(*fd, &answer, sizeof answer, deadline);
    if (!code && !door_let_in(&answer, word->mark))
        code = error_set(ERR_DEVICE, "the process that answers there does not belong to this job");
    if (code) socket_close(fd);
    return code;
}

/* Connects, and again when it was turned away: on a loaded machine the first word may come later than a door waits. */
static int call_lower(struct tcp_job *job, int *fd, int rank, uint64_t id) {
    enum { PAUSE_MS = 50 };
    struct door_word word = {.mark = job->mark, .secret = job->secret, .id = id, .rank = job->rank};
    double deadline = clock_seconds() + job->timeout;
    char name[160];
    int code;
    while ((code = call_once(fd, &job->peers[rank].address, &word, deadline)) && clock_seconds() < deadline) {
        TRY(tcp_job_check(job));
        poll(NULL, 0, PAUSE_MS);
    }
    if (!code) return OK;
    tcp_job_name(job, rank, name, sizeof name);
    return error_context(code, "%s", name);
}

static int await_higher(struct tcp_job *job, int *fds, const int *members, int count, uint64_t id) {
    static const double PATIENCE = 0.1; /* seconds between looks at whether the job has failed meanwhile */
    double deadline = clock_seconds() + job->timeout;
    int wanted = 0;
    for (int i = 0; i < count; i++) wanted += members[i] > job->rank;
    while (wanted) {
        struct door_guest guest;
        TRY(tcp_job_check(job));
        TRY(door_take(job->door, job->secret, id, clock_seconds() + PATIENCE, &guest));
        int i = guest.fd >= 0 ? find(members, count, guest.word.rank) : -1;
        int expected = i >= 0 && members[i] > job->rank && fds[i] < 0;
        if (expected)
            fds[i] = guest.fd, wanted--;
        else
            socket_close(&guest.fd);
        if (expected || clock_seconds() < deadline) continue;
        int late = 0;
        while (members[late] <= job->rank || fds[late] >= 0) late++;
        char name[160];
        tcp_job_name(job, members[late], name, sizeof name);
        return error_set(ERR_DEVICE, "%s has not connected for %.0f s", name, job->timeout);
    }
    return OK;
}

int tcp_job_connect(struct tcp_job *job, int *fds, const int *members, int count, uint64_t id) {
    int code = OK;
    for (int i = 0; i < count; i++) fds[i] = -1;
    for (int i = 0; i < count && !code; i++)
        if (members[i] < job->rank) code = call_lower(job, &fds[i], members[i], id);
    if (!code) code = await_higher(job, fds, members, count, id);
    if (code)
        for (int i = 0; i < count; i++) socket_close(&fds[i]);
    return code;
}

static int connect_control(struct tcp_job *job) {
    int *everyone = calloc((size_t)job->size, sizeof *everyone), *fds = calloc((size_t)job->size, sizeof *fds);
    int code = everyone && fds ? OK : error_set(ERR_DEVICE, "out of memory for %d ranks", job->size);
    for (int r = 0; r < job->size && !code; r++) everyone[r] = r;
    if (!code) code = tcp_job_connect(job, fds, everyone, job->size, CONTROL_ID);
    for (int r = 0; r < job->size && !code; r++) job->peers[r].control = fds[r];
    free(everyone);
    free(fds);
    return code;
}

/* ---- the job ---- */

/* Where the starter did not say: counts the ranks of this host's name, and those of them that come before this one. */
static void count_locals(struct tcp_job *job) {
    int before = 0, all = 0;
    for (int r = 0; r < job->size; r++) {
        int here = !strcmp(job->peers[r].host, job->peers[job->rank].host);
        all += here;
        before += here && r < job->rank;
    }
    if (job->local_rank < 0) job->local_rank = before;
    if (job->local_size < 0) job->local_size = all;
}

static int start(struct tcp_job *job, const struct launch *launch, const struct comm_options *options) {
    job->peers = calloc((size_t)job->size, sizeof *job->peers);
    if (!job->peers) return error_set(ERR_DEVICE, "out of memory for %d ranks", job->size);
    for (int r = 0; r < job->size; r++) job->peers[r].control = job->peers[r].waiting_for = -1;
    job->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->nudge < 0 || job->alarm < 0) return error_set(ERR_DEVICE, "cannot make an event descriptor");
    TRY(tcp_rendezvous(job, launch, options->config));
    count_locals(job);
    TRY(connect_control(job));
    return tcp_control_start(job);
}

int tcp_job_open(struct tcp_job **made, const struct launch *l, const struct comm_options *options, double timeout) {
    struct tcp_job *job = calloc(1, sizeof *job);
    if (!job) return error_set(ERR_DEVICE, "out of memory");
    *job = (struct tcp_job){.rank = l->rank,
                            .size = l->size,
                            .local_rank = l->local_rank,
                            .local_size = l->local_size,
                            .mark = l->mark,
                            .timeout = timeout,
                            .connect_timeout = options->connect_timeout > 0 ? options->connect_timeout : 60,
                            .failed = options->failed,
                            .context = options->context,
                            .nudge = -1,
                            .alarm = -1,
                            .waiting_for = -1};
    pthread_mutex_init(&job->lock, NULL);
    int code = start(job, l, options);
    if (code)
        tcp_job_close(job);
    else
        *made = job;
    return code;
}

void tcp_job_close(struct tcp_job *job) {
    tcp_control_stop(job);
    for (int r = 0; r < job->size && job->peers; r++) socket_close(&job->peers[r].control);
    door_close(job->door);
    socket_close(&job->nudge);
    socket_close(&job->alarm);
    pthread_mutex_destroy(&job->lock);
    free(job->peers);
    free(job);
}
