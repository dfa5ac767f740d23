/* lines.c: see lines.h. */
#include "infer/serve/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int lines_fill(struct lines *l, int fd) {
    if (l->at) memmove(l->bytes, l->bytes + l->at, l->length - l->at);
    l->length -= l->at;
    l->at = 0;
    if (l->length == LINES_BYTES) return 1; /* full: lines_next will cut the line */
    ssize_t n = read(fd, l->bytes + l->length, LINES_BYTES - l->length);
    if (n > 0) l->length += (size_t)n;
    return n > 0 ? 1 : n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* Returns the bytes up to `end` as a line; the next one begins `over` bytes after it. */
static char *take(struct lines *l, char *end, size_t over) {
    char *line = l->bytes + l->at;
    *end = 0;
    if (end > line && end[-1] == '\r') end[-1] = 0;
    l->at = (size_t)(end - l->bytes) + over;
    return line;
}

char *lines_next(struct lines *l) {
    for (;;) {
        char *from = l->bytes + l->at, *end = memchr(from, '\n', l->length - l->at);
        if (!end && l->cut) l->at = l->length;
        if (!end && !l->cut && l->length - l->at == LINES_BYTES) {
            l->cut = 1;
            return take(l, l->bytes + LINES_BYTES, 0);
        }
        if (!end) return NULL;
        if (!l->cut) return take(l, end, 1);
        l->cut = 0;
        l->at = (size_t)(end - l->bytes) + 1;
    }
}

char *lines_rest(struct lines *l) {
    if (l->cut || l->at == l->length) return NULL;
    return take(l, l->bytes + l->length, 0);
}
