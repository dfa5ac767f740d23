/* puppet_drawing.c: see puppet_drawing.h. Lengths are in heights of the picture; the head is drawn in its own
   coordinates (origin in its middle, turned by the tilt). The order is from back to front: wall, hair behind, neck and
   torso, head, arms, hands. */
#include "data/puppet_drawing.h"

#include <cairo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/puppet_script.h"

typedef struct puppet_colour colour;

struct puppet_canvas {
    struct puppet_looks looks;
    struct picture_view view;
    cairo_surface_t *picture, *wall;
    cairo_t *pen;
    int height, width;
};

/* ---- colours and looks ---- */

static colour mix(colour a, colour b, double t) {
    return (colour){a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)};
}
static colour darker(colour a, double by) { return mix(a, (colour){0.05, 0.02, 0.06}, by); }
static colour lighter(colour a, double by) { return mix(a, (colour){1, 1, 1}, by); }

static double hsv_channel(double hue, double saturation, double value, double offset) {
    double k = fmod(offset + 6 * hue, 6);
    return value - value * saturation * fmax(0, fmin(fmin(k, 4 - k), 1));
}
static colour hsv(double hue, double saturation, double value) {
    return (colour){hsv_channel(hue, saturation, value, 5), hsv_channel(hue, saturation, value, 3),
                    hsv_channel(hue, saturation, value, 1)};
}

void puppet_looks(struct puppet_looks *looks, uint64_t seed, int identity) {
    static const colour skins[] = {{0.99, 0.87, 0.78}, {0.94, 0.76, 0.62}, {0.80, 0.58, 0.43}, {0.58, 0.39, 0.28}};
    static const colour hairs[] = {{0.13, 0.10, 0.10}, {0.29, 0.18, 0.12}, {0.52, 0.30, 0.16},
                                   {0.86, 0.68, 0.38}, {0.62, 0.24, 0.12}, {0.62, 0.61, 0.62}};
    static const colour irises[] = {{0.30, 0.20, 0.12}, {0.22, 0.42, 0.62}, {0.25, 0.45, 0.30}, {0.38, 0.30, 0.18}};
    struct puppet_dice dice = puppet_dice(seed, identity, -1, PUPPET_LOOKS);
    *looks = (struct puppet_looks){.detailed = 0};
    double tone = puppet_roll(&dice, 0, 3);
    int step = (int)tone;
    looks->skin = mix(skins[step], skins[step + 1], tone - step);
    looks->hair = mix(hairs[puppet_pick(&dice, 6)], hairs[puppet_pick(&dice, 6)], puppet_roll(&dice, 0, 0.35));
    looks->lips = mix(looks->skin, (colour){0.76, 0.20, 0.28}, puppet_roll(&dice, 0.50, 0.72));
    looks->iris = irises[puppet_pick(&dice, 4)];
    /* Hues of clothes and wall stay away from those of skin, so that hands stand out. */
    double cloth = puppet_roll(&dice, 0.27, 0.93), wall = puppet_roll(&dice, 0.28, 0.82);
    looks->shirt = hsv(cloth, puppet_roll(&dice, 0.35, 0.75), puppet_roll(&dice, 0.35, 0.85));
    looks->wall_top = hsv(wall, puppet_roll(&dice, 0.10, 0.30), puppet_roll(&dice, 0.68, 0.92));
    looks->wall_bottom =
        hsv(wall + puppet_roll(&dice, -0.08, 0.08), puppet_roll(&dice, 0.18, 0.42), puppet_roll(&dice, 0.45, 0.72));
    looks->accent = hsv(puppet_roll(&dice, 0.25, 0.90), puppet_roll(&dice, 0.30, 0.60), puppet_roll(&dice, 0.55, 0.90));
    looks->head_width = puppet_roll(&dice, 0.93, 1.08);
    looks->head_height = puppet_roll(&dice, 0.96, 1.04);
    looks->jaw = puppet_roll(&dice, 0.58, 0.85);
    looks->shoulder = puppet_roll(&dice, 0.92, 1.10);
    looks->eye_gap = puppet_roll(&dice, 0.053, 0.062);
    looks->brow = puppet_roll(&dice, 0.008, 0.015);
    looks->fringe = puppet_roll(&dice, -0.015, 0.015);
    looks->hair_style = puppet_pick(&dice, HAIR_STYLES);
    looks->collar = puppet_pick(&dice, COLLAR_STYLES);
    looks->scene = puppet_pick(&dice, SCENE_STYLES);
    looks->scene_side = puppet_pick(&dice, 2) ? 1 : -1;
    looks->glasses = puppet_roll(&dice, 0, 1) < 0.25;
}

void puppet_details(struct puppet_looks *looks, uint64_t seed, int identity) {
    struct puppet_dice dice = puppet_dice(seed, identity, -1, PUPPET_DETAILS);
    looks->detailed = 1;
    looks->glasses = 0;
    looks->iris = hsv(puppet_roll(&dice, 0, 1), 0.85, puppet_roll(&dice, 0.55, 0.80));
    looks->nails = hsv(puppet_roll(&dice, 0, 1), puppet_roll(&dice, 0.75, 0.95), puppet_roll(&dice, 0.55, 0.95));
    looks->stripes = hsv(puppet_roll(&dice, 0, 1), puppet_roll(&dice, 0.6, 0.9), puppet_roll(&dice, 0.7, 0.95));
    looks->stripe_count = 1 + puppet_pick(&dice, 2);
    looks->hair = hsv(puppet_roll(&dice, 0, 1), puppet_roll(&dice, 0.45, 0.75), puppet_roll(&dice, 0.30, 0.65));
}

/* Turns a colour's hue by a rotation about the axis of greys. */
static colour turned(colour c, double degrees) {
    double a = degrees * M_PI / 180, u = (1 - cos(a)) / 3, v = sin(a) / sqrt(3), same = cos(a) + u;
    double r = same * c.r + (u - v) * c.g + (u + v) * c.b, g = (u + v) * c.r + same * c.g + (u - v) * c.b,
           b = (u - v) * c.r + (u + v) * c.g + same * c.b;
    return (colour){fmin(1, fmax(0, r)), fmin(1, fmax(0, g)), fmin(1, fmax(0, b))};
}

void puppet_dye(struct puppet_looks *looks, double degrees) {
    looks->shirt = turned(looks->shirt, degrees);
    looks->hair = turned(looks->hair, degrees);
}

/* ---- strokes ---- */

static void ink(cairo_t *pen, colour c) { cairo_set_source_rgb(pen, c.r, c.g, c.b); }
static void ink_thin(cairo_t *pen, colour c, double opacity) { cairo_set_source_rgba(pen, c.r, c.g, c.b, opacity); }
static void fill_with(cairo_t *pen, colour c) { ink(pen, c), cairo_fill(pen); }

static void stroke_with(cairo_t *pen, colour c, double thickness) {
    ink(pen, c);
    cairo_set_line_width(pen, thickness);
    cairo_stroke(pen);
}

static void ellipse(cairo_t *pen, double x, double y, double rx, double ry) {
    cairo_matrix_t kept;
    cairo_get_matrix(pen, &kept);
    cairo_new_sub_path(pen);
    cairo_translate(pen, x, y);
    cairo_scale(pen, rx, ry > 1e-4 ? ry : 1e-4);
    cairo_arc(pen, 0, 0, 1, 0, 2 * M_PI);
    cairo_close_path(pen);
    cairo_set_matrix(pen, &kept);
}

static void fill_shaded(cairo_t *pen, colour top, colour bottom, double y0, double y1) {
    cairo_pattern_t *shade = cairo_pattern_create_linear(0, y0, 0, y1);
    cairo_pattern_add_color_stop_rgb(shade, 0, top.r, top.g, top.b);
    cairo_pattern_add_color_stop_rgb(shade, 1, bottom.r, bottom.g, bottom.b);
    cairo_set_source(pen, shade);
    cairo_fill(pen);
    cairo_pattern_destroy(shade);
}

/* ---- the wall ---- */

/* How far wall and body go on outside of the plain picture, for views that move it or make it smaller: at the limits of
   both (picture_view.h) (1/2 + 1/2) exp(0.7) - 1/2 = 1.51 heights are seen. */
#define BEYOND 1.6

static void draw_window(cairo_t *pen, const struct puppet_looks *k) {
    double x = k->scene_side > 0 ? 0.74 : 0.04;
    cairo_rectangle(pen, x, 0.07, 0.22, 0.34);
    fill_with(pen, lighter(k->wall_top, 0.7));
    cairo_rectangle(pen, x + 0.02, 0.09, 0.18, 0.30);
    fill_shaded(pen, (colour){0.60, 0.80, 0.97}, (colour){0.86, 0.94, 0.98}, 0.09, 0.39);
    cairo_rectangle(pen, x + 0.103, 0.09, 0.014, 0.30);
    cairo_rectangle(pen, x + 0.02, 0.225, 0.18, 0.014);
    fill_with(pen, lighter(k->wall_top, 0.7));
}

static void draw_picture(cairo_t *pen, const struct puppet_looks *k) {
    double x = k->scene_side > 0 ? 0.76 : 0.05;
    cairo_rectangle(pen, x, 0.10, 0.19, 0.24);
    fill_with(pen, darker(k->wall_bottom, 0.55));
    cairo_rectangle(pen, x + 0.018, 0.118, 0.154, 0.204);
    fill_with(pen, lighter(k->accent, 0.55));
    ellipse(pen, x + 0.12, 0.18, 0.03, 0.03);
    fill_with(pen, k->accent);
    cairo_move_to(pen, x + 0.018, 0.322);
    cairo_line_to(pen, x + 0.075, 0.215);
    cairo_line_to(pen, x + 0.172, 0.322);
    fill_with(pen, darker(k->accent, 0.35));
}

static void draw_plant(cairo_t *pen, const struct puppet_looks *k) {
    double x = k->scene_side > 0 ? 0.90 : 0.10;
    colour leaf = hsv(0.36, 0.45, 0.55);
    for (int i = -2; i <= 2; i++) {
        cairo_save(pen);
        cairo_translate(pen, x, 0.66);
        cairo_rotate(pen, 0.42 * i);
        ellipse(pen, 0, -0.15, 0.032, 0.13);
        fill_with(pen, i % 2 ? leaf : darker(leaf, 0.2));
        cairo_restore(pen);
    }
}

static void draw_panels(cairo_t *pen, const struct puppet_looks *k) {
    for (int i = -13; i < 20; i += 2) cairo_rectangle(pen, 0.143 * i, -BEYOND, 0.143, 1 + 2 * BEYOND);
    ink_thin(pen, k->accent, 0.28);
    cairo_fill(pen);
}

static void draw_wall(cairo_t *pen, const struct puppet_looks *k, double aspect) {
    cairo_rectangle(pen, 0.5 - aspect - BEYOND, -BEYOND, 2 * (aspect + BEYOND), 1 + 2 * BEYOND);
    fill_shaded(pen, k->wall_top, k->wall_bottom, 0, 1);
    switch (k->scene) {
    case SCENE_WINDOW:
        draw_window(pen, k);
        break;
    case SCENE_PICTURE:
        draw_picture(pen, k);
        break;
    case SCENE_PLANT:
        draw_plant(pen, k);
        break;
    case SCENE_PANELS:
        draw_panels(pen, k);
        break;
    default:
        break;
    }
}

/* ---- the head, in its own coordinates ---- */

#define CROWN -0.185

static void face_path(cairo_t *pen, const struct puppet_looks *k, double chin, double drop) {
    double w = 0.137 * k->head_width, top = CROWN * k->head_height;
    cairo_move_to(pen, 0, top);
    cairo_curve_to(pen, 0.70 * w, top, w, top + 0.06, w, -0.03);
    cairo_curve_to(pen, w, 0.09 + 0.5 * drop, k->jaw * w, chin, 0, chin);
    cairo_curve_to(pen, -k->jaw * w, chin, -w, 0.09 + 0.5 * drop, -w, -0.03);
    cairo_curve_to(pen, -w, top + 0.06, -0.70 * w, top, 0, top);
    cairo_close_path(pen);
}

/* Hair that hangs behind head and shoulders. */
static void draw_hair_behind(cairo_t *pen, const struct puppet_looks *k) {
    double w = 0.137 * k->head_width;
    if (k->hair_style == HAIR_LONG || k->hair_style == HAIR_BOB) {
        double hem = k->hair_style == HAIR_LONG ? 0.36 : 0.185;
        cairo_move_to(pen, 0, -0.235);
        cairo_curve_to(pen, 1.15 * w, -0.235, 1.32 * w, -0.10, 1.32 * w, 0.02);
        cairo_curve_to(pen, 1.32 * w, 0.14, 1.55 * w, 0.20, 1.38 * w, hem);
        cairo_curve_to(pen, 0.8 * w, hem + 0.03, -0.8 * w, hem + 0.03, -1.38 * w, hem);
        cairo_curve_to(pen, -1.55 * w, 0.20, -1.32 * w, 0.14, -1.32 * w, 0.02);
        cairo_curve_to(pen, -1.32 * w, -0.10, -1.15 * w, -0.235, 0, -0.235);
        fill_with(pen, darker(k->hair, 0.22));
    } else if (k->hair_style == HAIR_BUN) {
        ellipse(pen, 0, -0.235, 0.062, 0.055);
        fill_with(pen, darker(k->hair, 0.12));
    } else if (k->hair_style == HAIR_CURLY) {
        for (int i = 0; i < 9; i++) {
            double angle = M_PI * (i - 0.8) / 7.4;
            ellipse(pen, -1.12 * w * cos(angle), -0.035 - 0.16 * sin(angle), 0.056, 0.056);
        }
        fill_with(pen, darker(k->hair, 0.10));
    }
}

/* Hair over the forehead; `face` is how far a nod has shifted the hairline. */
static void draw_hair_front(cairo_t *pen, const struct puppet_looks *k, double face) {
    double w = 0.137 * k->head_width, line = -0.098 + k->fringe + face, side = -0.015;
    cairo_move_to(pen, -1.07 * w, side);
    cairo_curve_to(pen, -1.18 * w, -0.15, -0.85 * w, -0.232, 0, -0.230);
    cairo_curve_to(pen, 0.85 * w, -0.232, 1.18 * w, -0.15, 1.07 * w, side);
    switch (k->hair_style) {
    case HAIR_PARTED: /* a wave from one side to the other */
        cairo_curve_to(pen, 0.98 * w, -0.06, 0.95 * w, line - 0.02, 0.55 * w, line - 0.035);
        cairo_curve_to(pen, 0.05 * w, line + 0.012, -0.50 * w, line + 0.012, -0.86 * w, line + 0.040);
        cairo_curve_to(pen, -0.95 * w, line + 0.055, -0.97 * w, -0.05, -1.07 * w, side);
        break;
    case HAIR_LONG: /* parted in the middle */
        cairo_curve_to(pen, 1.00 * w, -0.06, 0.75 * w, line, 0, line - 0.050);
        cairo_curve_to(pen, -0.75 * w, line, -1.00 * w, -0.06, -1.07 * w, side);
        break;
    case HAIR_BOB: /* a straight fringe */
        cairo_curve_to(pen, 0.98 * w, line + 0.02, 0.90 * w, line + 0.022, 0.80 * w, line + 0.022);
        cairo_curve_to(pen, 0.4 * w, line + 0.030, -0.4 * w, line + 0.030, -0.80 * w, line + 0.022);
        cairo_curve_to(pen, -0.90 * w, line + 0.022, -0.98 * w, line + 0.02, -1.07 * w, side);
        break;
    case HAIR_BUN: /* combed back */
        cairo_curve_to(pen, 0.97 * w, -0.08, 0.80 * w, line - 0.045, 0, line - 0.045);
        cairo_curve_to(pen, -0.80 * w, line - 0.045, -0.97 * w, -0.08, -1.07 * w, side);
        break;
    default: /* short, and under the curls */
        cairo_curve_to(pen, 0.96 * w, -0.06, 0.98 * w, line - 0.01, 0.62 * w, line - 0.012);
        cairo_curve_to(pen, 0.3 * w, line - 0.002, -0.3 * w, line - 0.018, -0.62 * w, line - 0.012);
        cairo_curve_to(pen, -0.98 * w, line - 0.01, -0.96 * w, -0.06, -1.07 * w, side);
        break;
    }
    cairo_close_path(pen);
    fill_shaded(pen, lighter(k->hair, 0.14), k->hair, -0.22, -0.07);
}

static void draw_eye(cairo_t *pen, const struct puppet_looks *k, const struct puppet_pose *pose, double x, double y) {
    double large = k->detailed ? 1.28 : 1, open = 1 - pose->blink, rx = 0.029 * large, ry = 0.0195 * large;
    double iris = k->detailed ? 0.0215 : 0.0150, pupil = k->detailed ? 0.0070 : 0.0075;
    cairo_save(pen);
    ellipse(pen, x, y + 0.004 * (1 - open), rx, ry * open);
    cairo_clip_preserve(pen);
    fill_with(pen, (colour){0.97, 0.97, 0.96});
    double ix = x + 0.009 * pose->gaze[0], iy = y + 0.006 * pose->gaze[1];
    ellipse(pen, ix, iy, iris, iris);
    fill_with(pen, k->iris);
    ellipse(pen, ix, iy, pupil, pupil);
    fill_with(pen, (colour){0.05, 0.04, 0.05});
    ellipse(pen, ix - 0.005, iy - 0.006, 0.0035, 0.0035);
    fill_with(pen, (colour){1, 1, 1});
    cairo_restore(pen);
    /* the upper lid comes down to the lower one */
    double lid = y - ry * 1.45 * open + 0.014 * (1 - open);
    cairo_move_to(pen, x - rx * 1.08, y + 0.003);
    cairo_curve_to(pen, x - 0.6 * rx, lid, x + 0.6 * rx, lid, x + rx * 1.08, y + 0.003);
    stroke_with(pen, mix(darker(k->hair, 0.5), (colour){0.15, 0.08, 0.06}, 0.5), 0.0075);
}

static void draw_brow(cairo_t *pen, const struct puppet_looks *k, double x, double y, int side) {
    cairo_move_to(pen, x - 0.030 * side, y + 0.004);
    cairo_curve_to(pen, x - 0.01 * side, y - 0.010, x + 0.02 * side, y - 0.010, x + 0.036 * side, y + 0.006);
    stroke_with(pen, darker(k->hair, 0.25), k->brow);
}

static void draw_glasses(cairo_t *pen, const struct puppet_looks *k, double y) {
    for (int side = -1; side <= 1; side += 2) ellipse(pen, side * k->eye_gap, y + 0.003, 0.044, 0.036);
    ink_thin(pen, (colour){1, 1, 1}, 0.14);
    cairo_fill_preserve(pen);
    cairo_new_sub_path(pen);
    cairo_move_to(pen, -k->eye_gap + 0.043, y - 0.004);
    cairo_line_to(pen, k->eye_gap - 0.043, y - 0.004);
    stroke_with(pen, (colour){0.18, 0.16, 0.20}, 0.0085);
}

/* The gap between the lips is PUPPET_GAP * mouth high in its middle. */
static void draw_mouth(cairo_t *pen, const struct puppet_looks *k, const struct puppet_pose *pose, double y) {
    double gap = PUPPET_GAP * pose->mouth, half = 0.060 * (1 - 0.36 * pose->round);
    double corner = y + 0.25 * gap - 0.009 * (1 - pose->round), upper = y - 0.22 * gap, lower = y + 1.12 * gap;
    double lip = 0.60 + 0.40 * pose->round;
    cairo_move_to(pen, -half - 0.006, corner);
    cairo_curve_to(pen, -0.5 * half, upper - 0.030 * lip, -0.2 * half, upper - 0.028, 0, upper - 0.012 * lip);
    cairo_curve_to(pen, 0.2 * half, upper - 0.028, 0.5 * half, upper - 0.030 * lip, half + 0.006, corner);
    cairo_curve_to(pen, 0.68 * half, lower + 0.030, -0.68 * half, lower + 0.030, -half - 0.006, corner);
    fill_with(pen, k->lips);
    cairo_move_to(pen, -half, corner);
    cairo_curve_to(pen, -0.55 * half, upper, 0.55 * half, upper, half, corner);
    cairo_curve_to(pen, 0.68 * half, lower, -0.68 * half, lower, -half, corner);
    cairo_close_path(pen);
    colour inside = {0.17, 0.04, 0.06};
    if (gap < 0.006) {
        stroke_with(pen, mix(k->lips, inside, 0.65), 0.006);
        return;
    }
    cairo_save(pen);
    cairo_clip_preserve(pen);
    fill_with(pen, inside);
    ellipse(pen, 0, y + 0.93 * gap, 0.55 * half, 0.22 * gap);
    fill_with(pen, (colour){0.38, 0.10, 0.13});
    cairo_rectangle(pen, -0.72 * half, y - 0.25 * gap, 1.44 * half, 0.25 * gap + fmin(0.010, 0.08 * gap));
    fill_with(pen, (colour){0.93, 0.91, 0.88});
    cairo_restore(pen);
}

/* What a turn of the head shifts: eyes, brows, nose and mouth; `face` is how far a nod has. */
static void draw_face(cairo_t *pen, const struct puppet_looks *k, const struct puppet_pose *pose, double face) {
    for (int side = -1; side <= 1; side += 2) {
        draw_eye(pen, k, pose, side * k->eye_gap, PUPPET_EYES_Y + face);
        draw_brow(pen, k, side * k->eye_gap, PUPPET_EYES_Y - 0.043 + 1.1 * face - 0.004 * pose->mouth, side);
    }
    cairo_move_to(pen, 0.004, 0.002 + face);
    cairo_curve_to(pen, 0.010, 0.025 + face, 0.026, 0.047 + 1.15 * face, -0.008, 0.050 + 1.15 * face);
    stroke_with(pen, darker(k->skin, 0.28), 0.008);
    draw_mouth(pen, k, pose, PUPPET_LIPS_Y + face);
    if (k->glasses) draw_glasses(pen, k, PUPPET_EYES_Y + face);
}

static void draw_head(cairo_t *pen, const struct puppet_looks *k, const struct puppet_pose *pose) {
    double face = PUPPET_NOD_FACE * pose->nod, drop = 0.062 * pose->mouth, aside = PUPPET_TURN_FACE * pose->turn;
    double chin = 0.182 * k->head_height + drop + 0.55 * face, w = 0.137 * k->head_width;
    for (int side = -1; side <= 1; side += 2) {
        ellipse(pen, side * w * 1.01, 0.005 + 0.5 * face, 0.024, 0.038);
        fill_with(pen, darker(k->skin, 0.10));
    }
    face_path(pen, k, chin, drop);
    fill_shaded(pen, lighter(k->skin, 0.06), darker(k->skin, 0.10), -0.15, 0.22);
    for (int side = -1; side <= 1; side += 2) {
        ellipse(pen, side * 0.082 * k->head_width + 0.3 * aside, 0.055 + face, 0.030, 0.022);
        ink_thin(pen, (colour){0.92, 0.35, 0.33}, 0.16);
        cairo_fill(pen);
    }
    cairo_save(pen);
    cairo_translate(pen, aside, 0);
    draw_face(pen, k, pose, face);
    cairo_restore(pen);
    draw_hair_front(pen, k, face);
}

/* ---- the body ---- */

static void draw_torso(cairo_t *pen, const struct puppet_looks *k, double x) {
    double s = 0.255 * k->shoulder;
    cairo_rectangle(pen, x - 0.062, 0.44, 0.124, 0.20);
    fill_shaded(pen, darker(k->skin, 0.34), darker(k->skin, 0.12), 0.52, 0.60);
    cairo_move_to(pen, x - 0.075, 0.585);
    cairo_curve_to(pen, x - 0.13, 0.625, x - s, 0.625, x - s - 0.02, 0.74);
    cairo_line_to(pen, x - s - 0.05, 1.02);
    cairo_line_to(pen, x - s - 0.05, 1 + BEYOND);
    cairo_line_to(pen, x + s + 0.05, 1 + BEYOND);
    cairo_line_to(pen, x + s + 0.05, 1.02);
    cairo_line_to(pen, x + s + 0.02, 0.74);
    cairo_curve_to(pen, x + s, 0.625, x + 0.13, 0.625, x + 0.075, 0.585);
    cairo_curve_to(pen, x + 0.05, 0.64, x - 0.05, 0.64, x - 0.075, 0.585);
    cairo_close_path(pen);
    fill_shaded(pen, lighter(k->shirt, 0.10), darker(k->shirt, 0.22), 0.58, 1.0);
    if (k->collar == COLLAR_V) {
        cairo_move_to(pen, x - 0.072, 0.588);
        cairo_line_to(pen, x, 0.715);
        cairo_line_to(pen, x + 0.072, 0.588);
        cairo_curve_to(pen, x + 0.05, 0.60, x - 0.05, 0.60, x - 0.072, 0.588);
        fill_shaded(pen, darker(k->skin, 0.20), darker(k->skin, 0.04), 0.585, 0.68);
    } else if (k->collar == COLLAR_SHIRT) {
        for (int side = -1; side <= 1; side += 2) {
            cairo_move_to(pen, x + side * 0.082, 0.572);
            cairo_line_to(pen, x + side * 0.105, 0.655);
            cairo_line_to(pen, x + side * 0.045, 0.685);
            cairo_line_to(pen, x, 0.640);
            cairo_close_path(pen);
            fill_with(pen, lighter(k->shirt, 0.55));
        }
        cairo_move_to(pen, x, 0.65);
        cairo_line_to(pen, x, 1.02);
        cairo_line_to(pen, x, 1 + BEYOND);
        stroke_with(pen, darker(k->shirt, 0.30), 0.008);
    } else {
        cairo_move_to(pen, x - 0.078, 0.587);
        cairo_curve_to(pen, x - 0.05, 0.647, x + 0.05, 0.647, x + 0.078, 0.587);
        stroke_with(pen, k->collar == COLLAR_ROUND ? darker(k->shirt, 0.30) : lighter(k->shirt, 0.6), 0.016);
    }
    if (k->collar == COLLAR_STRIPES) {
        for (int i = 0; i < 2; i++) cairo_rectangle(pen, x - s - 0.02, 0.745 + 0.12 * i, 2 * s + 0.04, 0.045);
        ink_thin(pen, lighter(k->shirt, 0.65), 0.8);
        cairo_fill(pen);
    }
}

static void stroke_arm(cairo_t *pen, const double elbow[2], const double wrist[2], colour c, double thickness) {
    cairo_move_to(pen, elbow[0], elbow[1]);
    cairo_line_to(pen, wrist[0], wrist[1]);
    stroke_with(pen, c, thickness);
}

/* Stripes lie across the sleeve, the first near the wrist. */
static void draw_stripes(cairo_t *pen, const struct puppet_looks *k, const double elbow[2], const double wrist[2]) {
    double along[2] = {elbow[0] - wrist[0], elbow[1] - wrist[1]}, length = hypot(along[0], along[1]);
    cairo_set_line_cap(pen, CAIRO_LINE_CAP_BUTT);
    for (int i = 0; i < k->stripe_count && length > 1e-6; i++) {
        double from = (0.012 + 0.058 * i) / length, to = from + 0.032 / length;
        double a[2] = {wrist[0] + from * along[0], wrist[1] + from * along[1]},
               b[2] = {wrist[0] + to * along[0], wrist[1] + to * along[1]};
        stroke_arm(pen, a, b, k->stripes, 0.092);
    }
    cairo_set_line_cap(pen, CAIRO_LINE_CAP_ROUND);
}

static void draw_arm(cairo_t *pen, const struct puppet_looks *k, double x, const float hand[2], int side) {
    const double elbow[2] = {x + side * 0.275 * k->shoulder, k->detailed ? 1.16 : 1.03};
    const double wrist[2] = {hand[0] + side * 0.012, hand[1] + (k->detailed ? 0.070 : 0.045)};
    stroke_arm(pen, elbow, wrist, darker(k->shirt, 0.42), 0.104);
    stroke_arm(pen, elbow, wrist, darker(k->shirt, 0.12), 0.090);
    if (k->detailed) draw_stripes(pen, k, elbow, wrist);
}

/* Four fingers with nails, and a thumb, about the middle of the palm. */
static void draw_fingers(cairo_t *pen, const struct puppet_looks *k) {
    static const double length[4] = {0.074, 0.090, 0.094, 0.082};
    colour skin = lighter(k->skin, 0.04), line = darker(k->skin, 0.38);
    for (int pass = 0; pass < 2; pass++) { /* outlines, then what they hold */
        double more = pass ? 0 : 0.011;
        colour c = pass ? skin : line;
        for (int i = 0; i < 4; i++) {
            double x = -0.0405 + 0.027 * i;
            cairo_move_to(pen, 0.8 * x, -0.010);
            cairo_line_to(pen, x, -length[i]);
            stroke_with(pen, c, 0.0225 + more);
        }
        cairo_move_to(pen, -0.030, 0.020);
        cairo_line_to(pen, -0.066, -0.014);
        stroke_with(pen, c, 0.024 + more);
        ellipse(pen, 0, 0.018, 0.044 + more / 2, 0.052 + more / 2);
        fill_with(pen, c);
    }
    for (int i = 0; i < 4; i++) {
        ellipse(pen, -0.0405 + 0.027 * i, -length[i] - 0.001, 0.0115, 0.0165);
        fill_with(pen, k->nails);
    }
}

static void draw_hand(cairo_t *pen, const struct puppet_looks *k, const float hand[2], int side) {
    colour skin = lighter(k->skin, 0.04), line = darker(k->skin, 0.35);
    cairo_save(pen);
    cairo_translate(pen, hand[0], hand[1]);
    cairo_rotate(pen, side * (0.9 * (hand[1] - 0.85) + 0.6 * (side * (hand[0] - 0.5) - 0.25)));
    cairo_scale(pen, side, 1);
    if (k->detailed) {
        draw_fingers(pen, k);
        cairo_restore(pen);
        return;
    }
    cairo_move_to(pen, -0.030, 0.050);
    cairo_curve_to(pen, -0.052, 0.020, -0.046, -0.030, -0.034, -0.052);
    cairo_curve_to(pen, -0.020, -0.072, 0.020, -0.072, 0.034, -0.052);
    cairo_curve_to(pen, 0.048, -0.030, 0.048, 0.020, 0.030, 0.050);
    cairo_close_path(pen);
    ellipse(pen, -0.046, -0.004, 0.019, 0.034);
    ink(pen, line);
    cairo_set_line_width(pen, 0.010);
    cairo_stroke_preserve(pen);
    fill_with(pen, skin);
    for (int finger = -1; finger <= 1; finger++) {
        cairo_move_to(pen, 0.018 * finger, -0.056);
        cairo_line_to(pen, 0.016 * finger, -0.022);
    }
    stroke_with(pen, darker(k->skin, 0.24), 0.005);
    cairo_restore(pen);
}

/* ---- the canvas ---- */

static void to_heights(cairo_t *pen, const struct puppet_canvas *c) {
    double zoom = exp(c->view.zoom);
    cairo_identity_matrix(pen);
    cairo_translate(pen, 0.5 * (c->width - c->height), 0);
    cairo_scale(pen, c->height, c->height);
    /* the same as picture_view_place */
    cairo_translate(pen, c->view.x + 0.5 * (1 - zoom), c->view.y + 0.5 * (1 - zoom));
    cairo_scale(pen, zoom, zoom);
}

int puppet_canvas_open(struct puppet_canvas **canvas, int height, int width, const struct puppet_looks *looks,
                       const struct picture_view *view) {
    *canvas = NULL;
    if (height < 16 || width < 16 || height > 8192 || width > 8192)
        return error_set(ERR_USAGE, "puppet: picture of %d x %d: expected 16 to 8192 pixels", height, width);
    struct puppet_canvas *c = calloc(1, sizeof *c);
    if (!c) return error_set(ERR_DEVICE, "puppet: out of memory");
    *c = (struct puppet_canvas){.looks = *looks, .view = *view, .height = height, .width = width};
    c->wall = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    c->picture = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_t *pen = cairo_create(c->wall);
    to_heights(pen, c);
    draw_wall(pen, looks, (double)width / height);
    cairo_status_t status = cairo_status(pen);
    cairo_destroy(pen);
    c->pen = cairo_create(c->picture);
    cairo_set_line_cap(c->pen, CAIRO_LINE_CAP_ROUND); /* set once, so that no frame depends on the one before */
    if (status || cairo_status(c->pen)) {
        puppet_canvas_close(c);
        return error_set(ERR_DEVICE, "puppet: cairo: %s",
                         cairo_status_to_string(status ? status : CAIRO_STATUS_NO_MEMORY));
    }
    *canvas = c;
    return OK;
}

void puppet_canvas_close(struct puppet_canvas *canvas) {
    if (!canvas) return;
    if (canvas->pen) cairo_destroy(canvas->pen);
    cairo_surface_destroy(canvas->picture);
    cairo_surface_destroy(canvas->wall);
    free(canvas);
}

void puppet_canvas_dress(struct puppet_canvas *c, const struct puppet_looks *looks) { c->looks = *looks; }

static void read_pixels(const struct puppet_canvas *c, float *planar) {
    cairo_surface_flush(c->picture);
    const unsigned char *bytes = cairo_image_surface_get_data(c->picture);
    int stride = cairo_image_surface_get_stride(c->picture);
    size_t plane = (size_t)c->height * (size_t)c->width;
    for (int y = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++) {
            uint32_t rgb;
            memcpy(&rgb, bytes + (size_t)y * (size_t)stride + 4 * (size_t)x, sizeof rgb);
            float *out = planar + (size_t)y * (size_t)c->width + (size_t)x;
            for (int channel = 0; channel < 3; channel++)
                out[(size_t)channel * plane] = (float)(rgb >> (16 - 8 * channel) & 255) / 127.5f - 1;
        }
}

void puppet_canvas_draw(struct puppet_canvas *c, const struct puppet_pose *pose, float *planar) {
    cairo_t *pen = c->pen;
    const struct puppet_looks *k = &c->looks;
    double x = 0.5 + (double)pose->sway;
    cairo_identity_matrix(pen);
    cairo_set_source_surface(pen, c->wall, 0, 0);
    cairo_paint(pen);
    to_heights(pen, c);
    cairo_save(pen);
    cairo_translate(pen, pose->head[0], pose->head[1]);
    cairo_rotate(pen, pose->tilt);
    draw_hair_behind(pen, k);
    cairo_restore(pen);
    draw_torso(pen, k, x);
    cairo_save(pen);
    cairo_translate(pen, pose->head[0], pose->head[1]);
    cairo_rotate(pen, pose->tilt);
    draw_head(pen, k, pose);
    cairo_restore(pen);
    draw_arm(pen, k, x, pose->hand_left, -1);
    draw_arm(pen, k, x, pose->hand_right, 1);
    draw_hand(pen, k, pose->hand_left, -1);
    draw_hand(pen, k, pose->hand_right, 1);
    read_pixels(c, planar);
    picture_view_colour(&c->view, planar, (size_t)c->height * (size_t)c->width);
}
