/* latency.h: how long a live student's answers take, as a client sees it. A stream is begun and sound is pushed a video
   frame at a time, as a microphone gives it. Two delays are kept:
     answer   seconds from the moment at which a chunk's last sound is there to its pictures in host memory: audio
              encoder, network, decoder. Of the first chunk, and of those after it.
     start    seconds from the sound's start to the first picture that answers it, if sound comes in real time: the
              sound that had to be pushed, counted, and the first answer.
   Times depend on sizes and not on values, so sound and picture are noise. They are those of bench_now (measure.h). */
#ifndef TOOLS_BENCH_LATENCY_H
#define TOOLS_BENCH_LATENCY_H

#include "infer/session.h"

enum { LATENCY_TIMES_MAX = 4096 };
/* Times of one student's streams, in seconds. */
struct latency {
    struct session *session;
    double first[LATENCY_TIMES_MAX], later[LATENCY_TIMES_MAX]; /* answers of first and of later chunks */
    int firsts, laters;
    double heard; /* seconds of sound pushed before the first chunk was ready; the same in every stream */
};
/* The median of times and its 95 % interval, from the order of the times alone: the k-th smallest and largest, k by the
   binomial distribution's normal approximation. Fewer than 6 times have none: low and high are the extremes. */
struct latency_median {
    double median, low, high;
};

/* Begins a stream anew and makes its first chunk and `chunks` more; their times are added while there is room for them.
   keep 0: none is, as of a stream that warms up. */
int latency_stream(struct latency *l, int chunks, int keep);
/* Sorts the times. count is at least 1. */
struct latency_median latency_median(double *times, int count);

#endif
