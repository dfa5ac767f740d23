/* network.h: HTTP and WebSocket on one port (docs/protocol.md), by libwebsockets, in the thread that calls
   network_run. Who is let in is decided here, before anything else of a request is looked at. */
#ifndef INFER_SERVE_NETWORK_H
#define INFER_SERVE_NETWORK_H

#include "infer/serve/access.h"
#include "infer/serve/server.h"

struct network;
/* Listens. ERR_DEVICE: the address cannot be had. The server has to be open and outlives it. */
int network_open(struct network **network, struct server *server, const struct access *access);
int network_port(const struct network *network);
void network_run(struct network *network);  /* until network_stop */
void network_stop(struct network *network); /* from any thread, or from a signal's handler */
void network_close(struct network *network);

#endif
