/* regression.c: see regression.h. */
#include "tools/evaluate/regression.h"

#include <math.h>

int next_span(const float *mask, int count, int *from, int *to) {
    int i = *to;
    while (i < count && !(mask[i] > 0.5f)) i++;
    *from = i;
    while (i < count && mask[i] > 0.5f) i++;
    *to = i;
    return *to > *from;
}

void regression_add_strided(struct regression *sums, const float *measured, const float *known, int count, int stride) {
    double x = 0, y = 0;
    if (count < 1) return;
    for (int i = 0; i < count; i++) x += measured[i * stride], y += known[i * stride];
    x /= count, y /= count;
    for (int i = 0; i < count; i++) {
        double dx = measured[i * stride] - x, dy = known[i * stride] - y;
        sums->xx += dx * dx;
        sums->yy += dy * dy;
        sums->xy += dx * dy;
    }
    sums->frames += count;
    sums->spans++;
}

void regression_add_span(struct regression *sums, const float *measured, const float *known, int count) {
    regression_add_strided(sums, measured, known, count, 1);
}

void regression_add(struct regression *sums, const float *measured, const float *known, const float *used, int count) {
    for (int from = 0, to = 0; next_span(used, count, &from, &to);)
        regression_add_span(sums, measured + from, known + from, to - from);
}

void regression_merge(struct regression *to, const struct regression *from) {
    to->xx += from->xx, to->yy += from->yy, to->xy += from->xy;
    to->frames += from->frames, to->spans += from->spans;
}

double regression_slope(const struct regression *sums) { return sums->yy > 1e-12 ? sums->xy / sums->yy : 0; }

double regression_correlation(const struct regression *sums) {
    double scale = sqrt(sums->xx * sums->yy);
    return scale > 1e-12 ? sums->xy / scale : 0;
}

double regression_deviation(const struct regression *sums) {
    return sums->frames > 0 ? sqrt(sums->xx / sums->frames) : 0;
}

double regression_residual(const struct regression *sums) {
    double left = sums->xx - (sums->yy > 1e-12 ? sums->xy * sums->xy / sums->yy : 0);
    return sums->frames > 0 ? sqrt(fmax(0, left) / sums->frames) : 0;
}
