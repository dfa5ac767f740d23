/* byte_source.c: see byte_source.h. */
#include "data/media/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "base/interrupt.h"

enum { LOOK_UP_MS = 200 }; /* interval at which a wait checks for an interrupt */

int byte_source_wanted(const char *path) {
    struct stat info;
    return !stat(path, &info) && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}

int byte_source_open(struct byte_source *s, const char *path) {
    memset(s, 0, sizeof *s);
    s->left = -1;
    s->keep = !strcmp(path, "-");
    snprintf(s->name, sizeof s->name, "%s", s->keep ? "standard input" : path);
    s->file = s->keep ? STDIN_FILENO : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return s->file >= 0 ? OK : error_set(ERR_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
}

/* Waits until there is something to read, then does what read(2) does. */
static long wait_and_read(struct byte_source *s, void *bytes, size_t want) {
    for (;;) {
        struct pollfd ready = {.fd = s->file, .events = POLLIN};
        if (interrupt_requested()) return 0;
        int count = poll(&ready, 1, LOOK_UP_MS);
        if (count < 0 && errno != EINTR) break;
        if (count <= 0) continue;
        long n = read(s->file, bytes, want);
        if (n >= 0) return n;
        if (errno != EINTR && errno != EAGAIN) break;
    }
    return -error_set(ERR_INPUT, "%s: cannot be read: %s", s->name, strerror(errno));
}

long byte_source_read(struct byte_source *s, void *bytes, size_t want) {
    size_t held = (size_t)(s->ahead_size - s->ahead_used);
    if (s->left >= 0 && want > (size_t)s->left) want = (size_t)s->left;
    if (!want) return 0;
    long n;
    if (held) {
        n = (long)(want < held ? want : held);
        memcpy(bytes, s->ahead + s->ahead_used, (size_t)n);
        s->ahead_used += (int)n;
    } else {
        n = wait_and_read(s, bytes, want);
    }
    if (s->left >= 0 && n > 0) s->left -= n;
    return n;
}

int byte_source_look(struct byte_source *s, int want, const unsigned char **bytes) {
    if (want > BYTES_AHEAD - s->ahead_used) want = BYTES_AHEAD - s->ahead_used;
    while (s->ahead_size - s->ahead_used < want) {
        long n = wait_and_read(s, s->ahead + s->ahead_size, (size_t)(want - (s->ahead_size - s->ahead_used)));
        if (n <= 0) break;
        s->ahead_size += (int)n;
    }
    *bytes = s->ahead + s->ahead_used;
    return s->ahead_size - s->ahead_used;
}

void byte_source_pass(struct byte_source *s, int count) { s->ahead_used += count; }
void byte_source_end_after(struct byte_source *s, long count) { s->left = count; }

void byte_source_close(struct byte_source *s) {
    if (s->file >= 0 && !s->keep) close(s->file);
    s->file = -1;
}
