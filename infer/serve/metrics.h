/* metrics.h: what a server counts and measures, and its text for Prometheus. Guarded by the server's lock. */
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
    long chunks, chunks_late; /* late: its client had run dry when it came */
    long pictures, pictures_dropped, bytes_sent;
    long connections_refused, messages_bad;
    long agents_started, agents_failed; /* runs of agents; of these, those without a word */
    struct durations chunk;             /* network, codec and conversion of a chunk */
    struct durations encode;            /* of a picture */
    struct durations first_frame;       /* from session.create to the first picture on its way */
    struct durations waited;            /* from when a chunk was due to its begin: the device was busy */
    struct durations sent;              /* from a chunk's begin to its first picture on its way */
    struct durations heard; /* from the last of the user's sound that a chunk hears to its first picture on its way */
    struct durations interrupt; /* from an interruption to the first picture after it on its way */
};
void metrics_time(struct durations *durations, double seconds);
/* The duration that this share of the last ones does not exceed; 0 where there are none. */
double metrics_quantile(const struct durations *durations, double share);
struct metrics_now { /* what is not counted but looked at */
    int live, queued, detached, connections, capacity;
    double real_time_factor;
    size_t outbox_bytes;
    double user_seconds; /* of users' sound that waits */
};
char *metrics_text(const struct metrics *metrics, const struct metrics_now *now); /* malloc'd; NULL: out of memory */

#endif
