/* measures.c: pooled statistics and picture quality. See measures.h. */
#include "tools/evaluate/measures.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* ---- spans ---- */

/* Finds the next span of talk, less the frames at its ends that lip synchrony leaves out; 0: none is left. */
static int next_lip_span(const float *known, const float *talk, int count, int *to, int *first, int *last) {
    for (int from = 0; next_span(talk, count, &from, to);) {
        *first = from, *last = *to;
        while (*first < *last && known[*first] < LIP_PAUSE) ++*first;
        while (*last > *first && known[*last - 1] < LIP_PAUSE) --*last;
        *first += LIP_CUT, *last -= LIP_CUT;
        if (*last - *first >= LIP_SPAN) return 1;
    }
    return 0;
}

void lip_pool_add(struct regression *pool, const float *measured, const float *known, const float *talk, int count) {
    for (int to = 0, a, b; next_lip_span(known, talk, count, &to, &a, &b);)
        regression_add_span(pool, measured + a, known + a, b - a);
}

void lip_frames(float *used, const float *known, const float *talk, int count) {
    memset(used, 0, (size_t)count * sizeof *used);
    for (int to = 0, a, b; next_lip_span(known, talk, count, &to, &a, &b);)
        for (int i = a; i < b; i++) used[i] = 1;
}

/* The cell of the profile that frame i of the span [from, to) belongs to. */
static void profile_cell(int i, int from, int to, int *end, int *distance) {
    *end = to - 1 - i < i - from;
    *distance = *end ? to - 1 - i : i - from;
    if (*distance >= MASK_PROFILE) *distance = MASK_PROFILE - 1;
}

void mask_profile_add(struct mask_profile *profile, const float *known, const float *talk, int count) {
    for (int from = 0, to = 0; next_span(talk, count, &from, &to);)
        for (int i = from; i < to; i++) {
            int end, distance;
            profile_cell(i, from, to, &end, &distance);
            profile->sum[end][distance] += known[i];
            profile->frames[end][distance]++;
        }
}

void mask_profile_predict(const struct mask_profile *profile, const float *talk, int count, float *predicted) {
    memset(predicted, 0, (size_t)count * sizeof *predicted);
    for (int from = 0, to = 0; next_span(talk, count, &from, &to);)
        for (int i = from; i < to; i++) {
            int end, distance;
            profile_cell(i, from, to, &end, &distance);
            long n = profile->frames[end][distance];
            predicted[i] = n ? (float)(profile->sum[end][distance] / (double)n) : 0;
        }
}

/* ---- motion ---- */

void motion_pool_add(struct motion_pool *pool, const float (*position)[2], const float *mask, int count) {
    for (int from = 0, to = 0; next_span(mask, count, &from, &to);)
        for (int k = 0; k < 2; k++) {
            double mean = 0;
            for (int i = from; i < to; i++) mean += position[i][k];
            mean /= to - from;
            for (int i = from; i < to; i++) pool->squares += (position[i][k] - mean) * (position[i][k] - mean);
            if (k == 0) pool->frames += to - from;
        }
}

double motion_pool_variance(const struct motion_pool *pool) {
    return pool->frames > 0 ? pool->squares / pool->frames : 0;
}

double measure_mean_while(const float *value, const float *mask, const float *unless, int count) {
    double sum = 0;
    long n = 0;
    for (int i = 0; i < count; i++)
        if (mask[i] > 0.5f && !(unless && unless[i] > 0.5f)) sum += value[i], n++;
    return n ? sum / (double)n : 0;
}

/* ---- the picture ---- */

static double decibels(double squares, double values) {
    double mean = values > 0 ? squares / values : 0;
    if (!isfinite(mean)) return 0;                            /* pixels that are not finite resemble nothing */
    return mean < 4e-9 ? 99 : fmin(99, 10 * log10(4 / mean)); /* the range of [-1, 1] is 2 */
}

static size_t frame_size(const struct clip *clip) { return 3 * (size_t)clip->height * (size_t)clip->width; }

/* Cuts a box to whole pixels of the picture. */
static void box_pixels(const struct clip *clip, const struct box *box, int *x0, int *x1, int *y0, int *y1) {
    *x0 = (int)fmaxf(0, roundf(box->x0)), *x1 = (int)fminf((float)clip->width, roundf(box->x1));
    *y0 = (int)fmaxf(0, roundf(box->y0)), *y1 = (int)fminf((float)clip->height, roundf(box->y1));
}

/* Boxes of what hardly moves: the wall to both sides of the head, and the middle of the shirt. */
enum { WALLS = 2, STILL = 3 };
static void still_boxes(const struct clip *clip, const struct landmarks *marks, struct box still[STILL]) {
    float h = (float)clip->height, w = (float)clip->width, middle = marks->head[0];
    still[0] = (struct box){0, 0, middle - 0.24f * h, 0.58f * h};
    still[1] = (struct box){middle + 0.24f * h, 0, w, 0.58f * h};
    still[WALLS] = (struct box){middle - 0.07f * h, 0.73f * h, middle + 0.07f * h, h};
}

double measure_identity_psnr(const struct clip *clip, const float *reference, const struct landmarks *marks) {
    struct box still[STILL];
    still_boxes(clip, marks, still);
    double squares = 0, values = 0;
    size_t plane = (size_t)clip->height * (size_t)clip->width;
    for (int k = 0; k < STILL; k++) {
        int x0, x1, y0, y1;
        box_pixels(clip, &still[k], &x0, &x1, &y0, &y1);
        for (int i = 0; i < clip->count * 3; i++)
            for (int y = y0; y < y1; y++)
                for (int x = x0; x < x1; x++) {
                    size_t at = (size_t)y * (size_t)clip->width + (size_t)x;
                    double d = clip->frames[(size_t)i * plane + at] - reference[(size_t)(i % 3) * plane + at];
                    squares += d * d;
                    values++;
                }
    }
    return decibels(squares, values);
}

static float luminance_at(const struct clip *clip, const float *frame, int y, int x) {
    size_t plane = (size_t)clip->height * (size_t)clip->width, at = (size_t)y * (size_t)clip->width + (size_t)x;
    return 0.299f * frame[at] + 0.587f * frame[at + plane] + 0.114f * frame[at + 2 * plane];
}

double measure_contrast(const struct clip *clip) {
    double sum = 0, squares = 0, pixels = (double)clip->height * clip->width;
    for (int y = 0; y < clip->height; y++)
        for (int x = 0; x < clip->width; x++) {
            double value = luminance_at(clip, clip->frames, y, x);
            sum += value, squares += value * value;
        }
    return sqrt(fmax(0, squares / pixels - sum / pixels * (sum / pixels)));
}

/* A pixel's two coordinates in the plane of chroma. */
static void chroma_at(const float *frame, size_t plane, size_t at, double chroma[2]) {
    double r = frame[at], g = frame[at + plane], b = frame[at + 2 * plane];
    chroma[0] = (2 * r - g - b) / sqrt(6.0);
    chroma[1] = (g - b) / sqrt(2.0);
}

double measure_chroma(const struct clip *clip, const float *reference, double turn[2]) {
    size_t plane = (size_t)clip->height * (size_t)clip->width;
    double squares = 0, own[2], of[2];
    turn[0] = turn[1] = 0;
    for (size_t at = 0; at < plane; at++) {
        chroma_at(clip->frames, plane, at, own);
        chroma_at(reference, plane, at, of);
        squares += own[0] * own[0] + own[1] * own[1];
        turn[0] += own[0] * of[0] + own[1] * of[1];
        turn[1] += own[1] * of[0] - own[0] * of[1];
    }
    return sqrt(squares / (double)plane);
}

/* Makes a histogram of a frame's gradient magnitudes; a cell is 1/GRADIENT_CELLS of the largest possible. */
enum { GRADIENT_CELLS = 8192 };
#define GRADIENT_MAX 2.83f

static long gradient_histogram(const struct clip *clip, const float *frame, int *cells) {
    memset(cells, 0, GRADIENT_CELLS * sizeof *cells);
    for (int y = 0; y + 1 < clip->height; y++)
        for (int x = 0; x + 1 < clip->width; x++) {
            float at = luminance_at(clip, frame, y, x);
            float gx = luminance_at(clip, frame, y, x + 1) - at, gy = luminance_at(clip, frame, y + 1, x) - at;
            float share = sqrtf(gx * gx + gy * gy) / GRADIENT_MAX;
            cells[share < 1 ? (int)(share * GRADIENT_CELLS) : GRADIENT_CELLS - 1]++; /* NaN counts as the steepest */
        }
    return (long)(clip->height - 1) * (clip->width - 1);
}

/* The mean of the `share` of gradients at one end: step 1 from the flattest up, -1 from the steepest down. */
static double gradient_end_mean(const struct clip *clip, double share, int step) {
    int cells[GRADIENT_CELLS];
    double total = 0;
    for (int i = 0; i < clip->count; i++) {
        long wanted =
            lround(share * (double)gradient_histogram(clip, clip->frames + (size_t)i * frame_size(clip), cells));
        long left = wanted;
        double sum = 0;
        for (int c = step > 0 ? 0 : GRADIENT_CELLS - 1; left > 0 && c >= 0 && c < GRADIENT_CELLS; c += step) {
            long taken = cells[c] < left ? cells[c] : left;
            sum += (double)taken * (c + 0.5) * (double)GRADIENT_MAX / GRADIENT_CELLS;
            left -= taken;
        }
        if (wanted > 0) total += sum / (double)wanted;
    }
    return clip->count ? total / clip->count : 0;
}

double measure_sharpness(const struct clip *clip) { return gradient_end_mean(clip, 0.03, -1); }
double measure_flat_noise(const struct clip *clip) { return gradient_end_mean(clip, 0.5, 1); }

/* Sums the absolute change of luminance between two frames over a box, and adds its area. */
static double change_in(const struct clip *clip, const float *now, const float *before, const struct box *box,
                        long *area) {
    int x0, x1, y0, y1;
    double sum = 0;
    box_pixels(clip, box, &x0, &x1, &y0, &y1);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) sum += fabsf(luminance_at(clip, now, y, x) - luminance_at(clip, before, y, x));
    *area = x1 > x0 && y1 > y0 ? (long)(x1 - x0) * (y1 - y0) : 0;
    return sum;
}

double measure_flicker(const struct clip *clip, const float *before, const struct landmarks *marks) {
    struct box still[STILL];
    double sum = 0, areas = 0;
    still_boxes(clip, marks, still);
    for (int k = 0; k < WALLS; k++) {
        long area;
        sum += change_in(clip, clip->frames, before, &still[k], &area);
        areas += (double)area;
    }
    return areas > 0 ? sum / areas : 0;
}

static float between(const struct clip *clip, int channel, float y, float x) {
    y = fminf((float)clip->height - 1, fmaxf(0, y - 0.5f)), x = fminf((float)clip->width - 1, fmaxf(0, x - 0.5f));
    int y0 = (int)y, x0 = (int)x, y1 = y0 + 1 < clip->height ? y0 + 1 : y0, x1 = x0 + 1 < clip->width ? x0 + 1 : x0;
    const float *plane = clip->frames + (size_t)channel * (size_t)clip->height * (size_t)clip->width;
    const float *above = plane + (size_t)y0 * (size_t)clip->width, *below = plane + (size_t)y1 * (size_t)clip->width;
    float v = y - (float)y0, u = x - (float)x0;
    return (1 - v) * ((1 - u) * above[x0] + u * above[x1]) + v * ((1 - u) * below[x0] + u * below[x1]);
}

void measure_face_patch(const struct clip *clip, const struct landmarks *marks, const float shift[2], float *patch) {
    float h = (float)clip->height, left = marks->eyes[0] + shift[0] - 0.12f * h,
          top = marks->eyes[1] + shift[1] - 0.13f * h;
    for (int c = 0; c < 3; c++)
        for (int j = 0; j < FACE_DOWN; j++)
            for (int i = 0; i < FACE_ACROSS; i++)
                *patch++ = between(clip, c, top + 0.20f * h * ((float)j + 0.5f) / FACE_DOWN,
                                   left + 0.24f * h * ((float)i + 0.5f) / FACE_ACROSS);
}

void measure_window(const struct clip *clip, const struct box *box, float *window) {
    float down = (box->y1 - box->y0) / (float)clip->height, across = (box->x1 - box->x0) / (float)clip->width;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < clip->height; y++)
            for (int x = 0; x < clip->width; x++)
                *window++ = between(clip, c, box->y0 + down * ((float)y + 0.5f), box->x0 + across * ((float)x + 0.5f));
}

double measure_slope_a_minute(const double *value, int seconds) {
    double mean = 0, middle = 0.5 * (seconds - 1), xy = 0, xx = 0;
    if (seconds < 2) return 0;
    for (int i = 0; i < seconds; i++) mean += value[i] / seconds;
    for (int i = 0; i < seconds; i++) xy += (i - middle) * (value[i] - mean), xx += (i - middle) * (i - middle);
    return 60 * xy / xx;
}

void measure_motion_energy(const struct clip *clip, const struct box *box, float *energy) {
    for (int i = 0; i < clip->count; i++) {
        const float *now = clip->frames + (size_t)i * frame_size(clip), *before = i ? now - frame_size(clip) : now;
        long area;
        double sum = change_in(clip, now, before, box, &area);
        energy[i] = area > 0 ? (float)(sum / (double)area) : 0;
    }
}
