/* schedule.c: see schedule.h. */
#include "base/schedule.h"
#include "base/error.h"

#include <math.h>

static int check_shift(double shift) {
    if (shift >= 1 && shift <= 1000) return OK;
    return error_set(ERR_USAGE, "a noise schedule needs a shift from 1 to 1000, not %g", shift);
}

int schedule_steps(const double *nominal, int count, double shift, double *sigma) {
    TRY(check_shift(shift));
    if (count < 1) return error_set(ERR_USAGE, "a step list needs at least one timestep");
    for (int i = 0; i < count; i++) {
        if (!(nominal[i] > 0 && nominal[i] <= (i ? nominal[i - 1] : 1000)) || (i && nominal[i] == nominal[i - 1]))
            return error_set(ERR_USAGE, "a step list must descend within 1000 to 0 (0 left out); step %d is %g", i + 1,
                             nominal[i]);
        sigma[i] = schedule_shift(nominal[i] / 1000, shift);
    }
    return OK;
}

int schedule_euler(int steps, double shift, double *sigma) {
    TRY(check_shift(shift));
    if (steps < 1) return error_set(ERR_USAGE, "a sampler needs at least one step");
    for (int i = 0; i <= steps; i++) sigma[i] = schedule_shift((double)(steps - i) / steps, shift);
    return OK;
}

int schedule_sampler(enum schedule_kind kind, int steps, double shift, double *sigma, double *timestep) {
    TRY(schedule_euler(steps, shift, sigma));
    for (int i = 0; i < steps; i++) {
        double share = (double)i / steps;
        /* 0.999 is what a float makes of it: a timestep next to a whole number must fall on the same side */
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
