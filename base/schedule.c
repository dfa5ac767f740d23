/* schedule.c: see schedule.h. */
#include "base/schedule.h"
#include "base/error.h"

#include <math.h>

int schedule_sampler(enum schedule_kind kind, int steps, double shift, double *sigma, double *timestep) {
    if (!(shift >= 1 && shift <= 1000))
        return error_set(ERR_USAGE, "a noise schedule needs a shift from 1 to 1000, not %g", shift);
    if (steps < 1) return error_set(ERR_USAGE, "a sampler needs at least one step");
    sigma[steps] = 0;
    for (int i = 0; i < steps; i++) {
        double share = (double)i / steps;
        sigma[i] = schedule_shift((double)(steps - i) / steps, shift);
        /* 0.999 rounded to float, as there, so that a timestep beside a whole number falls on the same side of it */
        if (kind == SCHEDULE_WAN) sigma[i] = schedule_shift((double)0.999f * (1 - share), shift);
        if (kind == SCHEDULE_DIFFUSERS) sigma[i] = i ? schedule_shift(1 - 0.999 * share, shift) : 1 - 1e-6;
        timestep[i] = schedule_timestep(sigma[i]);
        if (kind == SCHEDULE_LINEAR) continue;
        timestep[i] = trunc(timestep[i]);
        sigma[i] = (double)(float)sigma[i];
    }
    return OK;
}

double schedule_level(double u, double shift, double low, double high) {
    double sigma = schedule_shift(u, shift);
    return sigma < low ? low : sigma > high ? high : sigma;
}
