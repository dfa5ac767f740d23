/* area.c: see area.h. */
#include "tools/probe/area.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sorting.h"

/* Pairs by clip, and room for the logits of one draw. */
struct draw {
    const struct judged_logits *logits;
    int *unit; /* [pairs]: which of the distinct clips a pair is of */
    int units, capacity;
    double *real_ones, *fake_ones;
};

/* Numbers the distinct clips. */
static void number_units(struct draw *d) {
    const int *clip = d->logits->clip;
    for (int i = 0; i < d->logits->pairs; i++) {
        int k = 0;
        while (k < i && clip[k] != clip[i]) k++;
        d->unit[i] = k < i ? d->unit[k] : d->units++;
    }
}

/* Share of couples whose real logit is the larger one; both sorted. */
static double area(const double *real_ones, const double *fake_ones, size_t count) {
    size_t below = 0, upto = 0; /* fakes below a real logit; fakes not above it */
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        while (below < count && fake_ones[below] < real_ones[i]) below++;
        while (upto < count && fake_ones[upto] <= real_ones[i]) upto++;
        sum += 0.5 * (double)(below + upto);
    }
    return sum / ((double)count * (double)count);
}

static void compute(void *user, const int *drawn, int count, double *figure) {
    struct draw *d = user;
    size_t each = (size_t)d->logits->each, n = 0;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < d->logits->pairs; i++) {
            if (d->unit[i] != drawn[k] || n + each > (size_t)d->capacity) continue;
            memcpy(d->real_ones + n, d->logits->real_ones + (size_t)i * each, each * sizeof *d->real_ones);
            memcpy(d->fake_ones + n, d->logits->fake_ones + (size_t)i * each, each * sizeof *d->fake_ones);
            n += each;
        }
    sort_doubles(d->real_ones, n);
    sort_doubles(d->fake_ones, n);
    *figure = area(d->real_ones, d->fake_ones, n);
}

/* Most pairs that one clip has. */
static int largest_unit(const struct draw *d) {
    int most = 0;
    for (int k = 0; k < d->units; k++) {
        int count = 0;
        for (int i = 0; i < d->logits->pairs; i++) count += d->unit[i] == k;
        if (count > most) most = count;
    }
    return most;
}

int area_interval(const struct judged_logits *logits, uint64_t seed, struct bootstrap_interval *interval) {
    struct draw d = {.logits = logits, .unit = malloc(sizeof *d.unit * (size_t)logits->pairs)};
    int code = d.unit ? OK : ERR_DEVICE;
    if (!code) {
        number_units(&d);
        d.capacity = d.units * largest_unit(&d) * logits->each;
        d.real_ones = malloc(2 * sizeof *d.real_ones * (size_t)d.capacity);
        if (!d.real_ones) code = ERR_DEVICE;
    }
    if (code) error_set(ERR_DEVICE, "out of memory for the area under the curve");
    if (!code) {
        d.fake_ones = d.real_ones + d.capacity;
        code = bootstrap(seed, d.units, compute, &d, interval, 1);
    }
    free(d.real_ones);
    free(d.unit);
    return code;
}
