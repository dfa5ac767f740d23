/* target.c: see target.h. */
#include "infer/load/target.h"

#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"

enum { ANSWER_MAX = 1 << 20, PORT_DEFAULT = 8080, SECONDS = 10 };

/* Reads a port: digits, and after them nothing but a slash. 0: it is none. */
static int port_of(const char *text) {
    int length = (int)strspn(text, "0123456789"), port = length && length < 6 ? atoi(text) : 0;
    return (text[length] && strcmp(text + length, "/")) || port > 65535 ? 0 : port;
}

int target_parse(struct target *t, const char *text) {
    const char *at = strncasecmp(text, "http://", 7) ? text : text + 7;
    int length = 0;
    if (!strncasecmp(text, "https://", 8))
        return error_set(ERR_USAGE, "%s: load speaks no TLS; name the server behind the proxy, http://HOST:PORT", text);
    sscanf(at, *at == '[' ? "[%255[0-9a-fA-F:.]]%n" : "%255[^][:/ ]%n", t->host, &length);
    const char *rest = at + length;
    t->port = *rest == ':' ? port_of(rest + 1) : *rest && strcmp(rest, "/") ? 0 : PORT_DEFAULT;
    if (!length || !t->port) return error_set(ERR_USAGE, "%s: expected http://HOST:PORT", text);
    snprintf(t->name, sizeof t->name, *at == '[' ? "[%s]:%d" : "%s:%d", t->host, t->port);
    return OK;
}

static int dial(const struct target *t) {
    struct addrinfo *all = NULL, hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct timeval patience = {.tv_sec = SECONDS};
    char port[16];
    int fd = -1;
    snprintf(port, sizeof port, "%d", t->port);
    if (getaddrinfo(t->host, port, &hints, &all)) return -1;
    for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (!connect(fd, a->ai_addr, a->ai_addrlen)) continue;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(all);
    return fd;
}

/* Reads the whole answer, NUL-terminated; "" where none came. */
static void exchange(int fd, const struct target *t, const char *path, char *answer) {
    char request[1024];
    size_t got = 0;
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s\r\n", path,
                     t->name, *t->token ? "Authorization: Bearer " : "", t->token, *t->token ? "\r\n" : "");
    ssize_t step = send(fd, request, (size_t)n, MSG_NOSIGNAL);
    while (step > 0 && got < ANSWER_MAX && (step = recv(fd, answer + got, ANSWER_MAX - got, 0)) > 0)
        got += (size_t)step;
    answer[got] = 0;
}

int target_get(const struct target *t, const char *path, char **body) {
    int fd = dial(t);
    if (fd < 0) return error_set(ERR_DEVICE, "%s: no server is there; is serve running?", t->name);
    char *answer = malloc(ANSWER_MAX + 1), *space, *begin;
    if (answer) exchange(fd, t, path, answer);
    close(fd);
    if (!answer) return error_set(ERR_DEVICE, "out of memory for an answer");
    space = strchr(answer, ' ');
    begin = strstr(answer, "\r\n\r\n");
    int status = !strncmp(answer, "HTTP/", 5) && space && begin ? atoi(space + 1) : 0;
    if (status == 200) memmove(answer, begin + 4, strlen(begin + 4) + 1);
    *body = status == 200 ? answer : NULL;
    if (status == 200) return OK;
    free(answer);
    if (status == 401)
        return error_set(ERR_DEVICE, "%s: the server wants its token: give token_file= or STREAMAVATAR_TOKEN", t->name);
    if (status) return error_set(ERR_DEVICE, "%s: the server answers GET %s with %d", t->name, path, status);
    return error_set(ERR_DEVICE, "%s: something answers there, but not in HTTP", t->name);
}

double metrics_value(const char *text, const char *name) {
    static const char prefix[] = "streamavatar_";
    size_t length = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if (!strncmp(line, prefix, sizeof prefix - 1) && !strncmp(line + sizeof prefix - 1, name, length) &&
            line[sizeof prefix - 1 + length] == ' ')
            return strtod(line + sizeof prefix + length, NULL);
    return NAN;
}
