/* tcp.c: the wire of sockets: a connection between every two ranks of a communicator (wire.h). */
#include "comm/host/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/progress.h"

/* Progress of the exchange with one peer. */
struct cursor {
    int sending, receiving; /* piece under way in each direction */
    size_t sent, received;  /* bytes of that piece so far */
};
struct sockets {
    int *fds;               /* [size] */
    struct cursor *cursors; /* [size] */
    struct pollfd *entries; /* [size + 1] */
};

static int is_done(const struct wire *w, int p) {
    const struct cursor *c = &((const struct sockets *)w->state)->cursors[p];
    return p == w->rank || (c->sending == WIRE_PIECES && c->receiving == WIRE_PIECES);
}

/* The rank that the exchange waits for: the first that has not sent all, else the first that has not taken all; -1:
   none. */
static int awaited(const struct wire *w) {
    const struct sockets *s = w->state;
    for (int p = 0; p < w->size; p++)
        if (p != w->rank && s->cursors[p].receiving < WIRE_PIECES) return p;
    for (int p = 0; p < w->size; p++)
        if (p != w->rank && s->cursors[p].sending < WIRE_PIECES) return p;
    return -1;
}

/* Sends as much as the socket takes now. *moved becomes 1 when any byte went. */
static int push(struct wire *w, const struct wire_piece *pieces, int p, int *moved) {
    struct sockets *s = w->state;
    struct cursor *c = &s->cursors[p];
    while (c->sending < WIRE_PIECES) {
        const struct wire_piece *piece = &pieces[c->sending];
        size_t left = piece->send_bytes - c->sent;
        if (!left) {
            c->sending++, c->sent = 0;
            continue;
        }
        ssize_t n = send(s->fds[p], (const char *)piece->send + c->sent, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return OK;
        if (n < 0) return wire_lost(w, p);
        c->sent += (size_t)n;
        *moved = 1;
    }
    return OK;
}

static int pull(struct wire *w, const struct wire_piece *pieces, int p, int *moved) {
    struct sockets *s = w->state;
    struct cursor *c = &s->cursors[p];
    while (c->receiving < WIRE_PIECES) {
        const struct wire_piece *piece = &pieces[c->receiving];
        size_t left = piece->receive_bytes - c->received;
        if (!left) {
            c->receiving++, c->received = 0;
            continue;
        }
        ssize_t n = recv(s->fds[p], (char *)piece->receive + c->received, left, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return OK;
        if (n <= 0) return wire_lost(w, p);
        c->received += (size_t)n;
        *moved = 1;
    }
    return OK;
}

static int wait_for_sockets(struct wire *w) {
    struct sockets *s = w->state;
    for (int p = 0; p < w->size; p++) {
        const struct cursor *c = &s->cursors[p];
        short events = (short)((c->sending < WIRE_PIECES ? POLLOUT : 0) | (c->receiving < WIRE_PIECES ? POLLIN : 0));
        s->entries[p] = (struct pollfd){.fd = p != w->rank && events ? s->fds[p] : -1, .events = events};
    }
    s->entries[w->size] = (struct pollfd){.fd = w->job->alarm, .events = POLLIN};
    return poll(s->entries, (nfds_t)w->size + 1, (int)(1000 * WIRE_TICK));
}

static int exchange(struct wire *w, const struct wire_piece *pieces) {
    struct sockets *s = w->state;
    double since = clock_seconds(), looked = since;
    memset(s->cursors, 0, (size_t)w->size * sizeof *s->cursors);
    for (;;) {
        int moved = 0, open = 0;
        for (int p = 0; p < w->size; p++) {
            const struct wire_piece *own = pieces + (size_t)p * WIRE_PIECES;
            if (is_done(w, p)) continue;
            TRY(push(w, own, p, &moved));
            TRY(pull(w, own, p, &moved));
            open += !is_done(w, p);
        }
        if (!open) return OK;
        if (moved) {
            since = looked = clock_seconds();
            continue;
        }
        wait_for_sockets(w);
        if (s->entries[w->size].revents) TRY(tcp_job_check(w->job));
        if (clock_seconds() - looked >= WIRE_TICK) TRY(wire_look(w, awaited(w), &since, &looked));
    }
}

/* ---- opening ---- */

static void wire_close(struct wire *w) {
    struct sockets *s = w->state;
    for (int p = 0; p < w->size && s->fds; p++) socket_close(&s->fds[p]);
    free(s->fds);
    free(s->cursors);
    free(s->entries);
    free(s);
}

static int wire_open(struct wire *w, struct wire *whole, int colour, int key) {
    size_t n = (size_t)w->size;
    struct sockets *s = w->state = calloc(1, sizeof *s);
    (void)whole, (void)colour, (void)key;
    if (!s) return error_set(ERR_DEVICE, "out of memory");
    s->fds = calloc(n, sizeof *s->fds);
    s->cursors = calloc(n, sizeof *s->cursors);
    s->entries = calloc(n + 1, sizeof *s->entries);
    for (int p = 0; p < w->size && s->fds; p++) s->fds[p] = -1;
    if (!s->fds || !s->cursors || !s->entries) return error_set(ERR_DEVICE, "out of memory for %d ranks", w->size);
    return tcp_job_connect(w->job, s->fds, w->members, w->size, w->id);
}

const struct wire_kind wire_tcp = {.open = wire_open, .close = wire_close, .exchange = exchange};
