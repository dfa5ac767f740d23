/* access.h: decides who may speak to the server, by Host, Origin and token of a request (docs/protocol.md, "Who is let
   in"). */
#ifndef INFER_SERVE_ACCESS_H
#define INFER_SERVE_ACCESS_H

struct access {
    char address[256]; /* the address that the server is bound to */
    char hosts[1024];  /* further host names, separated by commas */
    char token[256];   /* "": no token is asked for */
};
/* 1: a loopback address, which only this machine reaches. */
int access_is_loopback(const char *address);
/* Reads the token from the file, or where path is "" from the environment variable STREAMAVATAR_TOKEN. ERR_INPUT: it
   cannot be read or has characters that a token cannot have; ERR_USAGE: there is none for an address that others can
   reach. */
int access_token(struct access *access, const char *path);
/* Checks the Host header: a name and perhaps a port, "" where there is none. 1: it names this server. */
int access_host(const struct access *access, const char *host);
/* Checks the Origin header, "" where there is none, as with all clients that are no browsers. */
int access_origin(const struct access *access, const char *origin);
/* Checks the token. authorization: that header or ""; protocols: the offered subprotocols or "". A wrong token takes as
   long as the right one, so that times tell nothing about it. */
int access_authorized(const struct access *access, const char *authorization, const char *protocols);

#endif
