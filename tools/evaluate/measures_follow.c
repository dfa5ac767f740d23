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
enum { PATCH_SAMPLES = 1024, PATCH_ROWS = 64, PATCH_HEIGHT = 64, PASSES = 4 };
struct samples { /* the patch's pixels; in pictures higher than PATCH_HEIGHT only every step-th each way */
    int count, step, rows;
    struct {
        int x, y, first, count; /* pixels x, x + step, ... of row y, whose colours begin at `first` */
    } row[PATCH_ROWS]; /* every PASSES-th row, then the rows beside those, and so on, so that few tell a bad match */
    float colour[3][PATCH_SAMPLES];
    float mean_counts;
};

static float pixel(const float *frame, int height, int width, int channel, int y, int x) {
    return frame[((size_t)channel * (size_t)height + (size_t)y) * (size_t)width + (size_t)x];
}

/* Samples the pixels of row y that lie in the ellipse and the picture. */
static void sample_row(struct samples *s, const struct clip *clip, const float *reference, const struct patch *p,
                       int y) {
    int first = s->count;
    float v = ((float)y + 0.5f - p->middle[1]) / p->radius[1];
    if (y < 0 || y >= clip->height || s->rows == PATCH_ROWS) return;
    for (int x = (int)floorf(p->middle[0] - p->radius[0]); x < p->middle[0] + p->radius[0]; x += s->step) {
        float u = ((float)x + 0.5f - p->middle[0]) / p->radius[0];
        if (u * u + v * v > 1 || x < 0 || x >= clip->width || s->count == PATCH_SAMPLES) continue;
        if (s->count == first) s->row[s->rows].x = x;
        for (int c = 0; c < 3; c++) s->colour[c][s->count] = pixel(reference, clip->height, clip->width, c, y, x);
        s->count++;
    }
    if (s->count == first) return;
    s->row[s->rows].y = y, s->row[s->rows].first = first, s->row[s->rows].count = s->count - first;
    s->rows++;
}

static void sample_patch(struct samples *s, const struct clip *clip, const float *reference, const struct patch *p) {
    s->count = s->rows = 0;
    s->step = clip->height > PATCH_HEIGHT ? clip->height / PATCH_HEIGHT : 1;
    s->mean_counts = p->mean_counts;
    int top = (int)floorf(p->middle[1] - p->radius[1]);
    float bottom = p->middle[1] + p->radius[1];
    for (int pass = 0; pass < PASSES; pass++)
        for (int y = top + pass * s->step; (float)y < bottom; y += PASSES * s->step)
            sample_row(s, clip, reference, p, y);
}

/* Sum of squared differences without the part of their mean that does not count. It never falls as pixels are added. */
static float about_mean(const struct samples *s, float squares, const float sum[3], int counted) {
    for (int c = 0; c < 3; c++) squares -= (1 - s->mean_counts) * sum[c] * sum[c] / (float)counted;
    return squares;
}

/* Adds up the differences of n pixels, `step` apart in the frame, and their squares. Inline, so that the compiler makes
   a loop of vectors for a step that it knows. */
static inline void add_differences(const float *frame, int step, const float *colour, int n, float *sum,
                                   float *squares) {
    float all = 0, square = 0;
#pragma omp simd reduction(+ : all, square)
    for (int i = 0; i < n; i++) {
        float d = frame[i * step] - colour[i];
        all += d;
        square += d * d;
    }
    *sum += all;
    *squares += square;
}

/* Mean squared difference between the patch and the frame displaced by (dx, dy); pixels outside the picture do not
   count. INFINITY as soon as it is sure to be above `limit`. */
static float mismatch(const struct clip *clip, const float *frame, const struct samples *s, int dx, int dy,
                      float limit) {
    int counted = 0;
    size_t plane = (size_t)clip->height * (size_t)clip->width;
    float sum[3] = {0}, squares = 0;
    for (int r = 0; r < s->rows; r++) {
        int x = s->row[r].x + dx, y = s->row[r].y + dy, from = 0, to = s->row[r].count;
        if (y < 0 || y >= clip->height) continue;
        while (from < to && x + from * s->step < 0) from++;
        while (to > from && x + (to - 1) * s->step >= clip->width) to--;
        if (from == to) continue;
        for (int c = 0; c < 3; c++) {
            const float *at = frame + (size_t)c * plane + (size_t)y * (size_t)clip->width + x + from * s->step,
                        *colour = s->colour[c] + s->row[r].first + from;
            if (s->step == 1)
                add_differences(at, 1, colour, to - from, &sum[c], &squares);
            else
                add_differences(at, s->step, colour, to - from, &sum[c], &squares);
        }
        counted += to - from;
        if (about_mean(s, squares, sum, counted) > 1.001f * limit * (float)s->count) return INFINITY;
    }
    return counted < 4 ? INFINITY : about_mean(s, squares, sum, counted) / (float)counted;
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
            float m = mismatch(clip, frame, s, dx, dy, *best);
            if (m < *best) *best = m, at[0] = dx, at[1] = dy;
        }
}

static int within(int value, int from, int to) { return value < from ? from : value > to ? to : value; }

/* Finds the best displacement; returns its mismatch at whole pixels. `at` is looked at first, the sooner to know what
   the others must beat, and becomes the best whole displacement. */
static float follow(const struct clip *clip, const float *frame, const struct samples *s, const struct patch *p,
                    int at[2], float shift[2]) {
    at[0] = within(at[0], p->dx.from, p->dx.to), at[1] = within(at[1], p->dy.from, p->dy.to);
    float best = mismatch(clip, frame, s, at[0], at[1], INFINITY);
    search(clip, frame, s, (int[]){p->dx.from, p->dy.from}, (int[]){p->dx.to, p->dy.to}, s->step, &best, at);
    if (s->step > 1) {
        int from[2] = {at[0] - s->step, at[1] - s->step}, to[2] = {at[0] + s->step, at[1] + s->step};
        search(clip, frame, s, from, to, 1, &best, at);
    }
    for (int k = 0; k < 2; k++) {
        int x = k == 0, y = k == 1;
        shift[k] = (float)at[k] + vertex(mismatch(clip, frame, s, at[0] - x, at[1] - y, INFINITY), best,
                                         mismatch(clip, frame, s, at[0] + x, at[1] + y, INFINITY));
    }
    return best;
}

static const float *frame_of(const struct clip *clip, int i) {
    return clip->frames + (size_t)i * 3 * (size_t)clip->height * (size_t)clip->width;
}

/* Finds the face in every frame of the clip; `at` is where it is looked for first, and becomes its last place. */
static void follow_face(const struct clip *clip, const float *reference, const struct landmarks *marks, int at[2],
                        float (*shift)[2]) {
    float h = (float)clip->height;
    int across = (int)ceilf(0.06f * h + marks->turn), down = (int)ceilf(0.11f * h);
    struct patch face = {.middle = {marks->eyes[0], marks->eyes[1] + 0.01f * h},
                         .radius = {0.125f * h, 0.095f * h},
                         .dx = {-across, across},
                         .dy = {-down, down}};
    struct samples samples;
    sample_patch(&samples, clip, reference, &face);
    for (int i = 0; i < clip->count; i++) follow(clip, frame_of(clip, i), &samples, &face, at, shift[i]);
}

void measure_face_shift(const struct clip *clip, const float *reference, const struct landmarks *marks,
                        float (*shift)[2]) {
    follow_face(clip, reference, marks, (int[2]){0, 0}, shift);
}

/* As follow_face, for a hand. */
static void follow_hand(const struct clip *clip, const float *reference, const struct landmarks *marks,
                        enum measure_hand hand, int displaced[2], float (*position)[2], float *mismatches) {
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
        mismatches[i] = follow(clip, frame_of(clip, i), &samples, &palm, displaced, shift) / 3;
        for (int k = 0; k < 2; k++) position[i][k] = at[k] + shift[k];
    }
}

void measure_hand(const struct clip *clip, const float *reference, const struct landmarks *marks,
                  enum measure_hand hand, float (*position)[2], float *mismatches) {
    follow_hand(clip, reference, marks, hand, (int[2]){0, 0}, position, mismatches);
}

void measure_person(const struct clip *frame, const float *reference, const struct landmarks *marks,
                    struct person_places *places) {
    follow_face(frame, reference, marks, places->face_at, &places->face);
    measure_mouth_opening(frame, reference, marks, (const float(*)[2]) & places->face, &places->mouth);
    for (int h = HAND_LEFT; h <= HAND_RIGHT; h++)
        follow_hand(frame, reference, marks, (enum measure_hand)h, places->hand_at[h], &places->hand[h],
                    &places->mismatch[h]);
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
