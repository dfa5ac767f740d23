/* synchrony.c: see synchrony.h. */
#include "tools/evaluate/synchrony.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/philox.h"
#include "base/sorting.h"

/* ---- lags ---- */

void lag_sums_add(struct lag_sums *sums, const float *measured, const float *known, const float *used, int count) {
    for (int from = 0, to = 0; next_span(used, count, &from, &to);)
        for (int k = 0; k < LAGS; k++) {
            int lag = k - LAG_REACH, first = from + (lag > 0 ? lag : 0), last = to + (lag < 0 ? lag : 0);
            if (last - first < LAG_SPAN) continue;
            regression_add_span(&sums->at[k], measured + first, known + first - lag, last - first);
        }
}

double lag_sums_best(const struct lag_sums *sums, double *lag) {
    int best = LAG_REACH;
    for (int k = 0; k < LAGS; k++)
        if (regression_correlation(&sums->at[k]) > regression_correlation(&sums->at[best])) best = k;
    double at = regression_correlation(&sums->at[best]), vertex = 0;
    if (best > 0 && best + 1 < LAGS) {
        double before = regression_correlation(&sums->at[best - 1]),
               after = regression_correlation(&sums->at[best + 1]);
        double bend = before - 2 * at + after;
        if (bend < 0) vertex = 0.5 * (before - after) / bend;
    }
    *lag = best - LAG_REACH + vertex;
    return at;
}

double lag_sums_confidence(const struct lag_sums *sums) {
    double all[LAGS];
    for (int k = 0; k < LAGS; k++) all[k] = regression_correlation(&sums->at[k]);
    sort_doubles(all, LAGS);
    return all[LAGS - 1] - all[LAGS / 2];
}

/* ---- cyclic shifts ---- */

/* Adds the sums of one dialogue's track with the circle turned by `shift`. spans [span_count + 1] are places in the
   circle. */
static struct regression turned(const float *measured, const float *circle, float *room, int n, int shift,
                                const int *spans, int span_count) {
    struct regression sums = {0};
    for (int i = 0; i < n; i++) room[i] = circle[(i + shift) % n];
    for (int s = 0; s < span_count; s++)
        regression_add_span(&sums, measured + spans[s], room + spans[s], spans[s + 1] - spans[s]);
    return sums;
}

int shift_sums_add(struct shift_sums *sums, const float *measured, const float *known, const float *used, int count) {
    float *room = malloc(3 * (size_t)(count + 1) * sizeof *room), *circle = room + count, *of = room + 2 * count;
    int *spans = malloc((size_t)(count + 1) * sizeof *spans), n = 0, span_count = 0;
    if (!room || !spans) {
        free(room);
        free(spans);
        return error_set(ERR_DEVICE, "out of memory for the shifted tracks");
    }
    for (int from = 0, to = 0; next_span(used, count, &from, &to); span_count++) {
        spans[span_count] = n;
        for (int i = from; i < to; i++, n++) circle[n] = known[i], of[n] = measured[i];
    }
    spans[span_count] = n;
    if (n >= 2 * SHIFT_NEAR + 2) {
        struct regression here = turned(of, circle, room, n, 0, spans, span_count);
        regression_merge(&sums->here, &here);
        for (int k = 0; k < SHIFTS; k++) {
            int shift = SHIFT_NEAR + (int)((long)k * (n - 2 * SHIFT_NEAR + 1) / SHIFTS);
            struct regression away = turned(of, circle, room, n, shift, spans, span_count);
            sums->at[k].yy += away.yy, sums->at[k].xy += away.xy;
        }
    }
    free(room);
    free(spans);
    return OK;
}

void shift_sums_merge(struct shift_sums *to, const struct shift_sums *from, int count) {
    for (int i = 0; i < count; i++) {
        regression_merge(&to[i].here, &from[i].here);
        for (int k = 0; k < SHIFTS; k++) to[i].at[k].yy += from[i].at[k].yy, to[i].at[k].xy += from[i].at[k].xy;
    }
}

/* Tests the correlation in place against those of `count` wrong places. */
static struct chance_test chance(double in_place, const double *wrong, int count) {
    struct chance_test test = {.correlation = in_place};
    double squares = 0;
    int as_high = 0;
    for (int k = 0; k < count; k++) test.mean += wrong[k] / count;
    for (int k = 0; k < count; k++) squares += (wrong[k] - test.mean) * (wrong[k] - test.mean);
    for (int k = 0; k < count; k++) as_high += wrong[k] >= in_place;
    test.deviation = sqrt(squares / count);
    if (test.deviation > 1e-9) test.z = (in_place - test.mean) / test.deviation;
    test.p = (1.0 + as_high) / (1.0 + count);
    return test;
}

struct chance_test shift_sums_test(const struct shift_sums *sums) {
    double wrong[SHIFTS];
    for (int k = 0; k < SHIFTS; k++) {
        struct regression away = {.xx = sums->here.xx, .yy = sums->at[k].yy, .xy = sums->at[k].xy};
        wrong[k] = regression_correlation(&away);
    }
    return chance(regression_correlation(&sums->here), wrong, SHIFTS);
}

/* ---- permutations ---- */

static void shuffle(uint64_t seed, int number, int *order, int count) {
    const struct random_address address = {.seed = seed, .step = (uint64_t)number, .purpose = RANDOM_PERMUTATION};
    for (int i = 0; i < count; i++) order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)random_below(&address, (uint32_t)i, i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

static double in_order(const struct clip_tracks *clips, const int *order, int count) {
    struct regression sums = {0};
    for (int i = 0; i < count; i++) {
        const struct clip_tracks *own = &clips[i], *other = &clips[order[i]];
        int frames = own->count < other->count ? own->count : other->count, phases = own->phases;
        for (int p = 0; p < phases; p++)
            regression_add_strided(&sums, own->measured + p, other->known + p, (frames - p + phases - 1) / phases,
                                   phases);
    }
    return regression_correlation(&sums);
}

int permutation_test(struct chance_test *test, uint64_t seed, const struct clip_tracks *clips, int count) {
    int *order = malloc((size_t)(count + 1) * sizeof *order);
    double wrong[PERMUTATIONS];
    if (!order) return error_set(ERR_DEVICE, "out of memory for the permutation test");
    for (int i = 0; i < count; i++) order[i] = i;
    double in_place = in_order(clips, order, count);
    for (int k = 0; k < PERMUTATIONS; k++) {
        shuffle(seed, k, order, count);
        wrong[k] = in_order(clips, order, count);
    }
    free(order);
    *test = chance(in_place, wrong, PERMUTATIONS);
    return OK;
}
