/* socket.h: TCP sockets with deadlines (seconds of clock_seconds). All sockets are non-blocking and closed on exec.
   Errors: ERR_DEVICE; the callers say which rank it was. */
#ifndef COMM_JOB_SOCKET_H
#define COMM_JOB_SOCKET_H

#include <stddef.h>
#include <sys/socket.h>

struct socket_address {
    struct sockaddr_storage storage;
    socklen_t length;
};
/* ERR_USAGE: the name has no address. */
int socket_resolve(struct socket_address *address, const char *host, int port);
/* One of this host only: 127.0.0.0/8, ::1. */
int socket_is_loopback(const struct socket_address *address);
int socket_port(const struct socket_address *address);
void socket_set_port(struct socket_address *address, int port);
void socket_text(const struct socket_address *address, char *text, size_t size); /* "10.0.0.1:29500" */

int socket_same(const struct socket_address *a, const struct socket_address *b); /* the same address and port */

/* Listens at that port of `address`, or of every interface (NULL). Port 0: any; *port is what it became. */
int socket_listen(int *fd, const struct socket_address *address, int *port);
/* *fd -1: nobody waits. ERR_DEVICE: somebody does, but cannot be accepted. */
int socket_accept(int listener, int *fd, struct socket_address *from);
/* 1: one of the poll events holds; 0: the deadline has passed. */
int socket_ready(int fd, short events, double deadline);
/* Starts to connect; when the socket is ready for POLLOUT socket_begun says whether it did. On an error errno is the
   system's and *fd -1. */
int socket_begin(int *fd, const struct socket_address *address);
int socket_begun(int *fd, const struct socket_address *address);
/* Connects; tries again while nobody listens there. */
int socket_connect(int *fd, const struct socket_address *address, double deadline);
int socket_send(int fd, const void *bytes, size_t count, double deadline);
int socket_receive(int fd, void *bytes, size_t count, double deadline);
void socket_close(int *fd);

#endif
