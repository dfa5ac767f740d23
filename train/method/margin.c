/* margin.c: see margin.h. */
#include "train/method/margin.h"

#include <math.h>

#define SHARE 0.2 /* weight of the newest margin in the running mean: single batches are too noisy to decide by */
#define UNIT  1e6

void margin_hear(struct margin *m, uint64_t round, double value) {
    double before = (double)m->after[(round + 1) % 2] / UNIT;
    double mean = isfinite(value) ? before + SHARE * (value - before) : before;
    m->after[round % 2] = llround(UNIT * fmin(fmax(mean, -1e9), 1e9));
}

double margin_known(const struct margin *m, uint64_t round) {
    return round < 2 ? 0 : (double)m->after[round % 2] / UNIT;
}
