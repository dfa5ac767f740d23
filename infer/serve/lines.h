/* lines.h: reads lines from a pipe that never blocks. A line longer than the buffer is cut and its rest dropped. */
#ifndef INFER_SERVE_LINES_H
#define INFER_SERVE_LINES_H

#include <stddef.h>

enum { LINES_BYTES = 1 << 16 };
struct lines {
    char bytes[LINES_BYTES + 1];
    size_t length, at; /* bytes[at..length) are not taken yet */
    int cut;           /* 1: the next bytes are the rest of a line that was cut */
};
/* Reads once. 1: something came; 0: nothing is there now; -1: the other end is closed. */
int lines_fill(struct lines *lines, int fd);
/* The next whole line, NUL-terminated without its end, valid until the next call; NULL: none. */
char *lines_next(struct lines *lines);
/* The last line of a closed pipe, where it has no end of line; NULL: nothing is left. */
char *lines_rest(struct lines *lines);

#endif
