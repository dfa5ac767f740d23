/* spread.c: see spread.h. */
#include "infer/load/spread.h"

#include <math.h>

enum { BINS = SPREAD_HIGH_MS - SPREAD_LOW_MS };

/* Bin of a duration: bin i holds what is more than i - 1 and at most i milliseconds above the lowest. */
static int bin_of(double seconds) {
    double bin = ceil(1e3 * seconds - 1e-6) - SPREAD_LOW_MS;
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : (int)bin;
}

void spread_add(struct spread *s, double seconds) {
    if (!s->count || seconds > s->most) s->most = seconds;
    s->count++;
    s->bins[bin_of(seconds)]++;
}

double spread_quantile(const struct spread *s, double share) {
    long want = (long)ceil(share * (double)s->count), seen = 0;
    if (!s->count) return 0;
    for (int i = 0; i < BINS; i++)
        if ((seen += s->bins[i]) >= want && seen) return fmin(1e-3 * (i + SPREAD_LOW_MS), s->most);
    return s->most;
}

double spread_above(const struct spread *s, double seconds) {
    long above = 0;
    for (int i = bin_of(seconds) + 1; i < BINS; i++) above += s->bins[i];
    return s->count ? (double)above / (double)s->count : 0;
}
