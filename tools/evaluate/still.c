/* still.c: see still.h. */
#include "tools/evaluate/still.h"

#include <math.h>
#include <stdlib.h>
#include "base/error.h"
#include "base/sorting.h"

static double luminance(const float *frame, size_t plane, size_t i) {
    return 0.299 * (double)frame[i] + 0.587 * (double)frame[plane + i] + 0.114 * (double)frame[2 * plane + i];
}

/* Computes the variance in time of every place's luminance. */
static double variance(const struct clip *clip, size_t plane, size_t i) {
    double sum = 0, squares = 0;
    for (int f = 0; f < clip->count; f++) {
        double y = luminance(clip->frames + (size_t)f * 3 * plane, plane, i);
        sum += y;
        squares += y * y;
    }
    return fmax(0, squares / clip->count - sum / clip->count * (sum / clip->count));
}

static void add_place(struct still_pool *pool, const struct clip *truth, const struct clip *made, size_t i) {
    size_t plane = (size_t)truth->height * (size_t)truth->width;
    for (size_t at = 3 * plane + i; at < 3 * plane * (size_t)truth->count; at += plane) {
        double error = (double)made->frames[at] - (double)truth->frames[at];
        pool->squares += error * error;
        pool->values++;
    }
}

int still_pool_add(struct still_pool *pool, const struct clip *truth, const struct clip *made) {
    size_t plane = (size_t)truth->height * (size_t)truth->width;
    double *of = malloc(2 * plane * sizeof *of), *sorted = of + plane;
    if (!of) return error_set(ERR_DEVICE, "out of memory for the still areas");
    for (size_t i = 0; i < plane; i++) sorted[i] = of[i] = variance(truth, plane, i);
    sort_doubles(sorted, plane);
    for (size_t i = 0; i < plane; i++)
        if (of[i] <= sorted[(plane - 1) / 2]) add_place(pool, truth, made, i);
    free(of);
    return OK;
}

double still_pool_psnr(const struct still_pool *pool) {
    if (!(pool->values > 0)) return 0;
    return fmin(99, 10 * log10(4 / fmax(pool->squares / pool->values, 1e-12)));
}
