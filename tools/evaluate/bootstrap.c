/* bootstrap.c: see bootstrap.h. */
#include "tools/evaluate/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/philox.h"
#include "base/sorting.h"

/* The quantile `share` of sorted values, interpolated between two of them. */
static double quantile(const double *sorted, int count, double share) {
    double at = share * (count - 1);
    int below = (int)at;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]);
}

static void draw(uint64_t seed, int number, int *drawn, int count) {
    const struct random_address address = {.seed = seed, .step = (uint64_t)number, .purpose = RANDOM_BOOTSTRAP};
    for (int i = 0; i < count; i++) drawn[i] = (int)random_below(&address, (uint32_t)i, count);
}

int bootstrap(uint64_t seed, int count, bootstrap_figures compute, void *user, struct bootstrap_interval *out,
              int figures) {
    int *drawn = malloc(sizeof *drawn * (size_t)(count + 1));
    double *all = malloc(sizeof *all * (size_t)figures * (BOOTSTRAP_DRAWS + 1)), *value = all,
           *draws = all + figures; /* [figures, BOOTSTRAP_DRAWS] */
    if (!drawn || !all) {
        free(drawn);
        free(all);
        return error_set(ERR_DEVICE, "out of memory for the bootstrap");
    }
    for (int i = 0; i < count; i++) drawn[i] = i;
    compute(user, drawn, count, value);
    for (int f = 0; f < figures; f++) out[f] = (struct bootstrap_interval){value[f], value[f], value[f]};
    for (int d = 0; d < BOOTSTRAP_DRAWS && count > 1; d++) {
        draw(seed, d, drawn, count);
        compute(user, drawn, count, value);
        for (int f = 0; f < figures; f++) draws[(size_t)f * BOOTSTRAP_DRAWS + (size_t)d] = value[f];
    }
    for (int f = 0; f < figures && count > 1; f++) {
        double *own = draws + (size_t)f * BOOTSTRAP_DRAWS;
        int finite = 0;
        for (int d = 0; d < BOOTSTRAP_DRAWS; d++)
            if (isfinite(own[d])) own[finite++] = own[d];
        if (!finite) continue;
        sort_doubles(own, (size_t)finite);
        out[f].low = quantile(own, finite, 0.025);
        out[f].high = quantile(own, finite, 0.975);
    }
    free(drawn);
    free(all);
    return OK;
}
