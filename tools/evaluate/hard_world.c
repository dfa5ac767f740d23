/* hard_world.c: see hard_world.h. */
#include "tools/evaluate/hard_world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sorting.h"
#include "tools/evaluate/sums.h"

enum { AFTER = 12, AWAY = VIDEO_RATE }; /* pictures after a return that count; pictures that something must be gone */
enum { HANDS_FOUND_WITHIN = 3 };        /* a hand is found up to so many times the copy's median mismatch */

/* ---- when ---- */

static int any_hand(const struct puppet_pose *pose) {
    return pose->hand_left[1] < 0.90f || pose->hand_right[1] < 0.90f;
}
static int no_hand(const struct puppet_pose *pose) { return pose->hand_left[1] > 1.05f && pose->hand_right[1] > 1.05f; }

/* Marks the pictures after a return: `here` has been 0, and `gone` 1, for AWAY pictures or more. */
static void mark_returns(struct hard_trial *t, int bit, int (*here)(const struct puppet_pose *),
                         int (*gone)(const struct puppet_pose *)) {
    const struct puppet_pose *truth = puppet_truth(t->puppet);
    int away = 0, left = 0;
    for (int f = 0; f < t->frames; f++) {
        if (here(&truth[f])) {
            if (away >= AWAY) left = AFTER;
            away = 0;
        } else if (gone(&truth[f])) {
            away++, left = 0;
        }
        if (left > 0) t->moments[f] |= (unsigned char)bit, left--;
    }
}
static int eyes_open(const struct puppet_pose *pose) { return pose->blink < 0.1f; }
static int eyes_shut(const struct puppet_pose *pose) { return pose->blink > 0.9f; }

/* Hues are measured over a second about each of these moments. */
static const int hue_seconds[HUE_TIMES] = {5, 20, 60};
static long hue_begins(int k) { return (long)hue_seconds[k] * VIDEO_RATE - VIDEO_RATE / 2; }

static void mark_spans(struct hard_trial *t) {
    const float *talk = puppet_mask(t->puppet, PUPPET_AGENT), *listen = puppet_mask(t->puppet, PUPPET_USER);
    const int rest = VIDEO_RATE, settled = VIDEO_RATE / 2, before = 3; /* pictures */
    int quiet = 0, talking = 0;
    for (int f = 0; f < t->frames; f++) {
        quiet = talk[f] > 0.5f || listen[f] > 0.5f ? 0 : quiet + 1;
        talking = talk[f] > 0.5f ? talking + 1 : 0;
        int ends = f + before < t->frames && (talk[f + before] > 0.5f || listen[f + before] > 0.5f);
        if (quiet > rest && !ends) t->moments[f] |= HARD_IDLE;
        for (int k = 0; k < HUE_TIMES; k++)
            if (f >= hue_begins(k) && f < hue_begins(k) + VIDEO_RATE) t->moments[f] |= HARD_HUE;
        if (talking) t->moments[f] |= HARD_TALK;
        if (talking > settled && any_hand(&puppet_truth(t->puppet)[f])) t->moments[f] |= HARD_GESTURE;
    }
}

/* ---- what is seen ---- */

static float colour_at(const struct clip *clip, int c, float y, float x) {
    y = fminf((float)clip->height - 1, fmaxf(0, y - 0.5f)), x = fminf((float)clip->width - 1, fmaxf(0, x - 0.5f));
    int y0 = (int)y, x0 = (int)x, y1 = y0 + 1 < clip->height ? y0 + 1 : y0, x1 = x0 + 1 < clip->width ? x0 + 1 : x0;
    const float *plane = clip->frames + (size_t)c * (size_t)clip->height * (size_t)clip->width;
    const float *above = plane + (size_t)y0 * (size_t)clip->width, *below = plane + (size_t)y1 * (size_t)clip->width;
    float v = y - (float)y0, u = x - (float)x0;
    return (1 - v) * ((1 - u) * above[x0] + u * above[x1]) + v * ((1 - u) * below[x0] + u * below[x1]);
}

/* Samples a box of across x down points, whose middle is (x, y) and half sizes rx and ry: out [3, down, across]. */
static void sample_box(const struct clip *clip, float x, float y, float rx, float ry, int across, int down,
                       float *out) {
    for (int c = 0; c < 3; c++)
        for (int j = 0; j < down; j++)
            for (int i = 0; i < across; i++)
                *out++ = colour_at(clip, c, y + ry * (2 * ((float)j + 0.5f) / (float)down - 1),
                                   x + rx * (2 * ((float)i + 0.5f) / (float)across - 1));
}

static void mean_box(const struct clip *clip, float x, float y, float rx, float ry, float mean[3]) {
    enum { ACROSS = 8, DOWN = 4 };
    float points[3 * ACROSS * DOWN];
    sample_box(clip, x, y, rx, ry, ACROSS, DOWN, points);
    for (int c = 0; c < 3; c++) {
        float sum = 0;
        for (int i = 0; i < ACROSS * DOWN; i++) sum += points[c * ACROSS * DOWN + i];
        mean[c] = sum / (ACROSS * DOWN);
    }
}

/* Hair lies above the forehead, which follows half of a turn; the middle of the shirt is behind no hand. */
static void see_cloth(const struct clip *clip, const struct landmarks *marks, const float face[2], float shirt[3],
                      float hair[3]) {
    float h = (float)clip->height;
    mean_box(clip, marks->head[0], 0.84f * h, 0.045f * h, 0.10f * h, shirt);
    mean_box(clip, marks->head[0] + 0.55f * face[0], marks->head[1] - 0.185f * h + face[1], 0.06f * h, 0.022f * h,
             hair);
}

static void see_details(const struct hard_trial *t, const struct clip *clip, struct hard_frame *seen) {
    float h = (float)t->height, gap = (float)puppet_person(t->puppet)->eye_gap * h;
    for (int side = 0; side < 2; side++) {
        mean_box(clip, seen->hand[side][0], seen->hand[side][1] - 0.088f * h, 0.046f * h, 0.016f * h,
                 seen->nails[side]);
        sample_box(clip, t->marks->eyes[0] + seen->face[0] + (side ? gap : -gap), t->marks->eyes[1] + seen->face[1],
                   0.030f * h, 0.019f * h, EYE_ACROSS, EYE_DOWN, seen->eyes + side * EYE_VALUES / 2);
    }
    see_cloth(clip, t->marks, seen->face, seen->shirt, seen->hair);
}

void hard_take(struct hard_track *track, long frame, const float *picture, const struct person_places *places) {
    const struct hard_trial *t = track->trial;
    struct clip clip = {.frames = picture, .count = 1, .height = t->height, .width = t->width};
    struct hard_frame *seen = &track->seen[frame];
    seen->mouth = places->mouth;
    memcpy(seen->face, places->face, sizeof seen->face);
    memcpy(seen->hand, places->hand, sizeof seen->hand);
    memcpy(seen->mismatch, places->mismatch, sizeof seen->mismatch);
    see_details(t, &clip, seen);
    seen->is_seen = 1;
    track->count = frame;
}

/* ---- opening and closing ---- */

int hard_trial_open(struct hard_trial *t, const struct puppet *puppet, const float *reference,
                    const struct landmarks *marks, int height, int width) {
    static const float at_rest[2];
    *t = (struct hard_trial){.puppet = puppet,
                             .reference = reference,
                             .marks = marks,
                             .frames = puppet_frames(puppet),
                             .height = height,
                             .width = width};
    t->moments = calloc((size_t)t->frames, sizeof *t->moments);
    if (!t->moments) return error_set(ERR_DEVICE, "out of memory for a dialogue's moments");
    mark_returns(t, HARD_HANDS_BACK, any_hand, no_hand);
    mark_returns(t, HARD_EYES_BACK, eyes_open, eyes_shut);
    mark_spans(t);
    const struct clip clip = {.frames = reference, .count = 1, .height = height, .width = width};
    see_cloth(&clip, marks, at_rest, t->shirt, t->hair);
    return OK;
}
void hard_trial_close(struct hard_trial *t) {
    free(t->moments);
    memset(t, 0, sizeof *t);
}

int hard_track_open(struct hard_track *track, const struct hard_trial *t) {
    *track = (struct hard_track){.trial = t, .seen = calloc((size_t)t->frames, sizeof *track->seen)};
    return track->seen ? OK : error_set(ERR_DEVICE, "out of memory for a dialogue's pictures");
}
void hard_track_close(struct hard_track *track) {
    free(track->seen);
    memset(track, 0, sizeof *track);
}

/* ---- the yardstick ---- */

static float hand_height(const struct hard_trial *t, long f, int hand) {
    const struct puppet_pose *pose = &puppet_truth(t->puppet)[f];
    return hand ? pose->hand_right[1] : pose->hand_left[1];
}

/* The copy's median mismatch where the truth's hand is in view. */
static void set_limits(struct hard_trial *t, const struct hard_track *copy, float *room) {
    for (int h = 0; h < 2; h++) {
        size_t n = 0;
        for (long f = 1; f <= copy->count; f++)
            if (hand_height(t, f, h) < 0.90f) room[n++] = copy->seen[f].mismatch[h];
        sort_floats(room, n);
        t->hand_limit[h] = n ? HANDS_FOUND_WITHIN * room[n / 2] : 0;
    }
}

/* Adds a picture's nails to a mean, those of hands that are found. */
static void add_nails(const struct hard_trial *t, const struct hard_frame *seen, double sum[3], double *hands) {
    for (int h = 0; h < 2; h++) {
        if (!(seen->mismatch[h] <= t->hand_limit[h])) continue;
        for (int c = 0; c < 3; c++) sum[c] += (double)seen->nails[h][c];
        ++*hands;
    }
}

int hard_trial_set_copy(struct hard_trial *t, const struct hard_track *copy) {
    float *room = malloc((size_t)(copy->count + 1) * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "out of memory for the copy's hands");
    set_limits(t, copy, room);
    free(room);
    double nails[3] = {0}, hands = 0, open[EYE_VALUES] = {0}, opens = 0, shut[EYE_VALUES] = {0}, shuts = 0;
    for (long f = 1; f <= copy->count; f++) {
        const struct hard_frame *seen = &copy->seen[f];
        float blink = puppet_truth(t->puppet)[f].blink;
        add_nails(t, seen, nails, &hands);
        opens += blink<0.05f, shuts += blink> 0.95f;
        for (int i = 0; i < EYE_VALUES; i++) {
            if (blink < 0.05f) open[i] += (double)seen->eyes[i];
            if (blink > 0.95f) shut[i] += (double)seen->eyes[i];
        }
    }
    for (int c = 0; c < 3; c++) t->nails[c] = (float)(nails[c] / fmax(1, hands));
    for (int i = 0; i < EYE_VALUES; i++) {
        t->open[i] = (float)(open[i] / fmax(1, opens));
        t->shut[i] = (float)(shut[i] / fmax(1, shuts));
    }
    return OK;
}

/* ---- sums ---- */

/* Openness of the eyes: 1 as the copy's open ones, 0 as its shut ones. */
static double openness(const struct hard_trial *t, const struct hard_frame *seen) {
    double along = 0, length = 1e-9;
    for (int i = 0; i < EYE_VALUES; i++) {
        double way = (double)t->open[i] - (double)t->shut[i];
        along += way * ((double)seen->eyes[i] - (double)t->shut[i]);
        length += way * way;
    }
    return along / length;
}

/* Adds the colours in the middle of both eyes, where they are open. */
static void add_iris(const struct hard_trial *t, const struct hard_frame *seen, double sum[3], double *count) {
    if (openness(t, seen) < 0.6) return;
    for (int i = 0; i < EYE_VALUES; i++) sum[i / (EYE_ACROSS * EYE_DOWN) % 3] += (double)seen->eyes[i];
    *count += 2 * EYE_ACROSS * EYE_DOWN;
}

/* Root mean square difference of two colours, in levels of 255. */
static double colour_error(const double sum[3], double count, const double known[3]) {
    double squares = 0;
    for (int c = 0; c < 3; c++) squares += pow(127.5 * (sum[c] / count - known[c]), 2) / 3;
    return sqrt(squares);
}

/* 1 where picture `frame` has been seen and is one of those moments. */
static int counts(const struct hard_track *track, long frame, int bit) {
    return frame <= track->count && track->seen[frame].is_seen && (track->trial->moments[frame] & bit);
}

/* Goes over the returns of one kind: a run of pictures each, whose mean colour is compared. */
static void add_returns(const struct hard_track *track, int bit, const double known[3],
                        void (*add)(const struct hard_trial *, const struct hard_frame *, double *, double *),
                        double *error, double *returns) {
    double sum[3] = {0}, count = 0;
    for (long f = 1; f <= track->count + 1; f++) {
        if (counts(track, f, bit)) {
            add(track->trial, &track->seen[f], sum, &count);
        } else if (count > 0) {
            *error += colour_error(sum, count, known);
            ++*returns;
            memset(sum, 0, sizeof sum), count = 0;
        }
    }
}

static int lift_cell(const struct hard_trial *t, const struct hard_frame *seen, int hand) {
    if (!(seen->mismatch[hand] <= t->hand_limit[hand])) return 0;
    float lift = (0.985f - seen->hand[hand][1] / (float)t->height) / 0.36f; /* 0 at the bottom, 1 under the chin */
    int cell = 1 + (int)(lift * (LIFT_CELLS - 1));
    return cell < 1 ? 1 : cell >= LIFT_CELLS ? LIFT_CELLS - 1 : cell;
}

static void add_gestures(struct hard_sums *s, const struct hard_track *track) {
    for (long f = 1; f <= track->count; f++) {
        if (!counts(track, f, HARD_GESTURE)) continue;
        int left = lift_cell(track->trial, &track->seen[f], 0), right = lift_cell(track->trial, &track->seen[f], 1);
        s->lifts[left][right]++;
        s->ghosts += !left && !right;
        s->gesture_frames++;
    }
}

/* Angle between the hues of two colours, degrees; NaN where one is nearly grey. */
static double hue_apart(const double a[3], const float b[3]) {
    double u[3], v[3], uu = 0, vv = 0, uv = 0;
    for (int c = 0; c < 3; c++) {
        u[c] = a[c] - (a[0] + a[1] + a[2]) / 3;
        v[c] = (double)b[c] - ((double)b[0] + (double)b[1] + (double)b[2]) / 3;
        uu += u[c] * u[c], vv += v[c] * v[c], uv += u[c] * v[c];
    }
    const double grey = 0.01;
    return uu < grey || vv < grey ? NAN : acos(fmax(-1, fmin(1, uv / sqrt(uu * vv)))) * 180 / M_PI;
}

static void add_hues(struct hard_sums *s, const struct hard_track *track) {
    for (int k = 0; k < HUE_TIMES; k++) {
        long from = hue_begins(k), to = from + VIDEO_RATE; /* at a dialogue's end what is there */
        double shirt[3] = {0}, hair[3] = {0}, n = 0;
        for (long f = from; f < to; f++) {
            if (!counts(track, f, HARD_HUE)) continue;
            n++;
            for (int c = 0; c < 3; c++) {
                shirt[c] += (double)track->seen[f].shirt[c], hair[c] += (double)track->seen[f].hair[c];
            }
        }
        if (n < 4) continue;
        for (int c = 0; c < 3; c++) shirt[c] /= n, hair[c] /= n;
        const double apart[2] = {hue_apart(shirt, track->trial->shirt), hue_apart(hair, track->trial->hair)};
        for (int i = 0; i < 2; i++)
            if (isfinite(apart[i])) s->hue[k] += apart[i], s->hues[k]++;
    }
}

/* Adds a run of idle pictures [from, to). */
static void add_idle_run(struct hard_sums *s, const struct hard_track *track, long from, long to) {
    double mean = 0;
    int shut = 1; /* eyes that begin shut have not blinked here */
    for (long f = from; f < to; f++) {
        double open = openness(track->trial, &track->seen[f]);
        s->blinks += !shut && open < 0.5;
        shut = shut ? open < 0.6 : open < 0.5;
        mean += (double)track->seen[f].face[0] / (double)(to - from);
        s->idle_mouth += (double)track->seen[f].mouth;
    }
    for (long f = from; f < to; f++) s->sway_squares += pow((double)track->seen[f].face[0] - mean, 2);
    s->idle_frames += (double)(to - from);
}

static void add_idle(struct hard_sums *s, const struct hard_track *track) {
    for (long f = 1, from; f <= track->count; f++) {
        if (counts(track, f, HARD_TALK)) s->talk_mouth += (double)track->seen[f].mouth, s->talk_frames++;
        if (!counts(track, f, HARD_IDLE)) continue;
        for (from = f; counts(track, f, HARD_IDLE);) f++;
        add_idle_run(s, track, from, f);
    }
}

void hard_sums_add(struct hard_sums *s, const struct hard_track *track) {
    const struct hard_trial *t = track->trial;
    double nails[3], iris[3] = {0};
    for (int c = 0; c < 3; c++) nails[c] = (double)t->nails[c];
    for (int i = 0; i < EYE_VALUES; i++)
        iris[i / (EYE_ACROSS * EYE_DOWN) % 3] += (double)t->open[i] / (2 * EYE_ACROSS * EYE_DOWN);
    add_returns(track, HARD_HANDS_BACK, nails, add_nails, &s->nails, &s->nail_returns);
    add_returns(track, HARD_EYES_BACK, iris, add_iris, &s->iris, &s->iris_returns);
    add_gestures(s, track);
    add_hues(s, track);
    add_idle(s, track);
}

_Static_assert(sizeof(struct hard_sums) % sizeof(double) == 0, "the sums are an array of doubles");
void hard_sums_merge(struct hard_sums *to, const struct hard_sums *from) { sums_add(to, from, sizeof *to); }

/* ---- figures ---- */

static double share(double part, double whole) { return whole > 0 ? part / whole : NAN; }

static double nails_error(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return share(s->nails, s->nail_returns);
}
static double iris_error(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return share(s->iris, s->iris_returns);
}
static double ghost_rate(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return share(s->ghosts, s->gesture_frames);
}

/* Histogram of the lifts along a direction, [cells], as shares. */
enum { SLICE_CELLS = 256, SLICES = 16 };
static void slice(const struct hard_sums *s, double angle, double *cells) {
    memset(cells, 0, SLICE_CELLS * sizeof *cells);
    for (int l = 0; l < LIFT_CELLS; l++)
        for (int r = 0; r < LIFT_CELLS; r++) {
            double at = (l * cos(angle) + r * sin(angle)) / (LIFT_CELLS - 1); /* -sqrt 2 .. sqrt 2 */
            cells[(int)((at / 3 + 0.5) * SLICE_CELLS)] += s->lifts[l][r] / s->gesture_frames;
        }
}

/* Sliced Wasserstein-1 distance of the lifts from the copy's: the mean over directions of the area between two
   distribution functions (Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", 2015). */
static double lift_distance(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)which;
    double own[SLICE_CELLS], known[SLICE_CELLS], sum = 0;
    if (!(s->gesture_frames > 0 && copy->gesture_frames > 0)) return NAN;
    for (int k = 0; k < SLICES; k++) {
        double ahead = 0;
        slice(s, M_PI * k / SLICES, own);
        slice(copy, M_PI * k / SLICES, known);
        for (int i = 0; i < SLICE_CELLS; i++) {
            ahead += own[i] - known[i];
            sum += fabs(ahead) * 3 / SLICE_CELLS / SLICES;
        }
    }
    return sum;
}

static double spread_over_truth(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return share(s->spread, s->truth_spread);
}
static double hue_drift(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy;
    return share(s->hue[which], s->hues[which]);
}
static double idle_mouth(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return share(share(s->idle_mouth, s->idle_frames), share(s->talk_mouth, s->talk_frames));
}
static double idle_blinks(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return share(60 * VIDEO_RATE * s->blinks, s->idle_frames);
}
static double idle_sway(const struct hard_sums *s, const struct hard_sums *copy, int which) {
    (void)copy, (void)which;
    return sqrt(share(s->sway_squares, s->idle_frames));
}

const struct hard_figure hard_figures[HARD_FIGURES] = {
    [HARD_NAILS] = {"nails_error", "nails' colour after a return, error of 255", nails_error, 0},
    [HARD_IRIS] = {"iris_error", "irises' colour after a return, error of 255", iris_error, 0},
    [HARD_GHOSTS] = {"ghost_rate", "talking without a whole hand in view, share", ghost_rate, 0},
    [HARD_LIFTS] = {"lift_distance", "lifts of both hands, Wasserstein distance", lift_distance, 0},
    [HARD_SPREAD] = {"spread_over_truth", "spread between seeds over the truth's", spread_over_truth, 0},
    [HARD_HUE_5] = {"hue_drift_5s", "hues of shirt and hair at 5 s, degrees off", hue_drift, 0},
    [HARD_HUE_20] = {"hue_drift_20s", "hues of shirt and hair at 20 s", hue_drift, 1},
    [HARD_HUE_60] = {"hue_drift_60s", "hues of shirt and hair at 60 s", hue_drift, 2},
    [HARD_IDLE_MOUTH] = {"idle_mouth", "mouth while idle over while talking", idle_mouth, 0},
    [HARD_IDLE_BLINKS] = {"idle_blinks", "blinks while idle, a minute", idle_blinks, 0},
    [HARD_IDLE_SWAY] = {"idle_sway", "sway of the face while idle, pixels", idle_sway, 0},
};
