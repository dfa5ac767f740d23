/* socket.c: see socket.h. */
#include "comm/job/socket.h"
#include "base/error.h"
#include "base/progress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int socket_resolve(struct socket_address *address, const char *host, int port) {
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    snprintf(service, sizeof service, "%d", port);
    int failure = getaddrinfo(host, service, &hints, &list);
    if (failure) return error_set(ERR_USAGE, "%s: %s", host, gai_strerror(failure));
    /* takes the first IPv4 address where there is one: names in a cluster often have unusable IPv6 addresses */
    struct addrinfo *chosen = list;
    for (struct addrinfo *i = list; i && chosen->ai_family != AF_INET; i = i->ai_next)
        if (i->ai_family == AF_INET) chosen = i;
    *address = (struct socket_address){.length = chosen->ai_addrlen};
    memcpy(&address->storage, chosen->ai_addr, chosen->ai_addrlen);
    freeaddrinfo(list);
    return OK;
}

int socket_is_loopback(const struct socket_address *address) {
    if (address->storage.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr) >> 24 == 127;
}

int socket_same(const struct socket_address *a, const struct socket_address *b) {
    return a->length == b->length && !memcmp(&a->storage, &b->storage, a->length);
}

int socket_port(const struct socket_address *address) {
    if (address->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

void socket_set_port(struct socket_address *address, int port) {
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = htons((uint16_t)port);
}

void socket_text(const struct socket_address *address, char *text, size_t size) {
    char host[64], service[16];
    if (getnameinfo((const struct sockaddr *)&address->storage, address->length, host, sizeof host, service,
                    sizeof service, NI_NUMERICHOST | NI_NUMERICSERV))
        snprintf(text, size, "?");
    else
        snprintf(text, size, "%s:%s", host, service);
}

static int fail(int *fd, const struct socket_address *address, const char *what) {
    char text[96];
    int number = errno;
    socket_text(address, text, sizeof text);
    socket_close(fd);
    error_set(ERR_DEVICE, "%s: cannot %s: %s", text, what, strerror(number));
    errno = number;
    return ERR_DEVICE;
}

static int create(int *fd, const struct socket_address *address) {
    *fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return *fd < 0 ? fail(fd, address, "make a socket") : OK;
}

/* Makes small messages leave at once. */
static void prepare(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int listen_at(int *fd, const struct socket_address *address, int *port) {
    struct socket_address at = *address;
    int on = 1, off = 0;
    TRY(create(fd, &at));
    /* allows the port of a run that has just ended, but not one at which another process listens */
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (at.storage.ss_family == AF_INET6) setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(*fd, (struct sockaddr *)&at.storage, at.length) || listen(*fd, 1024)) return fail(fd, &at, "listen");
    if (getsockname(*fd, (struct sockaddr *)&at.storage, &at.length)) return fail(fd, &at, "listen");
    *port = socket_port(&at);
    return OK;
}

int socket_listen(int *fd, const struct socket_address *address, int *port) {
    struct socket_address at = {.length = sizeof(struct sockaddr_in6)};
    if (address) {
        at = *address;
    } else { /* both versions of IP, where the host has version 6 */
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        at.storage.ss_family = probe >= 0 ? AF_INET6 : AF_INET;
        if (probe < 0) at.length = sizeof(struct sockaddr_in);
        socket_close(&probe);
    }
    socket_set_port(&at, *port);
    return listen_at(fd, &at, port);
}

int socket_ready(int fd, short events, double deadline) {
    for (;;) {
        double left = deadline - clock_seconds();
        struct pollfd entry = {.fd = fd, .events = events};
        int n = poll(&entry, 1, left > 0 ? (int)(1000 * left) + 1 : 0);
        if (n > 0) return 1;
        if (n == 0 && left <= 0) return 0;
    }
}

/* Turns an IPv4 address that came through a socket of both versions into a plain IPv4 address. */
static void unmap(struct socket_address *a) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->storage;
    if (a->storage.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6->sin6_port};
    memcpy(&v4.sin_addr, &v6->sin6_addr.s6_addr[12], sizeof v4.sin_addr);
    *a = (struct socket_address){.length = sizeof v4};
    memcpy(&a->storage, &v4, sizeof v4);
}

int socket_accept(int listener, int *fd, struct socket_address *from) {
    *from = (struct socket_address){.length = sizeof from->storage};
    *fd = accept4(listener, (struct sockaddr *)&from->storage, &from->length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*fd >= 0) {
        prepare(*fd);
        unmap(from);
        return OK;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EBADF)
        return error_set(ERR_DEVICE, "cannot accept a connection: %s", strerror(errno));
    return OK;
}

/* 1: the socket is connected to itself, which can happen when it connects to a free port of its own host. */
static int met_itself(int fd) {
    struct sockaddr_storage own, peer;
    socklen_t own_length = sizeof own, peer_length = sizeof peer;
    memset(&own, 0, sizeof own), memset(&peer, 0, sizeof peer);
    if (getsockname(fd, (struct sockaddr *)&own, &own_length)) return 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_length)) return 0;
    return own_length == peer_length && !memcmp(&own, &peer, own_length);
}

int socket_begin(int *fd, const struct socket_address *address) {
    TRY(create(fd, address));
    if (connect(*fd, (const struct sockaddr *)&address->storage, address->length) && errno != EINPROGRESS &&
        errno != EINTR)
        return fail(fd, address, "connect");
    return OK;
}

int socket_begun(int *fd, const struct socket_address *address) {
    int failure = 0;
    socklen_t size = sizeof failure;
    getsockopt(*fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    errno = !failure && met_itself(*fd) ? ECONNREFUSED : failure;
    if (errno) return fail(fd, address, "connect");
    prepare(*fd);
    return OK;
}

int socket_connect(int *fd, const struct socket_address *address, double deadline) {
    enum { PAUSE_MS = 50 };
    for (;;) {
        int code = socket_begin(fd, address);
        if (!code && !socket_ready(*fd, POLLOUT, deadline)) {
            errno = ETIMEDOUT;
            return fail(fd, address, "connect");
        }
        if (!code) code = socket_begun(fd, address);
        if (!code) return OK;
        int waits = errno == ECONNREFUSED || errno == ENETUNREACH || errno == EHOSTUNREACH || errno == ECONNRESET;
        if (!waits || clock_seconds() >= deadline) return code;
        poll(NULL, 0, PAUSE_MS);
    }
}

static int gone(ssize_t n) {
    if (n == 0) return error_set(ERR_DEVICE, "the connection was closed");
    return error_set(ERR_DEVICE, "%s", strerror(errno));
}

int socket_send(int fd, const void *bytes, size_t count, double deadline) {
    const char *p = bytes;
    while (count) {
        ssize_t n = send(fd, p, count, MSG_NOSIGNAL);
        if (n > 0) {
            p += n, count -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!socket_ready(fd, POLLOUT, deadline)) return error_set(ERR_DEVICE, "no answer in time");
        } else if (n < 0 && errno != EINTR) {
            return gone(n);
        }
    }
    return OK;
}

int socket_receive(int fd, void *bytes, size_t count, double deadline) {
    char *p = bytes;
    while (count) {
        ssize_t n = recv(fd, p, count, 0);
        if (n > 0) {
            p += n, count -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!socket_ready(fd, POLLIN, deadline)) return error_set(ERR_DEVICE, "no answer in time");
        } else if (n == 0 || errno != EINTR) {
            return gone(n);
        }
    }
    return OK;
}

void socket_close(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}
