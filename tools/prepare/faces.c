/* faces.c: see faces.h. */
#include "tools/prepare/faces.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/csv.h"
#include "base/error.h"
#include "model/audio/encoder.h"
#include "tools/prepare/sidecar.h"

enum {
    FRAMES_MAX = 1 << 24,
    FILLED = 12, /* longest gap that is filled, frames: half a second */
    REACH = 24   /* frames to each side that the smoothing takes in */
};
static const double DEVIATION = 8; /* deviation of the smoothing's weights, frames */
static const double JUMP = 0.5;    /* move from one frame to the next that is a cut, in heights of the box */

int faces_find(const char *video, char *path, int size) { return sidecar_beside(video, "box.csv", path, size); }

/* ---- reading ---- */

enum column { FRAME, TIME, LEFT, TOP, WIDTH, HEIGHT, RIGHT, BOTTOM, X, Y, W, H, X1, Y1, X2, Y2, COLUMNS };
static const char *const names[COLUMNS] = {"frame", "time", "left", "top", "width", "height", "right", "bottom",
                                           "x",     "y",    "w",    "h",   "x1",    "y1",     "x2",    "y2"};
/* Names of a box's columns: the last two are its far corner, or its size. */
static const struct way {
    enum column column[4];
    int corner;
} ways[] = {{{LEFT, TOP, WIDTH, HEIGHT}, 0}, {{LEFT, TOP, RIGHT, BOTTOM}, 1}, {{X, Y, W, H}, 0}, {{X1, Y1, X2, Y2}, 1}};

static const struct way *find_way(const struct csv *csv) {
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int there = 0;
        for (int k = 0; k < 4; k++) there += csv->place[ways[i].column[k]] >= 0;
        if (there == 4) return &ways[i];
    }
    return NULL;
}

/* Number of the frame that a row is about. */
static int read_frame(const struct csv *csv, long *frame) {
    double value;
    int timed = csv->place[TIME] >= 0;
    TRY(csv_number(csv, timed ? TIME : FRAME, &value));
    if (timed) value = floor(value * VIDEO_RATE + 1e-6);
    if (!(value >= 0 && value < FRAMES_MAX) || value != floor(value))
        return csv_fail(csv, "expected a %s of the clip", timed ? "time" : "frame");
    *frame = (long)value;
    return OK;
}

/* Reads the box of a row; a row without its numbers has no box. */
static int read_box(const struct csv *csv, const struct way *way, struct video_face *face) {
    double v[4];
    *face = (struct video_face){0, 0, 0};
    if (!*csv_text(csv, way->column[0])) return OK;
    for (int k = 0; k < 4; k++) TRY(csv_number(csv, way->column[k], &v[k]));
    if (way->corner) v[2] -= v[0], v[3] -= v[1];
    if (!(v[2] > 0 && v[3] > 0 && v[2] < 1e6 && v[3] < 1e6))
        return csv_fail(csv, "a box of %g x %g pixels", v[2], v[3]);
    *face = (struct video_face){v[0] + v[2] / 2, v[1] + v[3] / 2, v[3]};
    return OK;
}

struct boxes {
    struct video_face *faces;
    long count, room;
};

static int keep_row(const struct csv *csv, const struct way *way, struct boxes *boxes) {
    long frame = 0;
    struct video_face face;
    TRY(read_frame(csv, &frame));
    TRY(read_box(csv, way, &face));
    if (frame >= boxes->room) {
        long room = 2 * frame + 256;
        struct video_face *grown = realloc(boxes->faces, sizeof *grown * (size_t)room);
        if (!grown) return error_set(ERR_DEVICE, "out of memory for boxes");
        memset(grown + boxes->room, 0, sizeof *grown * (size_t)(room - boxes->room));
        boxes->faces = grown;
        boxes->room = room;
    }
    int timed =
        csv->place[TIME] >= 0; /* a tracker may run at more than 25 a second: the first box of a frame is taken */
    if (boxes->faces[frame].height > 0 && timed) return OK;
    if (boxes->faces[frame].height > 0)
        return csv_fail(csv, "frame %ld has a second box: keep those of the person that is meant", frame);
    boxes->faces[frame] = face;
    if (frame + 1 > boxes->count) boxes->count = frame + 1;
    return OK;
}

static int read_rows(struct csv *csv, struct boxes *boxes) {
    const struct way *way = NULL;
    int got;
    while ((got = csv_next(csv)) > 0) {
        if (!way) way = find_way(csv);
        if (!csv->named || !way || (csv->place[FRAME] < 0 && csv->place[TIME] < 0))
            return csv_fail(csv, "expected a first row of column names: frame,left,top,width,height");
        TRY(keep_row(csv, way, boxes));
    }
    return got < 0 ? -got : OK;
}

/* ---- filling and smoothing ---- */

/* Fills gaps between two boxes; at the ends the nearest box stays for as long. The array has room for FILLED more
   frames. */
static void fill(struct boxes *b) {
    long last = -1;
    for (long f = 0; f < b->count; f++) {
        if (!(b->faces[f].height > 0)) continue;
        const struct video_face to = b->faces[f], from = last < 0 ? to : b->faces[last];
        long gap = f - last - 1;
        for (long i = 1; i <= gap && gap <= FILLED; i++) {
            double share = (double)i / (double)(gap + 1);
            b->faces[last + i] = (struct video_face){from.x + share * (to.x - from.x), from.y + share * (to.y - from.y),
                                                     from.height + share * (to.height - from.height)};
        }
        last = f;
    }
    for (int i = 1; i <= FILLED && last >= 0; i++) b->faces[last + i] = b->faces[last];
    b->count = last < 0 ? 0 : last + 1 + FILLED;
}

/* 1 where two frames in a row show the same person in the same shot. */
static int continues(const struct video_face *a, const struct video_face *b) {
    return a->height > 0 && b->height > 0 && hypot(a->x - b->x, a->y - b->y) <= JUMP * a->height;
}

static int smooth(struct boxes *b, double size) {
    struct video_face *out = malloc(sizeof *out * (size_t)(b->count + 1));
    if (!out) return error_set(ERR_DEVICE, "out of memory for boxes");
    for (long f = 0; f < b->count; f++) {
        struct video_face sum = b->faces[f];
        double all = 1;
        for (int side = -1; side <= 1; side += 2)
            for (long i = 1; i <= REACH; i++) {
                long at = f + side * i;
                if (at < 0 || at >= b->count || !continues(&b->faces[at - side], &b->faces[at])) break;
                double weight = exp(-0.5 * (double)(i * i) / (DEVIATION * DEVIATION));
                sum.x += weight * b->faces[at].x;
                sum.y += weight * b->faces[at].y;
                sum.height += weight * b->faces[at].height;
                all += weight;
            }
        out[f] = (struct video_face){sum.x / all, sum.y / all, b->faces[f].height > 0 ? size * sum.height / all : 0};
    }
    free(b->faces);
    b->faces = out;
    return OK;
}

int faces_read(const char *path, double size, struct video_face **faces, long *count) {
    struct boxes boxes = {NULL, 0, 0};
    struct csv csv;
    *faces = NULL;
    *count = 0;
    TRY(csv_open(&csv, path, names, 0, COLUMNS));
    int code = read_rows(&csv, &boxes);
    csv_close(&csv);
    if (!code && !boxes.count) code = error_set(ERR_INPUT, "%s: holds no box", path);
    if (!code) {
        struct video_face *grown = realloc(boxes.faces, sizeof *grown * (size_t)(boxes.count + FILLED));
        if (grown) boxes.faces = grown;
        code = grown ? OK : error_set(ERR_DEVICE, "out of memory for boxes");
    }
    if (!code) fill(&boxes);
    if (!code) code = smooth(&boxes, size);
    if (code) {
        free(boxes.faces);
        return code;
    }
    *faces = boxes.faces;
    *count = boxes.count;
    return OK;
}
