/* nolock.c: flock as file systems without locks have it, for tests/e2e/locks.sh (LD_PRELOAD): it fails with the number
   in FLOCK_ERRNO for files whose path has FLOCK_ONLY in it, and for all where that is not set. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

int flock(int fd, int operation) {
    const char *number = getenv("FLOCK_ERRNO"), *only = getenv("FLOCK_ONLY");
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0) path[0] = 0;
    if (!number || (only && !strstr(path, only))) return (int)syscall(SYS_flock, fd, operation);
    errno = atoi(number);
    return -1;
}
