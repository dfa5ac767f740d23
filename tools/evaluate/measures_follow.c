/* measures_follow.c: finds face, lips and hands in the pixels. See measures.h.
   A patch is followed by the smallest mean squared difference of its colours over all whole-pixel displacements in
   reach, then by the vertex of the parabola through the neighbours, axis by axis. A face is known by its pattern, so
   that a change of its mean colour does not count; a hand is a patch of skin, so that it does. */
#include <math.h>
#include <stddef.h>

#include "tools/evaluate/measures.h"

struct patch { /* an ellipse of the reference */
    float middle[2], radius[2];
    struct {
        int from, to;
    } dx, dy;          /* displacements searched, pixels */
    float mean_counts; /* share of the mean difference that counts, 0 .. 1 */
};
enum { PATCH_SAMPLES = 1024, PATCH_HEIGHT = 64 };
struct samples { /* the patch's pixels; in pictures higher than PATCH_HEIGHT only every step-th each way */
    int count, step;
    struct {
        int x, y;
        float colour[3];
    } at[PATCH_SAMPLES];
    float mean_counts;
};

static float pixel(const float *frame, int height, int width, int channel, int y, int x) {
    return frame[((size_t)channel * (size_t)height + (size_t)y) * (size_t)width + (size_t)x];
}

static void sample_patch(struct samples *s, const struct clip *clip, const float *reference, const struct patch *p) {
    s->count = 0;
    s->step = clip->height > PATCH_HEIGHT ? clip->height / PATCH_HEIGHT : 1;
    s->mean_counts = p->mean_counts;
    for (int y = (int)floorf(p->middle[1] - p->radius[1]); y < p->middle[1] + p->radius[1]; y += s->step)
        for (int x = (int)floorf(p->middle[0] - p->radius[0]); x < p->middle[0] + p->radius[0]; x += s->step) {
            float u = ((float)x + 0.5f - p->middle[0]) / p->radius[0],
                  v = ((float)y + 0.5f - p->middle[1]) / p->radius[1];
            if (u * u + v * v > 1 || x < 0 || y < 0 || x >= clip->width || y >= clip->height) continue;
            if (s->count == PATCH_SAMPLES) return;
            s->at[s->count].x = x, s->at[s->count].y = y;
            for (int c = 0; c < 3; c++)
                s->at[s->count].colour[c] = pixel(reference, clip->height, clip->width, c, y, x);
            s->count++;
        }
}

/* Mean squared difference between the patch and the frame displaced by (dx, dy); pixels outside the picture do not
   count. */
static float mismatch(const struct clip *clip, const float *frame, const struct samples *s, int dx, int dy) {
    int counted = 0;
    float sum[3] = {0}, squares = 0;
    for (int i = 0; i < s->count; i++) {
        int x = s->at[i].x + dx, y = s->at[i].y + dy;
        if (x < 0 || y < 0 || x >= clip->width || y >= clip->height) continue;
        counted++;
        for (int c = 0; c < 3; c++) {
            float d = pixel(frame, clip->height, clip->width, c, y, x) - s->at[i].colour[c];
            sum[c] += d;
            squares += d * d;
        }
    }
    if (counted < 4) return INFINITY;
    for (int c = 0; c < 3; c++) squares -= (1 - s->mean_counts) * sum[c] * sum[c] / (float)counted;
    return squares / (float)counted;
}

/* Finds where between -1 and 1 the parabola through three values is smallest. */
static float vertex(float before, float at, float after) {
    float bend = before - 2 * at + after;
    if (!(bend > 0) || !isfinite(bend)) return 0;
    return fmaxf(-0.5f, fminf(0.5f, 0.5f * (before - after) / bend));
}

/* Finds the best of the displacements from .. to, `step` apart; *best starts as the mismatch to beat. */
static void search(const struct clip *clip, const float *frame, const struct samples *s, const int from[2],
                   const int to[2], int step, float *best, int at[2]) {
    for (int dy = from[1]; dy <= to[1]; dy += step)
        for (int dx = from[0]; dx <= to[0]; dx += step) {
            float m = mismatch(clip, frame, s, dx, dy);
            if (m < *best) *best = m, at[0] = dx, at[1] = dy;
        }
}

/* Finds the best displacement; returns its mismatch at whole pixels. */
static float follow(const struct clip *clip, const float *frame, const struct samples *s, const struct patch *p,
                    float shift[2]) {
    float best = INFINITY;
    int at[2] = {0, 0};
    search(clip, frame, s, (int[]){p->dx.from, p->dy.from}, (int[]){p->dx.to, p->dy.to}, s->step, &best, at);
    if (s->step > 1) {
        int from[2] = {at[0] - s->step, at[1] - s->step}, to[2] = {at[0] + s->step, at[1] + s->step};
        search(clip, frame, s, from, to, 1, &best, at);
    }
    shift[0] = (float)at[0] +
               vertex(mismatch(clip, frame, s, at[0] - 1, at[1]), best, mismatch(clip, frame, s, at[0] + 1, at[1]));
    shift[1] = (float)at[1] +
               vertex(mismatch(clip, frame, s, at[0], at[1] - 1), best, mismatch(clip, frame, s, at[0], at[1] + 1));
    return best;
}

static const float *frame_of(const struct clip *clip, int i) {
    return clip->frames + (size_t)i * 3 * (size_t)clip->height * (size_t)clip->width;
}

void measure_face_shift(const struct clip *clip, const float *reference, const struct landmarks *marks,
                        float (*shift)[2]) {
    float h = (float)clip->height;
    int across = (int)ceilf(0.06f * h + marks->turn), down = (int)ceilf(0.11f * h);
    struct patch face = {.middle = {marks->eyes[0], marks->eyes[1] + 0.01f * h},
                         .radius = {0.125f * h, 0.095f * h},
                         .dx = {-across, across},
                         .dy = {-down, down}};
    struct samples samples;
    sample_patch(&samples, clip, reference, &face);
    for (int i = 0; i < clip->count; i++) follow(clip, frame_of(clip, i), &samples, &face, shift[i]);
}

void measure_hand(const struct clip *clip, const float *reference, const struct landmarks *marks,
                  enum measure_hand hand, float (*position)[2], float *mismatches) {
    /* A hand may be below the chin, on its own side, whole in the picture. */
    float h = (float)clip->height, outer = 0.43f * h, inner = 0.10f * h, middle = marks->head[0];
    const float *at = hand == HAND_LEFT ? marks->hand_left : marks->hand_right;
    float x0 = hand == HAND_LEFT ? middle - outer : middle + inner,
          x1 = hand == HAND_LEFT ? middle - inner : middle + outer;
    struct patch palm = {.middle = {at[0], at[1]},
                         .radius = {0.062f * h, 0.075f * h},
                         .dx = {(int)ceilf(x0 - at[0]), (int)floorf(x1 - at[0])},
                         .dy = {(int)ceilf(0.64f * h - at[1]), (int)floorf(0.985f * h - at[1])},
                         .mean_counts = 1};
    struct samples samples;
    sample_patch(&samples, clip, reference, &palm);
    for (int i = 0; i < clip->count; i++) {
        float shift[2];
        mismatches[i] = follow(clip, frame_of(clip, i), &samples, &palm, shift) / 3;
        for (int k = 0; k < 2; k++) position[i][k] = at[k] + shift[k];
    }
}

/* ---- lips ---- */

static float luminance(const float *frame, int height, int width, int y, int x) {
    float r = pixel(frame, height, width, 0, y, x), g = pixel(frame, height, width, 1, y, x);
    float b = pixel(frame, height, width, 2, y, x);
    return 0.5f * (0.299f * r + 0.587f * g + 0.114f * b) + 0.5f;
}

static float overlap(float low, float high, int cell) {
    return fmaxf(0, fminf(high, (float)cell + 1) - fmaxf(low, (float)cell));
}

/* Sums over a box how far each pixel lies from `light` (0) to `dark` (1); edge pixels count by the part inside. */
static float darkness(const struct clip *clip, const float *frame, const struct box *box, float light, float dark) {
    float sum = 0;
    int y0 = (int)fmaxf(0, floorf(box->y0)), y1 = (int)fminf((float)clip->height, ceilf(box->y1));
    int x0 = (int)fmaxf(0, floorf(box->x0)), x1 = (int)fminf((float)clip->width, ceilf(box->x1));
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            float part = (light - luminance(frame, clip->height, clip->width, y, x)) / (light - dark);
            sum += overlap(box->y0, box->y1, y) * overlap(box->x0, box->x1, x) * fminf(1, fmaxf(0, part));
        }
    return sum;
}

/* The luminance of the cheeks beside the mouth. */
static float cheeks(const struct clip *clip, const float *reference, const struct landmarks *marks) {
    float h = (float)clip->height, sum = 0, area = 0;
    for (int side = -1; side <= 1; side += 2) {
        float x = marks->lips[0] + (float)side * 0.080f * h, y = marks->lips[1] - 0.03f * h, r = 0.016f * h;
        for (int py = (int)floorf(y - r); py < (int)ceilf(y + r); py++)
            for (int px = (int)floorf(x - r); px < (int)ceilf(x + r); px++) {
                if (py < 0 || px < 0 || py >= clip->height || px >= clip->width) continue;
                float w = overlap(y - r, y + r, py) * overlap(x - r, x + r, px);
                sum += w * luminance(reference, clip->height, clip->width, py, px);
                area += w;
            }
    }
    return area > 0 ? sum / area : 0.5f;
}

void measure_mouth_opening(const struct clip *clip, const float *reference, const struct landmarks *marks,
                           const float (*shift)[2], float *opening) {
    const float dark = 0.10f;
    float h = (float)clip->height, light = dark + 0.62f * fmaxf(0.1f, cheeks(clip, reference, marks) - dark);
    for (int i = 0; i < clip->count; i++) {
        float x = marks->lips[0] + (shift ? shift[i][0] : 0), y = marks->lips[1] + (shift ? shift[i][1] : 0);
        struct box box = {x - 0.033f * h, y - 0.035f * h, x + 0.033f * h, y + 0.092f * h};
        opening[i] = darkness(clip, frame_of(clip, i), &box, light, dark) / (box.x1 - box.x0);
    }
}
