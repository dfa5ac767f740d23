/* byte_source.h: the bytes of a pipe, a FIFO, a device or standard input, opened once and read as they come. Waiting
   for them ends when the program is interrupted (base/interrupt.h): that is their end. */
#ifndef DATA_BYTE_SOURCE_H
#define DATA_BYTE_SOURCE_H

#include <stddef.h>

#include "base/fileio.h"

enum { BYTES_AHEAD = 4096 };

struct byte_source {
    char name[FILE_PATH_MAX]; /* for messages */
    int file;                 /* descriptor; -1: closed */
    int keep;                 /* it is not ours to close: standard input */
    unsigned char ahead[BYTES_AHEAD];
    int ahead_size, ahead_used; /* bytes of `ahead` that were looked at and not read yet lie from used to size */
    long left;                  /* bytes up to the end; negative: up to the source's own */
};
/* "-": standard input. A FIFO that nobody writes to yet opens at once; reading waits for its writer. */
int byte_source_open(struct byte_source *source, const char *path);
/* 1: the path names no ordinary file, so that it can be opened once alone and not be gone back in. */
int byte_source_wanted(const char *path);
/* Up to `want` bytes, at least one; 0: the end; negative: -(error code). */
long byte_source_read(struct byte_source *source, void *bytes, size_t want);
/* The next `want` bytes, at most BYTES_AHEAD in all, without taking them. Returns how many there are: fewer at the
   end. */
int byte_source_look(struct byte_source *source, int want, const unsigned char **bytes);
void byte_source_pass(struct byte_source *source, int count);       /* takes bytes that were looked at */
void byte_source_end_after(struct byte_source *source, long count); /* what lies behind them is not read */
void byte_source_close(struct byte_source *source);

#endif
