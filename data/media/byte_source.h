/* byte_source.h: reads the bytes of a pipe, a FIFO, a device or standard input, opened once, as they come. An interrupt
   of the program (base/interrupt.h) ends the waiting for them and counts as their end. */
#ifndef DATA_BYTE_SOURCE_H
#define DATA_BYTE_SOURCE_H

#include <stddef.h>

#include "base/fileio.h"

enum { BYTES_AHEAD = 4096 };

struct byte_source {
    char name[FILE_PATH_MAX]; /* name used in messages */
    int file;                 /* descriptor; -1: closed */
    int keep;                 /* 1: not to be closed (standard input) */
    unsigned char ahead[BYTES_AHEAD];
    int ahead_size, ahead_used; /* bytes looked at but not read yet are ahead[ahead_used .. ahead_size - 1] */
    long left;                  /* bytes left to read; negative: until the source itself ends */
};
/* Opens a path; "-" is standard input. A FIFO without a writer opens at once, and reading waits for the writer. */
int byte_source_open(struct byte_source *source, const char *path);
/* Returns 1 if the path names no ordinary file, so that it can be opened only once and read only forwards. */
int byte_source_wanted(const char *path);
/* Reads up to `want` bytes, at least one; returns their number; 0: the end; negative: -(error code). */
long byte_source_read(struct byte_source *source, void *bytes, size_t want);
/* Looks at the next `want` bytes (at most BYTES_AHEAD) without taking them. Returns their number, which is less at the
   end. */
int byte_source_look(struct byte_source *source, int want, const unsigned char **bytes);
void byte_source_pass(struct byte_source *source, int count);       /* takes bytes that were looked at */
void byte_source_end_after(struct byte_source *source, long count); /* ends the source after `count` more bytes */
void byte_source_close(struct byte_source *source);

#endif
