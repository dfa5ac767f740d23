/* network.h: serves HTTP and WebSocket on one port (docs/protocol.md) through libwebsockets, in the thread that calls
   network_run. Who is let in is decided here, before anything else of a request is looked at. */
#ifndef INFER_SERVE_NETWORK_H
#define INFER_SERVE_NETWORK_H

#include "infer/serve/access.h"
#include "infer/serve/server.h"

struct network;
/* Begins to listen. The server must be open and must outlive the network. ERR_DEVICE: the address is taken or is none
   of this machine's. */
int network_open(struct network **network, struct server *server, const struct access *access);
int network_port(const struct network *network);
void network_run(struct network *network);  /* serves until network_stop */
void network_stop(struct network *network); /* may be called in any thread and in a signal handler */
void network_close(struct network *network);

#endif
