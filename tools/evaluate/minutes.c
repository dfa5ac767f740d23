/* minutes.c: see minutes.h. */
#include "tools/evaluate/minutes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/process_memory.h"
#include "tools/table/interval.h"

const char *const minute_figure_names[MINUTE_FIGURES] = {"identity", "hue",      "saturation", "contrast",
                                                         "energy",   "lip_sync", "motion"};

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

double minute_figure(const struct minute_sums *s, const struct minute_sums *drawn, enum minute_figure which) {
    if (!(s->frames > 0)) return NAN;
    switch (which) {
    case MINUTE_IDENTITY:
        return -10 * log10(s->error / s->frames + 1e-10);
    case MINUTE_HUE:
        return atan2(s->turn[1], s->turn[0]) * 180 / acos(-1.0);
    case MINUTE_SATURATION:
        return s->chroma / s->frames;
    case MINUTE_CONTRAST:
        return s->contrast / s->frames;
    case MINUTE_ENERGY:
        return ratio(ratio(s->energy, s->changes), ratio(drawn->energy, drawn->changes));
    case MINUTE_SYNC:
        return s->mouth.frames > 0 ? regression_correlation(&s->mouth) : NAN;
    case MINUTE_MOTION:
        return 127.5 * ratio(s->energy, s->changes); /* luminance goes from -1 to 1 */
    default:
        return NAN;
    }
}

int minute_meter_open(struct minute_meter *m, const float *reference, const struct landmarks *marks, int height,
                      int width) {
    size_t picture = 3 * (size_t)height * (size_t)width;
    const struct clip clip = {.frames = reference, .count = 1, .height = height, .width = width};
    double turn[2];
    memset(m, 0, sizeof *m);
    m->height = height, m->width = width;
    m->reference = reference;
    m->marks = marks;
    m->contrast = measure_contrast(&clip);
    m->chroma = measure_chroma(&clip, reference, turn);
    m->pair = malloc(2 * picture * sizeof *m->pair);
    if (!m->pair) return error_set(ERR_DEVICE, "out of memory for the minutes' measures");
    memcpy(m->pair, reference, picture * sizeof *m->pair);
    return OK;
}

void minute_meter_close(struct minute_meter *m) {
    free(m->pair);
    memset(m, 0, sizeof *m);
}

void minute_meter_take(struct minute_meter *m, struct minute_sums *s, long frame, const float *picture) {
    size_t size = 3 * (size_t)m->height * (size_t)m->width;
    const struct clip clip = {.frames = picture, .count = 1, .height = m->height, .width = m->width};
    const struct clip pair = {.frames = m->pair, .count = 2, .height = m->height, .width = m->width};
    const struct box whole = {0, 0, (float)m->width, (float)m->height};
    float shift[1][2], change[2];
    double turn[2];
    measure_face_shift(&clip, m->reference, m->marks, shift);
    measure_mouth_opening(&clip, m->reference, m->marks, (const float(*)[2])shift, &m->opening[frame % MINUTE_FRAMES]);
    s->frames++;
    s->error += pow(10, -measure_identity_psnr(&clip, m->reference, m->marks) / 10);
    s->contrast += measure_contrast(&clip) / m->contrast;
    s->chroma += measure_chroma(&clip, m->reference, turn) / m->chroma;
    for (int k = 0; k < 2; k++) s->turn[k] += turn[k];
    memcpy(m->pair + size, picture, size * sizeof *m->pair);
    measure_motion_energy(&pair, &whole, change);
    memcpy(m->pair, picture, size * sizeof *m->pair);
    if (frame <= 1) return; /* the step from the reference to the first made frame is no motion */
    s->energy += change[1];
    s->changes++;
}

void minute_meter_end(struct minute_meter *m, struct minute_sums *s, long minute, const float *known,
                      const float *talk) {
    int first = minute == 0; /* frame 0 is the reference */
    lip_pool_add(&s->mouth, m->opening + first, known + first, talk + first, MINUTE_FRAMES - first);
    s->resident = (double)process_resident() / (1 << 20);
}

/* The number of independent values that `count` residuals are worth. */
static double independent(const double *residual, int count) {
    double own = 0, next = 0;
    for (int i = 0; i < count; i++) {
        own += residual[i] * residual[i];
        if (i) next += residual[i] * residual[i - 1];
    }
    double r = own > 0 ? next / own : 0;
    return fmax(3, r > 0 ? count * (1 - r) / (1 + r) : count);
}

struct minute_slope minute_slope(const double *values, int count) {
    double *at = malloc(2 * (size_t)(count + 1) * sizeof *at), *value = at + count + 1, x = 0, y = 0, xx = 0, xy = 0;
    int n = 0;
    for (int i = 0; i < count && at; i++)
        if (!isnan(values[i])) at[n] = i / 60.0, value[n] = values[i], x += at[n], y += value[n], n++;
    if (n < 3) {
        free(at);
        return (struct minute_slope){NAN, NAN, NAN};
    }
    x /= n, y /= n;
    for (int i = 0; i < n; i++) xx += (at[i] - x) * (at[i] - x), xy += (at[i] - x) * (value[i] - y);
    double slope = xy / xx, left = 0;
    for (int i = 0; i < n; i++) {
        value[i] -= y + slope * (at[i] - x);
        left += value[i] * value[i];
    }
    double worth = independent(value, n);
    double reach = interval_student(worth - 2) * sqrt(left / (worth - 2) / xx);
    free(at);
    return (struct minute_slope){slope, slope - reach, slope + reach};
}
