/* target.h: the server that a load is for: its address, and plain requests to it (docs/protocol.md). */
#ifndef INFER_LOAD_TARGET_H
#define INFER_LOAD_TARGET_H

struct target {
    char host[256]; /* name or address, IPv6 without its brackets */
    char name[280]; /* as the Host header has it */
    int port;
    char token[256]; /* "": none */
};
/* "http://HOST:PORT/", "HOST:PORT" or "[ADDRESS]:PORT". ERR_USAGE: it is none of these. */
int target_parse(struct target *target, const char *text);
/* The body of the answer to GET path, malloc'd. ERR_DEVICE, one line: nobody is there, it does not answer within ten
   seconds, or it answers something else than 200. */
int target_get(const struct target *target, const char *path, char **body);
/* Of a /metrics text the value of streamavatar_NAME; NaN where it has none. */
double metrics_value(const char *text, const char *name);

#endif
