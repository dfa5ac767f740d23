/* slow_read.c: loaded before a program (LD_PRELOAD), makes every read of a file at a place take SLOW_READ microseconds,
   as a disk far away does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

typedef ssize_t reader(int file, void *to, size_t bytes, off_t at);

static ssize_t slowly(const char *name, int file, void *to, size_t bytes, off_t at) {
    const char *wait = getenv("SLOW_READ");
    void *found = dlsym(RTLD_NEXT, name);
    usleep(wait ? (useconds_t)atoi(wait) : 0);
    return (*(reader **)&found)(file, to, bytes, at);
}

ssize_t pread(int file, void *to, size_t bytes, off_t at) { return slowly("pread", file, to, bytes, at); }
ssize_t pread64(int file, void *to, size_t bytes, off_t at) { return slowly("pread64", file, to, bytes, at); }
