/* shots.c: see shots.h. */
#include "tools/prepare/shots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"

static const double STANDS_OUT = 4, COMES_BACK = 0.4; /* over the neighbours' mean step; share of the step itself */
static const double DIFFERS = 0.03, MUCH = 1. / 3;    /* share of full scale, of the picture */

int shots_open(struct shots *s, int height, int width, double threshold) {
    memset(s, 0, sizeof *s);
    s->height = height;
    s->width = width;
    s->threshold = threshold;
    s->held = malloc(sizeof(float) * (SHOTS_AHEAD + 1) * 3 * (size_t)height * (size_t)width);
    return s->held ? OK : error_set(ERR_DEVICE, "out of memory for the frames of a shot");
}

void shots_close(struct shots *s) {
    free(s->held);
    s->held = NULL;
}

static float *place(const struct shots *s, long frame) {
    return s->held + (size_t)(frame % (SHOTS_AHEAD + 1)) * 3 * (size_t)s->height * (size_t)s->width;
}

/* Means of blocks. */
static void shrink(const struct shots *s, const float *pixels, float *small) {
    memset(small, 0, sizeof *small * SHOTS_SMALL);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < s->height; y++)
            for (int x = 0; x < s->width; x++)
                small[(c * SHOTS_BLOCKS + y * SHOTS_BLOCKS / s->height) * SHOTS_BLOCKS + x * SHOTS_BLOCKS / s->width] +=
                    pixels[((size_t)c * (size_t)s->height + (size_t)y) * (size_t)s->width + (size_t)x];
    float scale = (float)(SHOTS_BLOCKS * SHOTS_BLOCKS) / (float)(s->height * s->width);
    for (int i = 0; i < SHOTS_SMALL; i++) small[i] *= scale;
}

/* How far two frames lie apart, 0 to 1. */
static double apart(const struct shots *s, long a, long b) {
    const float *x = s->small[a % SHOTS_RING], *y = s->small[b % SHOTS_RING];
    double sum = 0;
    for (int i = 0; i < SHOTS_SMALL; i++) sum += fabsf(x[i] - y[i]);
    return sum / SHOTS_SMALL / 2;
}

/* The share of the coarse picture's blocks that two frames differ in: a cut changes much of the picture, a hand or a
   clock little. */
static double changed(const struct shots *s, long a, long b) {
    const float *x = s->small[a % SHOTS_RING], *y = s->small[b % SHOTS_RING];
    enum { BLOCKS = SHOTS_BLOCKS * SHOTS_BLOCKS };
    int count = 0;
    for (int i = 0; i < BLOCKS; i++) {
        float most = 0;
        for (int c = 0; c < 3; c++) most = fmaxf(most, fabsf(x[c * BLOCKS + i] - y[c * BLOCKS + i]) / 2);
        count += most > (float)DIFFERS;
    }
    return (double)count / BLOCKS;
}

int shots_wants(const struct shots *s) { return s->taken - s->given <= SHOTS_AHEAD; }

void shots_take(struct shots *s, const float *pixels, int missing) {
    memcpy(place(s, s->taken), pixels, sizeof(float) * 3 * (size_t)s->height * (size_t)s->width);
    shrink(s, pixels, s->small[s->taken % SHOTS_RING]);
    s->missing[s->taken % SHOTS_RING] = (unsigned char)missing;
    s->taken++;
}

/* Does frame f begin a shot, by the frames around it that are known? */
static int is_cut(const struct shots *s, long f) {
    if (!f || s->threshold <= 0) return 0;
    double step = apart(s, f - 1, f), around = 0;
    if (step < s->threshold || changed(s, f - 1, f) < MUCH) return 0;
    long first = f - SHOTS_AHEAD > 0 ? f - SHOTS_AHEAD : 0,
         end = f + SHOTS_AHEAD < s->taken ? f + SHOTS_AHEAD : s->taken;
    int count = 0;
    for (long i = first + 1; i < end; i++)
        if (i != f) around += apart(s, i - 1, i), count++;
    if (count && step < STANDS_OUT * around / count) return 0;
    for (long before = first; before < f; before++)
        for (long after = f; after < end; after++)
            if (apart(s, before, after) < COMES_BACK * step) return 0;
    return 1;
}

int shots_give(struct shots *s, float *pixels, int *missing, int *begins, int last) {
    if (s->given == s->taken || (!last && shots_wants(s))) return 0;
    memcpy(pixels, place(s, s->given), sizeof(float) * 3 * (size_t)s->height * (size_t)s->width);
    *missing = s->missing[s->given % SHOTS_RING];
    *begins = is_cut(s, s->given);
    s->given++;
    return 1;
}
