/* schedule.c: see schedule.h. */
#include "infer/serve/schedule.h"

#include <math.h>

int schedule_pick(const struct candidate *c, int count, double now) {
    int best = -1;
    for (int i = 0; i < count; i++)
        if (c[i].due <= now && (best < 0 || c[i].deadline < c[best].deadline)) best = i;
    return best;
}

double schedule_wake(const struct candidate *c, int count) {
    double wake = INFINITY;
    for (int i = 0; i < count; i++) wake = fmin(wake, c[i].due);
    return wake;
}

int schedule_capacity(double real_time_factor) {
    double sessions = floor(0.9 / real_time_factor);
    return sessions < 1 ? 1 : sessions > 1e6 ? 1000000 : (int)sessions;
}
