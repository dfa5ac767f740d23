/* place.c: see place.h. */
#include "comm/job/place.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/progress.h"
#include "comm/job/door.h"

/* ---- listening ---- */

static int is_loopback_itself(const char *name) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, name, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, name, &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return !strcasecmp(name, "localhost");
}

int place_listen(const struct launch *l, int *listener, int *port) {
    struct socket_address loopback;
    int only_here = is_loopback_itself(l->address), code = OK;
    if (only_here) TRY(socket_resolve(&loopback, l->address, 0));
    for (int i = 0; i < (l->rank ? 1 : l->ports); i++) {
        *port = l->rank ? 0 : launch_port(l, i);
        code = socket_listen(listener, only_here ? &loopback : NULL, port);
        if (!code) return OK;
    }
    return error_context(code, "rank %d finds no free port of %d", l->rank, l->rank ? 1 : l->ports);
}

/* ---- looking for rank 0 ---- */

/* A port that is being tried. */
struct knock {
    int fd; /* -1: none is */
    int spoken;
    double until;
    struct socket_address at;
    struct door_answer answer;
    size_t got; /* bytes of the answer */
};

static void begin(struct knock *k, const struct socket_address *host, int port, double until) {
    *k = (struct knock){.at = *host, .until = until};
    socket_set_port(&k->at, port);
    socket_begin(&k->fd, &k->at);
}

/* Goes on with one port; gives it up when it refuses, is late or does not belong to this job. 1: it is rank 0. */
static int go_on(struct knock *k, const struct launch *l, double now) {
    struct door_word word = {.mark = l->mark, .id = DOOR_MEETING, .rank = l->rank};
    if (!k->spoken && socket_ready(k->fd, POLLOUT, 0)) {
        if (socket_begun(&k->fd, &k->at)) return 0;
        k->spoken = send(k->fd, &word, sizeof word, MSG_NOSIGNAL) == sizeof word; /* a fresh connection has room */
        if (!k->spoken) socket_close(&k->fd);
    }
    if (k->spoken && k->fd >= 0) {
        ssize_t n = recv(k->fd, (char *)&k->answer + k->got, sizeof k->answer - k->got, 0);
        if (n > 0) k->got += (size_t)n;
        if (k->got == sizeof k->answer && door_let_in(&k->answer, l->mark)) return 1;
        if (k->got == sizeof k->answer || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) socket_close(&k->fd);
    }
    if (now >= k->until) socket_close(&k->fd);
    return 0;
}

/* Waits until one of the ports can go on, or the next may begin. 0: there is none to wait for. */
static int wait_for_any(const struct knock *knocks, int begun, double seconds) {
    struct pollfd entries[LAUNCH_PORTS];
    int open = 0;
    for (int i = 0; i < begun; i++) {
        entries[i] = (struct pollfd){.fd = knocks[i].fd, .events = knocks[i].spoken ? POLLIN : POLLOUT};
        open += knocks[i].fd >= 0;
    }
    if (open) poll(entries, (nfds_t)begun, (int)(1000 * seconds) + 1);
    return open;
}

/* Tries the ports in turn, each for `seconds`; the next begins when the last has refused or is silent for a moment. */
static int try_row(const struct launch *l, const struct socket_address *host, double seconds, int *fd,
                   struct socket_address *met) {
    static const double SILENCE = 0.25;
    struct knock knocks[LAUNCH_PORTS];
    double next = 0;
    int found = -1;
    for (int begun = 0; found < 0;) {
        double now = clock_seconds();
        if (begun < l->ports && now >= next) {
            begin(&knocks[begun], host, launch_port(l, begun), now + seconds);
            next = knocks[begun].fd >= 0 ? now + SILENCE : now;
            begun++;
        }
        int open = wait_for_any(knocks, begun, begun < l->ports ? next - now : SILENCE);
        if (!open && begun == l->ports) break;
        if (!open) next = 0;
        for (int i = 0; i < begun && found < 0; i++)
            if (knocks[i].fd >= 0 && go_on(&knocks[i], l, clock_seconds())) found = i;
        if (found < 0) continue;
        *fd = knocks[found].fd;
        *met = knocks[found].at;
        for (int i = 0; i < begun; i++)
            if (i != found) socket_close(&knocks[i].fd);
    }
    return found >= 0;
}

static int resolve(const struct launch *l, struct socket_address *host) {
    if (l->address[0] && !socket_resolve(host, l->address, l->port)) return OK;
    if (l->fallback[0]) return socket_resolve(host, l->fallback, l->port);
    return error_context(ERR_USAGE, "MASTER_ADDR");
}

int place_find(const struct launch *l, double deadline, int *fd, struct socket_address *met) {
    enum { PAUSE_MS = 100 };
    static const double LONGEST = 8; /* seconds */
    double seconds = 1;              /* time for an answer in this round along the row; it doubles each time */
    struct socket_address host;
    char text[96];
    for (;;) {
        double left = deadline - clock_seconds();
        int code = resolve(l, &host);
        if (!code && try_row(l, &host, fmax(0.1, fmin(seconds, left)), fd, met)) return OK;
        if (code && left <= 0) return code;
        if (left <= 0) break;
        seconds = fmin(2 * seconds, LONGEST);
        poll(NULL, 0, PAUSE_MS);
    }
    socket_text(&host, text, sizeof text);
    return error_set(
        ERR_DEVICE,
        "nobody of this job answers at %s to %d; check that rank 0 was started with the same MASTER_ADDR and "
        "MASTER_PORT, and that no firewall closes these ports",
        text, launch_port(l, l->ports - 1));
}
