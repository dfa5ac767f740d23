/* shots.c: see shots.h. */
#include "tools/prepare/shots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"

static const double STANDS_OUT = 4, COMES_BACK = 0.4; /* over the neighbours' mean step; share of the step itself */
/* Limits of a dissolve: how far frames may lie off the straight line, and off an even way along it, as shares of its
   length; how fast pictures around it may change, as a share of its own speed; how alike its ends may be
   (correlation). */
static const double OFF_LINE = 0.15, OFF_PACE = 0.12, STILL = 0.4, ALIKE = 0.9;
static const double DIFFERS = 0.03, MUCH = 1. / 3; /* share of full scale, of the picture */

int shots_open(struct shots *s, int height, int width, double threshold) {
    memset(s, 0, sizeof *s);
    s->height = height;
    s->width = width;
    s->threshold = threshold;
    s->dissolved = -1;
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

/* Makes the coarse picture: means of blocks. */
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

/* Distance of two frames, 0 to 1. */
static double apart(const struct shots *s, long a, long b) {
    const float *x = s->small[a % SHOTS_RING], *y = s->small[b % SHOTS_RING];
    double sum = 0;
    for (int i = 0; i < SHOTS_SMALL; i++) sum += fabsf(x[i] - y[i]);
    return sum / SHOTS_SMALL / 2;
}

/* Share of the coarse picture's blocks in which two frames differ: a cut changes much of the picture, a hand or a clock
   little. */
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

/* 1 where frame f begins a shot, judged by the frames around it that are known. */
static int is_cut(const struct shots *s, long f) {
    if (!f || s->threshold <= 0) return 0;
    double step = apart(s, f - 1, f), around = 0;
    if (step < s->threshold || changed(s, f - 1, f) < MUCH) return 0;
    long first = f - SHOTS_NEAR > 0 ? f - SHOTS_NEAR : 0, end = f + SHOTS_NEAR < s->taken ? f + SHOTS_NEAR : s->taken;
    int count = 0;
    for (long i = first + 1; i < end; i++)
        if (i != f) around += apart(s, i - 1, i), count++;
    if (count && step < STANDS_OUT * around / count) return 0;
    for (long before = first; before < f; before++)
        for (long after = f; after < end; after++)
            if (apart(s, before, after) < COMES_BACK * step) return 0;
    return 1;
}

/* ---- dissolves ---- */

/* Correlation of two coarse pictures, each channel about its own mean; 0 where one of them is even. */
static double alike(const float *x, const float *y) {
    enum { BLOCKS = SHOTS_BLOCKS * SHOTS_BLOCKS };
    double xx = 0, yy = 0, xy = 0;
    for (int c = 0; c < 3; c++) {
        double mx = 0, my = 0;
        for (int i = c * BLOCKS; i < (c + 1) * BLOCKS; i++) mx += x[i] / BLOCKS, my += y[i] / BLOCKS;
        for (int i = c * BLOCKS; i < (c + 1) * BLOCKS; i++) {
            xx += (x[i] - mx) * (x[i] - mx), yy += (y[i] - my) * (y[i] - my);
            xy += (x[i] - mx) * (y[i] - my);
        }
    }
    double scale = sqrt(xx * yy);
    return scale > 1e-6 ? xy / scale : 0;
}

/* 1 where the frames between a and b lie evenly on the line from one to the other. */
static int is_blend(const struct shots *s, long a, long b) {
    const float *x = s->small[a % SHOTS_RING], *y = s->small[b % SHOTS_RING];
    double square = 0, length = 0;
    for (int i = 0; i < SHOTS_SMALL; i++) square += (y[i] - x[i]) * (y[i] - x[i]), length += fabsf(y[i] - x[i]);
    for (long k = a + 1; k < b; k++) {
        const float *z = s->small[k % SHOTS_RING];
        double along = 0, off = 0;
        for (int i = 0; i < SHOTS_SMALL; i++) along += (z[i] - x[i]) * (y[i] - x[i]);
        along /= square;
        if (fabs(along - (double)(k - a) / (double)(b - a)) > OFF_PACE) return 0;
        for (int i = 0; i < SHOTS_SMALL; i++) off += fabs(z[i] - x[i] - along * (y[i] - x[i]));
        if (off > OFF_LINE * length) return 0;
    }
    return 1;
}

/* Last frame of the longest dissolve that may begin with frame f; -1: there is none. */
static long end_of_dissolve(const struct shots *s, long f) {
    long a = f - 1, before = a > SHOTS_STILL ? a - SHOTS_STILL : 0;
    if (f < 1 || s->threshold <= 0) return -1;
    for (long b = a + SHOTS_LONG; b >= a + SHOTS_SHORT; b--) {
        if (b >= s->taken) continue;
        double step = apart(s, a, b), pace = STILL * step / (double)(b - a);
        if (step < s->threshold || changed(s, a, b) < MUCH) continue;
        long after = b + SHOTS_STILL < s->taken ? b + SHOTS_STILL : s->taken - 1;
        if (apart(s, before, a) > pace * (double)(a - before) || apart(s, b, after) > pace * (double)(after - b))
            continue;
        if (alike(s->small[a % SHOTS_RING], s->small[b % SHOTS_RING]) < ALIKE && is_blend(s, a, b)) return b - 1;
    }
    return -1;
}

int shots_give(struct shots *s, float *pixels, int *missing, enum shot_place *where, int last) {
    if (s->given == s->taken || (!last && shots_wants(s))) return 0;
    memcpy(pixels, place(s, s->given), sizeof(float) * 3 * (size_t)s->height * (size_t)s->width);
    *missing = s->missing[s->given % SHOTS_RING];
    if (s->given > s->dissolved) s->dissolved = end_of_dissolve(s, s->given);
    *where = s->given <= s->dissolved ? SHOT_DISSOLVES : is_cut(s, s->given) ? SHOT_BEGINS : SHOT_GOES_ON;
    s->given++;
    return 1;
}
