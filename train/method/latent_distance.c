/* latent_distance.c: see latent_distance.h. */
#include "train/method/latent_distance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int latent_distance_open(struct latent_distance *d, int F, long size) {
    *d = (struct latent_distance){.F = F, .size = size};
    double *memory = calloc(2 * LATENT_SIDES * LATENT_DIFFERENCES * (size_t)size, sizeof *memory);
    if (!memory) return error_set(ERR_DEVICE, "out of memory for the distance of latents");
    for (int s = 0; s < LATENT_SIDES; s++)
        for (int k = 0; k < LATENT_DIFFERENCES; k++, memory += 2 * size) {
            d->sum[s][k] = memory;
            d->squares[s][k] = memory + size;
        }
    return OK;
}

void latent_distance_close(struct latent_distance *d) {
    free(d->sum[0][0]); /* where the memory begins */
    memset(d, 0, sizeof *d);
}

static void add_difference(struct latent_distance *d, enum latent_side side, enum latent_difference kind,
                           const real *frame, const real *less) {
    double *sum = d->sum[side][kind], *squares = d->squares[side][kind];
    for (long i = 0; i < d->size; i++) {
        double v = (double)frame[i] - (double)less[i];
        sum[i] += v;
        squares[i] += v * v;
    }
}

void latent_distance_add(struct latent_distance *d, enum latent_side side, const real *clips, int count) {
    for (int b = 0; b < count; b++) {
        const real *clip = clips + (long)b * d->F * d->size;
        for (int f = 1; f < d->F; f++) {
            const real *frame = clip + f * d->size;
            add_difference(d, side, DIFFERENCE_REFERENCE, frame, clip);
            add_difference(d, side, DIFFERENCE_BEFORE, frame, frame - d->size);
        }
    }
    d->frames[side] += (long)count * (d->F - 1);
}

struct moments {
    double mean, deviation;
};
static struct moments moments_of(const struct latent_distance *d, int side, int kind, long i) {
    double n = (double)d->frames[side], mean = d->sum[side][kind][i] / n;
    double variance = d->squares[side][kind][i] / n - mean * mean;
    return (struct moments){mean, variance > 0 ? sqrt(variance) : 0};
}

static double distance_of(const struct latent_distance *d, int kind) {
    double apart = 0, still = 0;
    for (long i = 0; i < d->size; i++) {
        struct moments g = moments_of(d, LATENTS_MADE, kind, i), r = moments_of(d, LATENTS_REAL, kind, i);
        double mean = g.mean - r.mean, deviation = g.deviation - r.deviation;
        apart += mean * mean + deviation * deviation;
        still += r.mean * r.mean + r.deviation * r.deviation;
    }
    return apart / fmax(still, 1e-30);
}

double latent_distance(const struct latent_distance *d) {
    return 0.5 * (distance_of(d, DIFFERENCE_REFERENCE) + distance_of(d, DIFFERENCE_BEFORE));
}

double latent_drift(const struct latent_distance *d) {
    double mean[LATENT_SIDES] = {0};
    for (int s = 0; s < LATENT_SIDES; s++)
        for (long i = 0; i < d->size; i++) mean[s] += d->squares[s][DIFFERENCE_REFERENCE][i] / (double)d->frames[s];
    return mean[LATENTS_MADE] / fmax(mean[LATENTS_REAL], 1e-30);
}
