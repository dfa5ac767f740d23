/* tcp.c: the wire of sockets: a connection between every two ranks of a communicator (link.h). */
#include "comm/host/tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/progress.h"
#include "comm/host/link.h"

/* How far the pieces of one peer are. */
struct cursor {
    int sending, receiving; /* piece */
    size_t sent, received;  /* of it */
};
struct wire {
    int *sockets;           /* [size] */
    struct cursor *cursors; /* [size] */
    struct pollfd *entries; /* [size + 1] */
};

static int is_done(const struct comm_link *l, int p) {
    const struct cursor *c = &((const struct wire *)l->wire)->cursors[p];
    return p == l->rank || (c->sending == ROUND_PIECES && c->receiving == ROUND_PIECES);
}

/* The first rank that has something to send or to take. */
static int awaited(const struct comm_link *l) {
    const struct wire *w = l->wire;
    for (int p = 0; p < l->size; p++)
        if (p != l->rank && w->cursors[p].receiving < ROUND_PIECES) return p;
    for (int p = 0; p < l->size; p++)
        if (p != l->rank && w->cursors[p].sending < ROUND_PIECES) return p;
    return -1;
}

/* Sends what fits. *moved 1: something went. */
static int push(struct comm_link *l, const struct round_piece *pieces, int p, int *moved) {
    struct wire *w = l->wire;
    struct cursor *c = &w->cursors[p];
    while (c->sending < ROUND_PIECES) {
        const struct round_piece *piece = &pieces[c->sending];
        size_t left = piece->send_bytes - c->sent;
        if (!left) {
            c->sending++, c->sent = 0;
            continue;
        }
        ssize_t n = send(w->sockets[p], (const char *)piece->send + c->sent, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return OK;
        if (n < 0) return link_lost(l, p);
        c->sent += (size_t)n;
        *moved = 1;
    }
    return OK;
}

static int pull(struct comm_link *l, const struct round_piece *pieces, int p, int *moved) {
    struct wire *w = l->wire;
    struct cursor *c = &w->cursors[p];
    while (c->receiving < ROUND_PIECES) {
        const struct round_piece *piece = &pieces[c->receiving];
        size_t left = piece->receive_bytes - c->received;
        if (!left) {
            c->receiving++, c->received = 0;
            continue;
        }
        ssize_t n = recv(w->sockets[p], (char *)piece->receive + c->received, left, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return OK;
        if (n <= 0) return link_lost(l, p);
        c->received += (size_t)n;
        *moved = 1;
    }
    return OK;
}

static int wait_for_sockets(struct comm_link *l) {
    struct wire *w = l->wire;
    for (int p = 0; p < l->size; p++) {
        const struct cursor *c = &w->cursors[p];
        short events = (short)((c->sending < ROUND_PIECES ? POLLOUT : 0) | (c->receiving < ROUND_PIECES ? POLLIN : 0));
        w->entries[p] = (struct pollfd){.fd = p != l->rank && events ? w->sockets[p] : -1, .events = events};
    }
    w->entries[l->size] = (struct pollfd){.fd = l->job->alarm, .events = POLLIN};
    return poll(w->entries, (nfds_t)l->size + 1, (int)(1000 * LINK_TICK));
}

static int exchange(void *link, const struct round_piece *pieces) {
    struct comm_link *l = link;
    struct wire *w = l->wire;
    double since = clock_seconds(), looked = since;
    memset(w->cursors, 0, (size_t)l->size * sizeof *w->cursors);
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
        if (w->entries[l->size].revents) TRY(tcp_job_check(l->job));
        if (clock_seconds() - looked >= LINK_TICK) TRY(link_look(l, awaited(l), &since, &looked));
    }
    link_moved_on(l);
    return OK;
}

/* ---- opening ---- */

static void wire_close(struct comm_link *l) {
    struct wire *w = l->wire;
    for (int p = 0; p < l->size && w->sockets; p++) socket_close(&w->sockets[p]);
    free(w->sockets);
    free(w->cursors);
    free(w->entries);
    free(w);
}

static int wire_open(struct comm_link *l, struct comm_link *whole, int colour, int key) {
    size_t n = (size_t)l->size;
    struct wire *w = l->wire = calloc(1, sizeof *w);
    (void)whole, (void)colour, (void)key;
    if (!w) return error_set(ERR_DEVICE, "out of memory");
    w->sockets = calloc(n, sizeof *w->sockets);
    w->cursors = calloc(n, sizeof *w->cursors);
    w->entries = calloc(n + 1, sizeof *w->entries);
    for (int p = 0; p < l->size && w->sockets; p++) w->sockets[p] = -1;
    if (!w->sockets || !w->cursors || !w->entries) return error_set(ERR_DEVICE, "out of memory for %d ranks", l->size);
    return tcp_job_connect(l->job, w->sockets, l->members, l->size, l->id);
}

int tcp_open(struct comm *comm, const struct launch *launch, const struct comm_options *options, double timeout) {
    static const struct link_wire sockets = {.open = wire_open, .close = wire_close, .exchange = exchange};
    struct tcp_job *job;
    TRY(tcp_job_open(&job, launch, options, timeout));
    return link_open(comm, job, &sockets);
}
