/* control.c: the control thread of a process (job.h): signs of life, farewells, failures. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/progress.h"
#include "comm/job/job.h"

static const double FAREWELL_SECONDS = 2; /* wait for the others to close their ends of the connections */
static const double NOTICE_SECONDS = 3; /* time for the program to make a call that fails, before `failed` is called */

/* ---- sending ---- */

/* Sends as much as the socket takes now; the rest of a message goes out before the next one. */
static void flush_out(struct tcp_peer *p) {
    while (p->control >= 0 && p->out_used < p->out_size) {
        ssize_t n = send(p->control, (char *)&p->out + p->out_used, p->out_size - p->out_used, MSG_NOSIGNAL);
        if (n <= 0) return; /* the socket is full, or broken: reading will tell which */
        p->out_used += (size_t)n;
    }
    p->out_used = p->out_size = 0;
}

/* Queues a message. A sign of life is dropped where the one before still waits to be sent; the last word never is. */
static void say(struct tcp_peer *p, const struct tcp_message *m) {
    flush_out(p);
    if (p->control < 0 || (p->out_size && m->word == TCP_ALIVE)) return;
    if (p->out_size &&
        socket_send(p->control, (char *)&p->out + p->out_used, p->out_size - p->out_used, clock_seconds() + 1))
        return;
    p->out = *m;
    p->out_used = 0, p->out_size = sizeof *m;
    flush_out(p);
}

static void say_to_all(struct tcp_job *job, const struct tcp_message *m) {
    for (int r = 0; r < job->size; r++) say(&job->peers[r], m);
}

static void give_sign(struct tcp_job *job) {
    struct tcp_message alive = {.word = TCP_ALIVE}, failed = {.word = TCP_FAILED};
    pthread_mutex_lock(&job->lock);
    alive.waiting_for = job->waiting_for;
    alive.reached = job->reached;
    alive.published = job->published;
    memcpy(alive.text, job->busy, sizeof alive.text);
    int announce = job->announce;
    job->announce = 0;
    memcpy(failed.text, job->reason, sizeof failed.text);
    pthread_mutex_unlock(&job->lock);
    say_to_all(job, announce ? &failed : &alive);
}

/* ---- receiving ---- */

static void adopt(struct tcp_job *job, const char *reason) {
    pthread_mutex_lock(&job->lock);
    if (!job->failure) {
        job->failure = 1;
        job->failure_time = clock_seconds();
        snprintf(job->reason, sizeof job->reason, "%s", reason);
        eventfd_write(job->alarm, 1);
    }
    pthread_mutex_unlock(&job->lock);
}

static void hear(struct tcp_job *job, struct tcp_peer *p) {
    struct tcp_message *m = &p->in;
    m->text[sizeof m->text - 1] = 0;
    pthread_mutex_lock(&job->lock);
    p->heard = clock_seconds();
    p->left |= m->word == TCP_BYE;
    p->busy = m->word == TCP_ALIVE && m->text[0];
    if (m->word == TCP_ALIVE) p->reached = m->reached, p->published = m->published;
    p->waiting_for = m->word == TCP_ALIVE ? m->waiting_for : -1;
    pthread_mutex_unlock(&job->lock);
    if (m->word == TCP_FAILED) adopt(job, m->text);
    if (m->word == TCP_BYE) socket_close(&p->control);
}

static void receive(struct tcp_job *job, int rank) {
    struct tcp_peer *p = &job->peers[rank];
    char name[160];
    while (p->control >= 0) {
        ssize_t n = recv(p->control, (char *)&p->in + p->in_used, sizeof p->in - p->in_used, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            socket_close(&p->control);
            tcp_job_name(job, rank, name, sizeof name);
            tcp_job_fail(job, "%s closed its connection", name);
            return;
        }
        p->in_used += (size_t)n;
        if (p->in_used < sizeof p->in) continue;
        p->in_used = 0;
        hear(job, p);
    }
}

static void look_for_silence(struct tcp_job *job, double now) {
    char name[160];
    for (int r = 0; r < job->size; r++) {
        struct tcp_peer *p = &job->peers[r];
        pthread_mutex_lock(&job->lock);
        double silent = p->control >= 0 ? now - p->heard : 0;
        pthread_mutex_unlock(&job->lock);
        if (silent <= job->timeout) continue;
        tcp_job_name(job, r, name, sizeof name);
        tcp_job_fail(job, "%s has given no sign of life for %.0f s", name, silent);
    }
}

/* Forgives the others' silence after this process, or the whole machine, was stopped:
   what they said meanwhile has not been read yet. */
static void forgive(struct tcp_job *job, double now) {
    pthread_mutex_lock(&job->lock);
    for (int r = 0; r < job->size; r++) job->peers[r].heard = now;
    pthread_mutex_unlock(&job->lock);
}

/* Calls `failed` when the job has failed and the program has not noticed: it may be far from its next collective. */
static void call_program(struct tcp_job *job, double now) {
    pthread_mutex_lock(&job->lock);
    int due = job->failed && job->failure && !job->noticed && !job->leaving && now > job->failure_time + NOTICE_SECONDS;
    if (due) job->noticed = 1;
    pthread_mutex_unlock(&job->lock);
    if (due) job->failed(job->context, job->reason);
}

/* ---- the thread ---- */

static int wait_for_words(struct tcp_job *job, struct pollfd *entries, double seconds) {
    for (int r = 0; r < job->size; r++) {
        const struct tcp_peer *p = &job->peers[r];
        entries[r] = (struct pollfd){.fd = p->control, .events = (short)(POLLIN | (p->out_size ? POLLOUT : 0))};
    }
    entries[job->size] = (struct pollfd){.fd = job->nudge, .events = POLLIN};
    return poll(entries, (nfds_t)job->size + 1, (int)(1000 * seconds) + 1);
}

/* Reads and drops what still comes, and closes connections whose other end is closed.
   Returns the number of open ones. */
static int drain(struct tcp_job *job) {
    int open = 0;
    for (int r = 0; r < job->size; r++) {
        char waste[4096];
        int *fd = &job->peers[r].control;
        ssize_t n = 1;
        while (*fd >= 0 && n > 0) n = recv(*fd, waste, sizeof waste, 0);
        if (*fd >= 0 && (n == 0 || (errno != EAGAIN && errno != EINTR))) socket_close(fd);
        open += *fd >= 0;
    }
    return open;
}

static void farewell(struct tcp_job *job, struct pollfd *entries) {
    struct tcp_message bye = {.word = TCP_BYE};
    double deadline = clock_seconds() + FAREWELL_SECONDS;
    give_sign(job); /* sends the reason of a failure before the farewell */
    say_to_all(job, &bye);
    for (int r = 0; r < job->size; r++)
        if (job->peers[r].control >= 0) shutdown(job->peers[r].control, SHUT_WR);
    /* closing with bytes unread would break the connection before the other end has read the last message */
    while (drain(job) && clock_seconds() < deadline) {
        for (int r = 0; r < job->size; r++) entries[r] = (struct pollfd){.fd = job->peers[r].control, .events = POLLIN};
        poll(entries, (nfds_t)job->size, 100);
    }
}

static int leaving(struct tcp_job *job) {
    pthread_mutex_lock(&job->lock);
    int yes = job->leaving;
    pthread_mutex_unlock(&job->lock);
    return yes;
}

static void *control(void *argument) {
    struct tcp_job *job = argument;
    struct pollfd *entries = calloc((size_t)job->size + 1, sizeof *entries);
    double beat = job->timeout / 8 < 1 ? job->timeout / 8 : 1, last = clock_seconds(), signed_at = 0;
    if (!entries) tcp_job_fail(job, "out of memory for the control thread");
    while (entries && !leaving(job)) {
        uint64_t count;
        if (wait_for_words(job, entries, beat) < 0 && errno != EINTR) break;
        double now = clock_seconds();
        int nudged = entries[job->size].revents && read(job->nudge, &count, sizeof count) > 0;
        if (now - last > job->timeout / 2) forgive(job, now);
        last = now;
        for (int r = 0; r < job->size; r++) {
            flush_out(&job->peers[r]);
            receive(job, r);
        }
        if (nudged || now - signed_at >= beat) give_sign(job), signed_at = now;
        look_for_silence(job, clock_seconds());
        call_program(job, now);
    }
    if (entries) farewell(job, entries);
    free(entries);
    return NULL;
}

int tcp_control_start(struct tcp_job *job) {
    for (int r = 0; r < job->size; r++) job->peers[r].heard = clock_seconds();
    if (pthread_create(&job->thread, NULL, control, job)) return error_set(ERR_DEVICE, "cannot start a thread");
    job->running = 1;
    return OK;
}

void tcp_control_stop(struct tcp_job *job) {
    if (!job->running) return;
    pthread_mutex_lock(&job->lock);
    job->leaving = 1;
    pthread_mutex_unlock(&job->lock);
    eventfd_write(job->nudge, 1);
    pthread_join(job->thread, NULL);
    job->running = 0;
}
