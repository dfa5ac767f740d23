/* target.h: address of the server that a load drives, and plain HTTP requests to it (docs/protocol.md). */
#ifndef INFER_LOAD_TARGET_H
#define INFER_LOAD_TARGET_H

struct target {
    char host[256]; /* name or address, IPv6 without its brackets */
    char name[280]; /* text for the Host header */
    int port;
    char token[256]; /* "": none */
};
/* Parses "http://HOST:PORT/", "HOST:PORT" or "[ADDRESS]:PORT". ERR_USAGE: it is none of these. */
int target_parse(struct target *target, const char *text);
/* Sends GET path and returns the answer's body, malloc'd. ERR_DEVICE: nobody is there, there is no answer within ten
   seconds, or its status is not 200. */
int target_get(const struct target *target, const char *path, char **body);
/* Value of streamavatar_NAME in a /metrics text; NaN where it has none. */
double metrics_value(const char *text, const char *name);

#endif
