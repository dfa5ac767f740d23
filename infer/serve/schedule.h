/* schedule.h: decides which session's chunk is made next, and how many sessions one device serves. */
#ifndef INFER_SERVE_SCHEDULE_H
#define INFER_SERVE_SCHEDULE_H

struct candidate {
    double due;      /* time at which its next chunk may be begun, seconds; infinite: nothing to do */
    double deadline; /* time at which its client runs dry, seconds */
};
/* Index of the candidate that is due and has the earliest deadline, the first of equals; -1: none is due. */
int schedule_pick(const struct candidate *candidates, int count, double now);
/* Time at which the next candidate is due; infinite: none will be by itself. */
double schedule_wake(const struct candidate *candidates, int count);
/* Number of sessions: floor(0.9 / real-time factor), so that a tenth stays free for what the measurement did not see.
   At least 1: a device that is too slow still serves one session, late. */
int schedule_capacity(double real_time_factor);

#endif
