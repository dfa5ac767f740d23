/* arrivals.h: remembers when the samples of a first-in-first-out queue came. Times are seconds of the monotonic clock,
   given by the caller. At most ARRIVALS_MARKS times are remembered; beyond that the newest one also stands for all that
   comes after it. */
#ifndef INFER_SERVE_ARRIVALS_H
#define INFER_SERVE_ARRIVALS_H

enum { ARRIVALS_MARKS = 128 };
struct arrivals {
    struct {
        long samples; /* samples that came then and are still in the queue */
        double at;
    } marks[ARRIVALS_MARKS]; /* ring */
    int first, count;
};
void arrivals_push(struct arrivals *arrivals, long samples, double now);
/* Takes samples from the queue's old end and returns when the last of them came; 0: there were none. */
double arrivals_take(struct arrivals *arrivals, long samples);

#endif
