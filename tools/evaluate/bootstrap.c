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

/* Draws `count` numbers below `below`. way: 0 for dialogues, 1 for runs. */
static void draw(uint64_t seed, int number, int way, int *drawn, int count, int below) {
    const struct random_address address = {
        .seed = seed, .step = (uint64_t)number, .purpose = RANDOM_BOOTSTRAP, .sample = (uint32_t)way};
    for (int i = 0; i < count; i++) drawn[i] = (int)random_below(&address, (uint32_t)i, below);
}

/* Computes the intervals' ends from the draws [figures, BOOTSTRAP_DRAWS], which are sorted in place. */
static void find_ends(double *draws, struct bootstrap_interval *out, int figures) {
    for (int f = 0; f < figures; f++) {
        double *own = draws + (size_t)f * BOOTSTRAP_DRAWS;
        int finite = 0;
        for (int d = 0; d < BOOTSTRAP_DRAWS; d++)
            if (isfinite(own[d])) own[finite++] = own[d];
        if (!finite) continue;
        sort_doubles(own, (size_t)finite);
        out[f].low = quantile(own, finite, 0.025);
        out[f].high = quantile(own, finite, 0.975);
    }
}

int bootstrap_crossed(uint64_t seed, int dialogues, int runs, bootstrap_crossed_figures compute, void *user,
                      struct bootstrap_interval *out, int figures) {
    int *drawn = malloc(sizeof *drawn * (size_t)(dialogues + runs + 1)), *drawn_runs = drawn + dialogues;
    double *all = malloc(sizeof *all * (size_t)figures * (BOOTSTRAP_DRAWS + 1)), *value = all,
           *draws = all + figures; /* [figures, BOOTSTRAP_DRAWS] */
    if (!drawn || !all) {
        free(drawn);
        free(all);
        return error_set(ERR_DEVICE, "out of memory for the bootstrap");
    }
    struct bootstrap_sample sample = {drawn, drawn_runs, dialogues, runs};
    for (int i = 0; i < dialogues; i++) drawn[i] = i;
    for (int i = 0; i < runs; i++) drawn_runs[i] = i;
    compute(user, &sample, value);
    for (int f = 0; f < figures; f++) out[f] = (struct bootstrap_interval){value[f], value[f], value[f]};
    if (runs > 1) sample.run_count = runs - 1;
    int several = dialogues > 1 || runs > 1;
    for (int d = 0; d < BOOTSTRAP_DRAWS && several; d++) {
        draw(seed, d, 0, drawn, dialogues, dialogues);
        if (runs > 1) draw(seed, d, 1, drawn_runs, runs - 1, runs);
        compute(user, &sample, value);
        for (int f = 0; f < figures; f++) draws[(size_t)f * BOOTSTRAP_DRAWS + (size_t)d] = value[f];
    }
    if (several) find_ends(draws, out, figures);
    free(drawn);
    free(all);
    return OK;
}

/* ---- dialogues alone ---- */

struct one_run {
    bootstrap_figures compute;
    void *user;
};

static void compute_one_run(void *user, const struct bootstrap_sample *sample, double *figures) {
    const struct one_run *one = user;
    one->compute(one->user, sample->dialogues, sample->dialogue_count, figures);
}

int bootstrap(uint64_t seed, int count, bootstrap_figures compute, void *user, struct bootstrap_interval *out,
              int figures) {
    struct one_run one = {compute, user};
    return bootstrap_crossed(seed, count, 1, compute_one_run, &one, out, figures);
}
