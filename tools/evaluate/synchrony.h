/* synchrony.h: measures whether a measured track is in time with the known one. A search over lags says whether it is
   early or late. Two controls must fail: cyclic shifts of the known track, which keep its speed, its range and the mask
   but lose its place in time, and other clips' tracks in its stead. Pure functions; host memory; sums consist of
   doubles and start from zeros. */
#ifndef TOOLS_EVALUATE_SYNCHRONY_H
#define TOOLS_EVALUATE_SYNCHRONY_H

#include <stdint.h>

#include "tools/evaluate/regression.h"

/* Lags of -LAG_REACH .. LAG_REACH video frames: measured[i] is compared with known[i - lag], both in the same span of
   `used`. So a lag over 0 means that the measured track is late. Where fewer than LAG_SPAN frames of a span are left,
   they do not count. */
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
/* A correlation compared with those of the wrong places. */
struct chance_test {
    double correlation;     /* correlation in place, over the dialogues that count */
    double mean, deviation; /* mean and deviation of the wrong places' correlations */
    double z;               /* (correlation - mean) / deviation; 0 when they do not differ */
    double p;               /* (1 + wrong places whose correlation is as high or higher) / (1 + wrong places) */
};
struct chance_test shift_sums_test(const struct shift_sums *sums);

/* The permutation test of clips: every clip's measured track is compared with another's known one, in PERMUTATIONS
   random orders of the clips, each pooled like the true order. Of two lengths the shorter counts. Clips that begin and
   end alike resemble each other; the mean over the orders says how much. */
enum { PERMUTATIONS = 999 };
struct clip_tracks {
    const float *measured, *known;
    int count, phases; /* every phases-th frame has a mean of its own removed; 1: one mean for all frames */
};
/* ERR_DEVICE: out of memory. One clip alone has no other order: p is 1. */
int permutation_test(struct chance_test *test, uint64_t seed, const struct clip_tracks *clips, int count);

#endif
