/* pass_reduction.c: see pass_reduction.h. */
#include "train/method/pass_reduction.h"

int reduced_passes(int most, int fewest, long step, long steps) {
    if (step < 0) return most;
    if (step >= steps) return fewest;
    return most - (int)((double)step * (most - fewest + 1) / (double)steps);
}

void reduce_passes(struct rollout_config *config, int passes) {
    int N = config->steps;
    for (int i = 0; i < passes; i++) /* the place is never below i, so that no level is overwritten before it is read */
        config->sigma[i] = config->sigma[(2 * i * N + passes) / (2 * passes)];
    config->steps = passes;
}

void reduce_passes_at(struct rollout_config *config, int fewest, long step, long steps) {
    if (fewest) reduce_passes(config, reduced_passes(config->steps, fewest, step, steps));
}
