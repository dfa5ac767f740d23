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
/* 1: only this host reaches it: 127.0.0.0/8, ::1. */
int socket_is_loopback(const struct socket_address *address);
int socket_port(const struct socket_address *address);
void socket_set_port(struct socket_address *address, int port);
void socket_text(const struct socket_address *address, char *text, size_t size); /* "10.0.0.1:29500" */

int socket_same(const struct socket_address *a, const struct socket_address *b); /* 1: same address and port */

/* Listens at *port of `address`, or of every interface (NULL). *port 0: any free one; it becomes the number chosen. */
int socket_listen(int *fd, const struct socket_address *address, int *port);
/* Accepts a connection. *fd -1: none waits. ERR_DEVICE: one waits, but cannot be accepted. */
int socket_accept(int listener, int *fd, struct socket_address *from);
/* 1: one of the poll events holds; 0: the deadline has passed. */
int socket_ready(int fd, short events, double deadline);
/* Starts to connect. When the socket is ready for POLLOUT, socket_begun says whether that
   worked. On an error *fd is -1 and errno says why. */
int socket_begin(int *fd, const struct socket_address *address);
int socket_begun(int *fd, const struct socket_address *address);
/* Connects; until the deadline it tries again while nobody listens there. */
int socket_connect(int *fd, const struct socket_address *address, double deadline);
int socket_send(int fd, const void *bytes, size_t count, double deadline);
int socket_receive(int fd, void *bytes, size_t count, double deadline);
void socket_close(int *fd);

#endif
