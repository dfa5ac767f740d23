/* door.c: see door.h. */
#include "comm/job/door.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"

static const char MAGIC[8] = "savatar2";
static const double PATIENCE = 0.8; /* seconds that a connection has for its first word */
enum { OUTSIDE = 64, NAMED = 64 };

/* A connection whose first word is not complete yet. */
struct visitor {
    struct door_guest guest; /* fd -1: none */
    size_t got;              /* bytes of the word so far */
    double until;
};
struct inside {
    struct door_guest guest;
    struct inside *next;
};
struct door {
    int listener;
    uint64_t mark;
    struct visitor outside[OUTSIDE];
    struct socket_address named[NAMED]; /* strangers that were logged, without their ports; for the thread only */
    int names;
    pthread_t thread;
    int running;
    int bell, stop; /* eventfds */
    pthread_mutex_t lock;
    /* guarded by the lock */
    int meeting;
    int failure;           /* errno of accept, once it has failed; 0 before */
    struct inside *inside; /* list of those inside, in the order in which they came */
};

int door_let_in(const struct door_answer *answer, uint64_t mark) {
    return !memcmp(answer->magic, MAGIC, sizeof MAGIC) && answer->mark == mark;
}

/* ---- the thread ---- */

static void name_stranger(struct door *d, const struct socket_address *from) {
    struct socket_address address = *from;
    char text[96];
    socket_set_port(&address, 0);
    for (int i = 0; i < d->names; i++)
        if (socket_same(&d->named[i], &address)) return;
    if (d->names < NAMED) d->named[d->names++] = address;
    socket_text(from, text, sizeof text);
    log_line("closed a connection from %s, which does not belong to this job", text);
}

static void turn_away(struct door *d, struct visitor *v, int stranger) {
    if (stranger) name_stranger(d, &v->guest.from);
    socket_close(&v->guest.fd);
}

static void let_in(struct door *d, struct visitor *v) {
    struct door_answer answer = {.mark = d->mark};
    struct inside *new = calloc(1, sizeof *new), **end = &d->inside;
    int looks_for_rank_0 = v->guest.word.id == DOOR_MEETING;
    memcpy(answer.magic, MAGIC, sizeof MAGIC);
    pthread_mutex_lock(&d->lock);
    int welcome = new && (d->meeting || !looks_for_rank_0);
    /* a fresh connection has room for these few bytes */
    if (welcome) welcome = send(v->guest.fd, &answer, sizeof answer, MSG_NOSIGNAL) == sizeof answer;
    if (welcome) {
        while (*end) end = &(*end)->next;
        new->guest = v->guest;
        *end = new;
        v->guest.fd = -1;
        eventfd_write(d->bell, 1);
    }
    pthread_mutex_unlock(&d->lock);
    if (welcome) return;
    free(new);
    turn_away(d, v, 0);
}

static void hear(struct door *d, struct visitor *v, double now) {
    char *word = (char *)&v->guest.word;
    while (v->got < sizeof v->guest.word) {
        ssize_t n = recv(v->guest.fd, word + v->got, sizeof v->guest.word - v->got, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN && now < v->until) return;
        if (n <= 0) break;
        v->got += (size_t)n;
        if (v->got >= sizeof v->guest.word.mark && v->guest.word.mark != d->mark) break;
    }
    if (v->got == sizeof v->guest.word && v->guest.word.mark == d->mark)
        let_in(d, v);
    else
        turn_away(d, v, 1);
}

static struct visitor *free_place(struct door *d) {
    for (int i = 0; i < OUTSIDE; i++)
        if (d->outside[i].guest.fd < 0) return &d->outside[i];
    return NULL;
}

/* Accepts connections that wait, as long as there is a place for them. */
static void accept_all(struct door *d, double now) {
    struct visitor *v;
    while ((v = free_place(d))) {
        *v = (struct visitor){.until = now + PATIENCE};
        int code = socket_accept(d->listener, &v->guest.fd, &v->guest.from);
        if (code) {
            pthread_mutex_lock(&d->lock);
            d->failure = errno;
            eventfd_write(d->bell, 1);
            pthread_mutex_unlock(&d->lock);
            poll(NULL, 0, 100);
        }
        if (v->guest.fd < 0) return;
    }
}

static void *attend(void *argument) {
    struct door *d = argument;
    struct pollfd entries[OUTSIDE + 2];
    enum { LISTENER = OUTSIDE, STOP };
    for (;;) {
        int full = !free_place(d), waiting = 0;
        for (int i = 0; i < OUTSIDE; i++) {
            entries[i] = (struct pollfd){.fd = d->outside[i].guest.fd, .events = POLLIN};
            waiting |= entries[i].fd >= 0;
        }
        entries[LISTENER] = (struct pollfd){.fd = full ? -1 : d->listener, .events = POLLIN};
        entries[STOP] = (struct pollfd){.fd = d->stop, .events = POLLIN};
        poll(entries, OUTSIDE + 2, waiting ? 50 : -1);
        if (entries[STOP].revents) return NULL;
        double now = clock_seconds();
        for (int i = 0; i < OUTSIDE; i++)
            if (entries[i].fd >= 0 && (entries[i].revents || now >= d->outside[i].until)) hear(d, &d->outside[i], now);
        if (entries[LISTENER].revents) accept_all(d, now);
    }
}

/* ---- the others' side ---- */

int door_open(struct door **made, int listener, uint64_t mark, int meeting) {
    struct door *d = calloc(1, sizeof *d);
    if (!d) {
        socket_close(&listener);
        return error_set(ERR_DEVICE, "out of memory");
    }
    *d = (struct door){.listener = listener, .mark = mark, .meeting = meeting};
    for (int i = 0; i < OUTSIDE; i++) d->outside[i].guest.fd = -1;
    pthread_mutex_init(&d->lock, NULL);
    d->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    d->running = d->bell >= 0 && d->stop >= 0 && !pthread_create(&d->thread, NULL, attend, d);
    if (!d->running) {
        door_close(d);
        return error_set(ERR_DEVICE, "cannot start the thread that lets the others in");
    }
    *made = d;
    return OK;
}

void door_end_meeting(struct door *d) {
    pthread_mutex_lock(&d->lock);
    d->meeting = 0;
    for (struct inside **link = &d->inside; *link;) {
        struct inside *i = *link;
        if (i->guest.word.id != DOOR_MEETING) {
            link = &i->next;
            continue;
        }
        *link = i->next;
        socket_close(&i->guest.fd);
        free(i);
    }
    pthread_mutex_unlock(&d->lock);
}

void door_close(struct door *d) {
    if (!d) return;
    if (d->running) {
        eventfd_write(d->stop, 1);
        pthread_join(d->thread, NULL);
    }
    for (int i = 0; i < OUTSIDE; i++) socket_close(&d->outside[i].guest.fd);
    while (d->inside) {
        struct inside *first = d->inside;
        d->inside = first->next;
        socket_close(&first->guest.fd);
        free(first);
    }
    socket_close(&d->listener);
    socket_close(&d->bell);
    socket_close(&d->stop);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

int door_bell(const struct door *d) { return d->bell; }

/* Takes a fitting connection from the list; 1: there was one. Where there was none the bell is reset. */
static int take_now(struct door *d, uint64_t secret, uint64_t id, struct door_guest *guest, int *failure) {
    eventfd_t rung;
    int found = 0;
    pthread_mutex_lock(&d->lock);
    for (struct inside **link = &d->inside; *link && !found;) {
        struct inside *i = *link;
        found = i->guest.word.secret == secret && i->guest.word.id == id;
        if (!found) {
            link = &i->next;
            continue;
        }
        *guest = i->guest;
        *link = i->next;
        free(i);
    }
    *failure = d->failure;
    d->failure = 0;
    if (!found) eventfd_read(d->bell, &rung);
    pthread_mutex_unlock(&d->lock);
    return found;
}

int door_take(struct door *d, uint64_t secret, uint64_t id, double deadline, struct door_guest *guest) {
    int failure;
    while (!take_now(d, secret, id, guest, &failure)) {
        if (failure) return error_set(ERR_DEVICE, "cannot accept a connection: %s", strerror(failure));
        guest->fd = -1;
        if (!socket_ready(d->bell, POLLIN, deadline)) return OK;
    }
    return OK;
}
