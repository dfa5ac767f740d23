/* arrivals.h: when the samples of a queue came, first in, first out. Seconds of the monotonic clock, given by the
   caller. At most ARRIVALS_MARKS times are remembered: beyond that the newest one stands for what came with it and
   after it. */
#ifndef INFER_SERVE_ARRIVALS_H
#define INFER_SERVE_ARRIVALS_H

enum { ARRIVALS_MARKS = 128 };
struct arrivals {
    struct {
        long samples; /* that came then and are still in the queue */
        double at;
    } marks[ARRIVALS_MARKS]; /* ring */
    int first, count;
};
void arrivals_push(struct arrivals *arrivals, long samples, double now);
/* So many leave the queue at its old end: when the last of them came; 0: there were none. */
double arrivals_take(struct arrivals *arrivals, long samples);

#endif
