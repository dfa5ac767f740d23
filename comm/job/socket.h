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
/* One of this host only: 127.0.0.1, ::1. */
int socket_is_loopback(const struct socket_address *address);
int socket_port(const struct socket_address *address);
void socket_set_port(struct socket_address *address, int port);
void socket_text(const struct socket_address *address, char *text, size_t size); /* "10.0.0.1:29500" */

/* Listens at `address`, or at its port on every interface. Port 0: any; *port is what it became. */
int socket_listen(int *fd, const struct socket_address *address, int every_interface, int *port);
/* *fd -1 when none came before the deadline. */
int socket_accept(int listener, int *fd, struct socket_address *from, double deadline);
/* Tries again while nobody listens there. */
int socket_connect(int *fd, const struct socket_address *address, double deadline);
int socket_send(int fd, const void *bytes, size_t count, double deadline);
int socket_receive(int fd, void *bytes, size_t count, double deadline);
void socket_close(int *fd);

#endif
