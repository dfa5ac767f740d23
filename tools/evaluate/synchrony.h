/* synchrony.h: is a measured track in time with the known one? A search over lags says whether it is early or late;
   cyclic shifts of the known track are the control that must fail: they keep its speed, its range and the mask, and
   lose its place in time, and so do other clips' tracks in its stead. Pure functions; host memory; sums are doubles
   alone and start from zeros. */
#ifndef TOOLS_EVALUATE_SYNCHRONY_H
#define TOOLS_EVALUATE_SYNCHRONY_H

#include <stdint.h>

#include "tools/evaluate/regression.h"

/* Lags of -LAG_REACH .. LAG_REACH video frames: measured[i] against known[i - lag], both in the same span of `used`.
   So a lag over 0 means that the measured track is late. Less of a span than LAG_SPAN frames does not count. */
enum { LAG_REACH = 12, LAGS = 2 * LAG_REACH + 1, LAG_SPAN = 8 };
struct lag_sums {
    struct regression at[LAGS];
};
void lag_sums_add(struct lag_sums *sums, const float *measured, const float *known, const float *used, int count);
/* The highest correlation, and the lag that has it, to a fraction of a frame (the parabola through its neighbours). */
double lag_sums_best(const struct lag_sums *sums, double *lag);
/* The highest correlation less the median over all lags, as SyncNet's confidence is. */
double lag_sums_confidence(const struct lag_sums *sums);

/* The known values of a dialogue's used frames lie in a circle; SHIFTS places all round it, evenly spread, none
   nearer than SHIFT_NEAR frames to the true one, where the track still resembles itself. Each shift is pooled over
   dialogues like the true place. A dialogue of fewer than 2 SHIFT_NEAR + 2 used frames does not count, neither
   shifted nor in place. */
enum { SHIFTS = 256, SHIFT_NEAR = LAG_REACH };
struct shift_sums {
    struct regression here;
    struct {
        double yy, xy; /* xx is the same for all */
    } at[SHIFTS];
};
/* `known` and `measured` of one track. ERR_DEVICE: out of memory. */
int shift_sums_add(struct shift_sums *sums, const float *measured, const float *known, const float *used, int count);
void shift_sums_merge(struct shift_sums *to, const struct shift_sums *from, int count); /* to[i] += from[i] */
/* What a correlation is worth beside those of the wrong places. */
struct chance_test {
    double correlation;     /* in place, over the dialogues that count */
    double mean, deviation; /* of the wrong places' correlations */
    double z;               /* (correlation - mean) / deviation; 0 when they do not differ */
    double p;               /* (1 + wrong places whose correlation is as high or higher) / (1 + wrong places) */
};
struct chance_test shift_sums_test(const struct shift_sums *sums);

/* The permutation test of clips: every clip's measured track against another's known one, by PERMUTATIONS random
   orders of the clips, each pooled like the true order; of two lengths the shorter counts. Clips that begin and end
   alike resemble each other: the orders' mean says how much. */
enum { PERMUTATIONS = 999 };
struct clip_tracks {
    const float *measured, *known;
    int count, phases; /* means are removed of every phases-th frame for itself; 1: of all together */
};
/* ERR_DEVICE: out of memory. One clip alone has no other order: p is 1. */
int permutation_test(struct chance_test *test, uint64_t seed, const struct clip_tracks *clips, int count);

#endif
