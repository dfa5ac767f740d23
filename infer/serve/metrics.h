/* metrics.h: counts and durations of a server, and their text for Prometheus. The server's lock guards them. */
#ifndef INFER_SERVE_METRICS_H
#define INFER_SERVE_METRICS_H

#include <stddef.h>

enum { METRICS_TIMES = 4096 };
/* The last METRICS_TIMES durations in seconds, and the sum and number of all. */
struct durations {
    float last[METRICS_TIMES];
    long count;
    double sum;
};
struct metrics {
    long created, resumed, refused, finished; /* sessions */
    long interruptions, turns;
    long chunks, chunks_late; /* late: chunks that came when their client had run dry */
    long pictures, pictures_dropped, bytes_sent;
    long connections_refused, messages_bad;
    long agents_started, agents_failed; /* runs of agents; failed: those that ended without a word */
    struct durations chunk;             /* work of a chunk: network, codec and conversion */
    struct durations encode;            /* encoding of a picture */
    /* A picture is "on its way" when the socket has taken it. */
    struct durations first_frame; /* session.create to the first picture on its way */
    struct durations waited;      /* a chunk's being due to its begin; long where the device was busy */
    struct durations sent;        /* a chunk's begin to its first picture on its way */
    struct durations heard;       /* last of the user's sound that a chunk hears to its first picture on its way */
    struct durations interrupt;   /* an interruption to the first picture after it on its way */
};
void metrics_time(struct durations *durations, double seconds);
/* Quantile: the duration that this share of the last ones does not exceed; 0 where there are none. */
double metrics_quantile(const struct durations *durations, double share);
struct metrics_now { /* state at the moment of the question, which nobody counts */
    int live, queued, detached, connections, capacity;
    double real_time_factor;
    size_t outbox_bytes;
    double user_seconds; /* seconds of users' sound that waits */
};
char *metrics_text(const struct metrics *metrics, const struct metrics_now *now); /* malloc'd; NULL: out of memory */

#endif
