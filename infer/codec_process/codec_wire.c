/* codec_wire.c: see codec_wire.h. */
#include "infer/codec_process/codec_wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum { LOOK_MS = 200 };

static enum codec_wire_result wait_for(int fd, short events, codec_patience patience, void *user) {
    struct pollfd p = {.fd = fd, .events = events};
    int ready = poll(&p, 1, LOOK_MS);
    if (ready > 0 || !patience) return WIRE_FINE;
    return patience(user) ? WIRE_IMPATIENT : WIRE_FINE;
}

/* Decides what a negative or zero result of send or recv means: the other end is closed, or nothing is there yet. */
static enum codec_wire_result after(ssize_t n, int fd, short events, codec_patience patience, void *user) {
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return wait_for(fd, events, patience, user);
    return n > 0 ? WIRE_FINE : WIRE_GONE;
}

enum codec_wire_result codec_wire_send(int fd, const void *bytes, size_t count, codec_patience patience, void *user) {
    const char *at = bytes;
    while (count) {
        ssize_t n = send(fd, at, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        enum codec_wire_result result = after(n, fd, POLLOUT, patience, user);
        if (result != WIRE_FINE) return result;
        if (n > 0) at += n, count -= (size_t)n;
    }
    return WIRE_FINE;
}

enum codec_wire_result codec_wire_receive(int fd, void *bytes, size_t count, codec_patience patience, void *user) {
    char *at = bytes;
    while (count) {
        ssize_t n = recv(fd, at, count, MSG_DONTWAIT);
        enum codec_wire_result result = after(n, fd, POLLIN, patience, user);
        if (result != WIRE_FINE) return result;
        if (n > 0) at += n, count -= (size_t)n;
    }
    return WIRE_FINE;
}
