/* access.h: who may speak to the server: Host, Origin and token of a request (docs/protocol.md, Who is let in). */
#ifndef INFER_SERVE_ACCESS_H
#define INFER_SERVE_ACCESS_H

struct access {
    char address[256]; /* the address that the server is bound to */
    char hosts[1024];  /* further names, with commas between */
    char token[256];   /* "": none */
};
/* 1: an address of this machine alone. */
int access_is_loopback(const char *address);
/* The token from the file, or from the environment's STREAMAVATAR_TOKEN where path is "". ERR_INPUT: cannot be read
   or has characters that a token cannot have; ERR_USAGE: none for an address that others reach. */
int access_token(struct access *access, const char *path);
/* host: the header, "" where there is none; a name and perhaps a port. 1: it names this server. */
int access_host(const struct access *access, const char *host);
/* origin: the header, "" where there is none, as with all that are no browsers. */
int access_origin(const struct access *access, const char *origin);
/* authorization: that header or ""; protocols: the subprotocols that are offered, or "". Takes as long for a wrong
   token as for the right one. */
int access_authorized(const struct access *access, const char *authorization, const char *protocols);

#endif
