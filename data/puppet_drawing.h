/* puppet_drawing.h: the looks of a puppet and its picture, drawn with cairo. */
#ifndef DATA_PUPPET_DRAWING_H
#define DATA_PUPPET_DRAWING_H

#include <stdint.h>
#include "data/picture_view.h"
#include "data/puppet_pose.h"

struct puppet_colour {
    double r, g, b;
};
enum puppet_hair { HAIR_SHORT, HAIR_PARTED, HAIR_LONG, HAIR_BOB, HAIR_BUN, HAIR_CURLY, HAIR_STYLES };
enum puppet_collar { COLLAR_ROUND, COLLAR_V, COLLAR_SHIRT, COLLAR_STRIPES, COLLAR_STYLES };
enum puppet_scene { SCENE_PLAIN, SCENE_WINDOW, SCENE_PICTURE, SCENE_PLANT, SCENE_PANELS, SCENE_STYLES };

struct puppet_looks {
    struct puppet_colour skin, hair, lips, iris, shirt, wall_top, wall_bottom, accent;
    double head_width, head_height, jaw, shoulder, eye_gap, brow, fringe;
    int hair_style, collar, scene, scene_side, glasses;
};
/* Draws a person's looks, a pure function of (seed, identity). */
void puppet_looks(struct puppet_looks *looks, uint64_t seed, int identity);

/* Places of parts of the head, in heights of the picture from the middle of the head. */
#define PUPPET_EYES_Y -0.018
#define PUPPET_LIPS_Y 0.088
/* Distances by which a nod of 1 moves the head, and the face within it. */
#define PUPPET_NOD_HEAD 0.027
#define PUPPET_NOD_FACE 0.026

/* Keeps a surface and the background between frames of one size. */
struct puppet_canvas;
int puppet_canvas_open(struct puppet_canvas **canvas, int height, int width, const struct puppet_looks *looks,
                       const struct picture_view *view);
void puppet_canvas_close(struct puppet_canvas *canvas);
/* Draws a frame into planar [3, height, width] in [-1, 1]. */
void puppet_canvas_draw(struct puppet_canvas *canvas, const struct puppet_pose *pose, float *planar);

#endif
