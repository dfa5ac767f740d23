/* rendezvous.c: how the processes of a job find each other (job.h). The wire format is that of the structs below in
   memory. That is safe because builds that differ are refused, by fields at the front. */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/progress.h"
#include "comm/job/job.h"
#include "comm/job/place.h"
#include "kernels/types.h"

enum { GREETING_SECONDS = 5, VERDICT_EXTRA_SECONDS = 2, LATE_SECONDS = 20, AGAIN_SECONDS = 5, CONFIG_MAX = 1 << 20 };
static const char MAGIC[8] = "savatar1";

struct hello {
    char magic[8];
    int32_t rank, size;
    uint32_t program; /* CRC-32 of the executable */
    uint32_t config_bytes;
    int32_t pid, port, local_rank;
    char build[32], host[64];
};
struct verdict {
    char magic[8];
    int32_t code;
    uint32_t unused;
    uint64_t secret;
    char text[TCP_TEXT];
};
struct entry {
    struct socket_address address;
    int32_t pid, local_rank;
    char host[64];
};
/* A process that has come to rank 0. */
struct guest {
    int fd;
    struct hello hello;
    struct socket_address from;
    char *config;
};

static int describe_self(struct hello *h, const struct tcp_job *job, const struct launch *l, const char *config,
                         int port) {
    uint64_t length;
    *h = (struct hello){.rank = l->rank,
                        .size = l->size,
                        .config_bytes = (uint32_t)(config ? strlen(config) : 0),
                        .pid = (int32_t)getpid(),
                        .port = port,
                        .local_rank = job->local_rank};
    memcpy(h->magic, MAGIC, sizeof MAGIC);
    memcpy(h->host, l->host, sizeof h->host);
    snprintf(h->build, sizeof h->build, "%s %s", BACKEND_NAME, TYPE_NAME);
    if (h->config_bytes > CONFIG_MAX) return error_set(ERR_USAGE, "the config is longer than %d bytes", CONFIG_MAX);
    return file_checksum("/proc/self/exe", &length, &h->program);
}

static void take_entry(struct tcp_peer *peer, const struct entry *e) {
    peer->address = e->address;
    peer->pid = e->pid;
    peer->local_rank = e->local_rank;
    memcpy(peer->host, e->host, sizeof peer->host);
}

/* ---- rank 0 ---- */

static int configs_differ(const struct guest *g, const char *config) {
    const char *a = config ? config : "", *b = g->config;
    for (int line = 1; *a || *b; line++) {
        int m = (int)strcspn(a, "\n"), n = (int)strcspn(b, "\n");
        if (m != n || memcmp(a, b, (size_t)m))
            return error_set(ERR_USAGE, "configs differ in line %d: rank %d has \"%.*s\", rank 0 has \"%.*s\"", line,
                             g->hello.rank, n, b, m, a);
        a += m + (a[m] != 0), b += n + (b[n] != 0);
    }
    return OK;
}

static int compare(const struct guest *g, const struct hello *own, const char *config) {
    const struct hello *h = &g->hello;
    if (strncmp(h->build, own->build, sizeof h->build))
        return error_set(ERR_DEVICE, "rank %d runs another build (%.31s) than rank 0 (%.31s)", h->rank, h->build,
                         own->build);
    if (h->program != own->program)
        return error_set(ERR_DEVICE, "rank %d runs another program (checksum %08x) than rank 0 (%08x)", h->rank,
                         h->program, own->program);
    return configs_differ(g, config);
}

/* Receives what a newcomer says of itself; 0: it is no process of a job. */
static int greet(struct guest *g) {
    double deadline = clock_seconds() + GREETING_SECONDS;
    struct hello *h = &g->hello;
    if (socket_receive(g->fd, h, sizeof *h, deadline) || memcmp(h->magic, MAGIC, sizeof MAGIC)) return 0;
    if (h->config_bytes > CONFIG_MAX || !(g->config = calloc(1, h->config_bytes + 1))) return 0;
    h->build[sizeof h->build - 1] = h->host[sizeof h->host - 1] = 0;
    return socket_receive(g->fd, g->config, h->config_bytes, deadline) == OK;
}

static int seat(struct guest *guests, const struct guest *g, int size) {
    int r = g->hello.rank;
    if (g->hello.size != size)
        return error_set(ERR_USAGE, "WORLD_SIZE is %d on rank %d and %d on rank 0", g->hello.size, r, size);
    if (r < 1 || r >= size || guests[r].fd >= 0)
        return error_set(ERR_USAGE, "rank %d was given twice: to process %d on %s and to %s %d on %s", r, g->hello.pid,
                         g->hello.host, "process", r >= 1 && r < size ? guests[r].hello.pid : (int)getpid(),
                         r >= 1 && r < size ? guests[r].hello.host : "rank 0's host");
    guests[r] = *g;
    return OK;
}

static int missing(const struct guest *guests, int size, double seconds) {
    char list[160] = "";
    size_t used = 0;
    int count = 0;
    for (int r = 1; r < size; r++) {
        if (guests[r].fd >= 0) continue;
        if (count++ < 16) used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", r);
    }
    return error_set(ERR_DEVICE, "%d of %d ranks did not come within %.0f s: %s%s", count, size, seconds, list,
                     count > 16 ? ", ..." : "");
}

/* Waits for a newcomer at the door, or the deadline. Those who have come have nothing to say now: a connection that
   becomes readable is one that has closed, and that rank is named as gone, not as late. */
static int await_next(struct tcp_job *job, const struct guest *guests, struct pollfd *entries, double deadline) {
    entries[0] = (struct pollfd){.fd = door_bell(job->door), .events = POLLIN};
    for (int r = 1; r < job->size; r++) entries[r] = (struct pollfd){.fd = guests[r].fd, .events = POLLIN};
    for (;;) {
        double left = deadline - clock_seconds();
        int n = poll(entries, (nfds_t)job->size, left > 0 ? (int)(1000 * left) + 1 : 0);
        for (int r = 1; r < job->size && n > 0; r++)
            if (entries[r].revents)
                return error_set(ERR_DEVICE, "rank %d (%s, process %d) closed its connection before all had met", r,
                                 guests[r].hello.host, guests[r].hello.pid);
        if (n > 0 || left <= 0) return OK;
    }
}

static int take_guest(struct tcp_job *job, double deadline, struct guest *g) {
    struct door_guest came;
    TRY(door_take(job->door, 0, DOOR_MEETING, deadline, &came));
    *g = (struct guest){.fd = came.fd, .from = came.from};
    return OK;
}

static int gather(struct tcp_job *job, struct guest *guests, struct pollfd *entries, double deadline) {
    for (int here = 1; here < job->size;) {
        struct guest g;
        TRY(await_next(job, guests, entries, deadline));
        TRY(take_guest(job, clock_seconds(), &g));
        if (g.fd < 0 && clock_seconds() < deadline) continue;
        if (g.fd < 0) return missing(guests, job->size, job->connect_timeout);
        if (!greet(&g)) {
            free(g.config);
            socket_close(&g.fd);
            continue;
        }
        int code = seat(guests, &g, job->size);
        if (code) {
            struct verdict refusal = {.code = code};
            memcpy(refusal.magic, MAGIC, sizeof MAGIC);
            snprintf(refusal.text, sizeof refusal.text, "%s", error_text());
            socket_send(g.fd, &refusal, sizeof refusal, clock_seconds() + 1);
            free(g.config);
            socket_close(&g.fd);
            return error_set(code, "%s", refusal.text);
        }
        here++;
    }
    return OK;
}

/* Refuses those who come after the meeting has failed, who would wait in vain. */
static void tell_late_ones(struct tcp_job *job, const struct guest *guests, const struct verdict *verdict,
                           double deadline) {
    int left = 0;
    for (int r = 1; r < job->size; r++) left += guests[r].fd < 0;
    if (deadline > clock_seconds() + LATE_SECONDS) deadline = clock_seconds() + LATE_SECONDS;
    while (left) {
        struct guest g;
        if (take_guest(job, deadline, &g) || g.fd < 0) return;
        if (greet(&g) && !socket_send(g.fd, verdict, sizeof *verdict, clock_seconds() + 1)) left--;
        free(g.config);
        socket_close(&g.fd);
    }
}

static int send_list(struct tcp_job *job, struct guest *guests, const struct hello *own) {
    size_t bytes = (size_t)job->size * sizeof(struct entry);
    struct entry *list = calloc((size_t)job->size, sizeof *list);
    if (!list) return error_set(ERR_DEVICE, "out of memory for the list of %d ranks", job->size);
    for (int r = 0; r < job->size; r++) {
        const struct hello *h = r ? &guests[r].hello : own;
        list[r] = (struct entry){.pid = h->pid, .local_rank = h->local_rank};
        if (r) {
            list[r].address = guests[r].from;
            socket_set_port(&list[r].address, h->port);
        }
        memcpy(list[r].host, h->host, sizeof list[r].host);
        take_entry(&job->peers[r], &list[r]);
    }
    int code = OK;
    for (int r = 1; r < job->size && !code; r++)
        if (socket_send(guests[r].fd, list, bytes, clock_seconds() + job->timeout))
            code = error_context(ERR_DEVICE, "rank %d (%s)", r, job->peers[r].host);
    free(list);
    return code;
}

static int receive_guests(struct tcp_job *job, const struct hello *own, const char *config) {
    struct guest *guests = calloc((size_t)job->size, sizeof *guests);
    struct pollfd *entries = calloc((size_t)job->size, sizeof *entries);
    double deadline = clock_seconds() + job->connect_timeout;
    for (int r = 0; r < job->size && guests; r++) guests[r].fd = -1;
    int code = guests && entries ? gather(job, guests, entries, deadline)
                                 : error_set(ERR_DEVICE, "out of memory for %d ranks", job->size);
    free(entries);
    for (int r = 1; r < job->size && !code; r++) code = compare(&guests[r], own, config);
    struct verdict verdict = {.code = code};
    memcpy(verdict.magic, MAGIC, sizeof MAGIC);
    if (code) snprintf(verdict.text, sizeof verdict.text, "%s", error_text());
    if (getrandom(&job->secret, sizeof job->secret, 0) != sizeof job->secret)
        job->secret = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15u + (uint64_t)getpid();
    verdict.secret = job->secret;
    for (int r = 1; r < job->size && guests; r++)
        if (guests[r].fd >= 0) socket_send(guests[r].fd, &verdict, sizeof verdict, clock_seconds() + 1);
    if (code == ERR_DEVICE && guests) tell_late_ones(job, guests, &verdict, deadline);
    if (!code) code = send_list(job, guests, own);
    for (int r = 0; r < job->size && guests; r++) {
        free(guests[r].config);
        socket_close(&guests[r].fd);
    }
    free(guests);
    return code ? error_set(code, "%s", verdict.code ? verdict.text : error_text()) : OK;
}

/* ---- the others ---- */

/* Reads rank 0's verdict. *lost 1: the connection ended before there was one. */
static int hear_verdict(struct tcp_job *job, int fd, const struct hello *own, const char *config, int *lost) {
    double deadline = clock_seconds() + job->connect_timeout + VERDICT_EXTRA_SECONDS;
    struct verdict verdict;
    *lost = 1;
    TRY(socket_send(fd, own, sizeof *own, deadline));
    TRY(socket_send(fd, config, own->config_bytes, deadline));
    TRY(socket_receive(fd, &verdict, sizeof verdict, deadline));
    *lost = 0;
    if (memcmp(verdict.magic, MAGIC, sizeof MAGIC))
        return error_set(ERR_DEVICE, "the process that answers there is not rank 0");
    verdict.text[sizeof verdict.text - 1] = 0;
    if (verdict.code) return error_set(verdict.code == ERR_USAGE ? ERR_USAGE : ERR_DEVICE, "%s", verdict.text);
    job->secret = verdict.secret;
    for (int r = 0; r < job->size; r++) {
        struct entry e;
        TRY(socket_receive(fd, &e, sizeof e, deadline));
        e.host[sizeof e.host - 1] = 0;
        take_entry(&job->peers[r], &e);
    }
    return OK;
}

/* Sets rank 0's address to the one where it was met; a rank that reached it over the loopback is on its host. */
static void settle_addresses(struct tcp_job *job, const struct socket_address *met) {
    for (int r = 0; r < job->size; r++) {
        struct socket_address *a = &job->peers[r].address;
        int same_host = r == 0 || (socket_is_loopback(a) && !socket_is_loopback(met));
        if (!same_host) continue;
        int own = socket_port(a);
        *a = *met;
        if (r) socket_set_port(a, own);
    }
}

/* Joins the job. A rank that loses the connection before the verdict may have met an earlier start of
   the job just as that ended, or was too slow for rank 0. It looks again, but only for a few seconds,
   because rank 0 may have ended for good. */
static int call_on_rank_0(struct tcp_job *job, const struct launch *l, const struct hello *own, const char *config) {
    struct socket_address met;
    char text[96], why[TCP_TEXT] = "";
    double deadline = clock_seconds() + job->connect_timeout;
    int fd, code, lost;
    do {
        code = place_find(l, deadline, &fd, &met);
        if (code && why[0]) return error_set(ERR_DEVICE, "%s", why);
        if (code == ERR_DEVICE) return error_context(code, "rank 0 was not met within %.0f s", job->connect_timeout);
        TRY(code);
        code = hear_verdict(job, fd, own, config ? config : "", &lost);
        socket_close(&fd);
        socket_text(&met, text, sizeof text);
        if (code == ERR_DEVICE) error_context(code, "rank 0 at %s", text);
        if (code && lost && !why[0]) {
            snprintf(why, sizeof why, "%s", error_text());
            deadline = fmin(deadline, clock_seconds() + AGAIN_SECONDS);
        }
    } while (code && lost && clock_seconds() < deadline);
    if (!code) settle_addresses(job, &met);
    return code;
}

/* ---- both ---- */

int tcp_rendezvous(struct tcp_job *job, const struct launch *l, const char *config) {
    struct hello own;
    int listener = l->listener, port = l->port;
    if (listener < 0) TRY(place_listen(l, &listener, &port));
    TRY(door_open(&job->door, listener, l->mark, l->rank == 0));
    TRY(describe_self(&own, job, l, config, port));
    if (l->rank) return call_on_rank_0(job, l, &own, config);
    int code = receive_guests(job, &own, config);
    door_end_meeting(job->door);
    return code;
}
