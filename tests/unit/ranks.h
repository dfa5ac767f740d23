/* ranks.h: runs a function in N processes that form a job over tcp on this host, for tests. The parent starts no
   thread. */
#ifndef TESTS_UNIT_RANKS_H
#define TESTS_UNIT_RANKS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "comm/comm.h"
#include "kernels/device.h"

/* A rank that hangs is ended after so long; guarded kernels take twenty times as long as others. */
#ifdef GUARD
enum { RANKS_MAX = 8, RANKS_SECONDS = 600 };
#else
enum { RANKS_MAX = 8, RANKS_SECONDS = 60 };
#endif

static inline const char *ranks_own(void) {
    const char *rank = getenv("RANK");
    return rank ? rank : getenv("OMPI_COMM_WORLD_RANK");
}
/* In a rank: ends it with a line when the condition does not hold. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: rank %s: %s [%s]\n", __FILE__, __LINE__, ranks_own(), #condition, error_text());   \
            fflush(stderr);                                                                                            \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)

/* A port that nobody listens at. */
static inline int free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length)) abort();
    getsockname(fd, (struct sockaddr *)&address, &length);
    close(fd);
    return ntohs(address.sin_port);
}

static inline void set_number(const char *name, long value) {
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

/* What torchrun and scripts/launch.sh set. */
static inline void rank_environment(int rank, int size, int port) {
    set_number("RANK", rank);
    set_number("WORLD_SIZE", size);
    set_number("MASTER_PORT", port);
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    unsetenv("LOCAL_RANK");
    unsetenv("LOCAL_WORLD_SIZE");
}

struct ranks {
    int size, port;
    pid_t pids[RANKS_MAX];
    int codes[RANKS_MAX];      /* exit code, or 1000 + signal */
    double seconds[RANKS_MAX]; /* time from the start to each rank's end */
    double start;
};

static inline double wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline void ranks_start(struct ranks *r, int size, int (*run)(int rank, int size, void *context),
                               void *context) {
    *r = (struct ranks){.size = size, .port = free_port(), .start = wall_seconds()};
    fflush(NULL);
    for (int i = 0; i < size; i++) {
        if ((r->pids[i] = fork())) continue;
        alarm(RANKS_SECONDS);
        rank_environment(i, size, r->port);
        _exit(run(i, size, context));
    }
}

static inline void ranks_wait(struct ranks *r) {
    for (int left = r->size; left;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0) abort();
        for (int i = 0; i < r->size; i++) {
            if (r->pids[i] != pid) continue;
            r->codes[i] = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
            r->seconds[i] = wall_seconds() - r->start;
            left--;
        }
    }
}

/* 0 when every rank returned 0. */
static inline int ranks_run(int size, int (*run)(int rank, int size, void *context), void *context) {
    struct ranks r;
    int bad = 0;
    ranks_start(&r, size, run, context);
    ranks_wait(&r);
    for (int i = 0; i < size; i++) {
        if (r.codes[i]) fprintf(stderr, "rank %d of %d ended with %d\n", i, size, r.codes[i]);
        bad |= r.codes[i] != 0;
    }
    return bad;
}

#endif
