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
    int detailed; /* 1: a person of the hard world, with larger eyes, fingers and what follows */
    struct puppet_colour nails, stripes;
    int stripe_count; /* on each sleeve */
};
/* Draws a person's looks, a pure function of (seed, identity). */
void puppet_looks(struct puppet_looks *looks, uint64_t seed, int identity);
/* Gives a person the details of the hard world: iris, nails, sleeve stripes and hair of any hue, and no glasses. A pure
   function of (seed, identity), too. */
void puppet_details(struct puppet_looks *looks, uint64_t seed, int identity);
/* Turns the hue of shirt and hair by so many degrees. */
void puppet_dye(struct puppet_looks *looks, double degrees);

/* Places of parts of the head, in heights of the picture from the middle of the head. */
#define PUPPET_EYES_Y -0.018
#define PUPPET_LIPS_Y 0.088
/* Distances by which a nod of 1 moves the head, and the face within it. */
#define PUPPET_NOD_HEAD 0.027
#define PUPPET_NOD_FACE 0.026
/* The same of a turn of 1, sideways: together 5.6 pixels of 64. */
#define PUPPET_TURN_HEAD 0.052
#define PUPPET_TURN_FACE 0.036
/* Heights of a hard world's hand: out of the picture; at a gesture of no reach; how much higher at one of reach 1. */
#define PUPPET_HAND_AWAY 1.20
#define PUPPET_HAND_LOW  0.98
#define PUPPET_HAND_LIFT 0.26

/* Keeps a surface and the background between frames of one size. */
struct puppet_canvas;
int puppet_canvas_open(struct puppet_canvas **canvas, int height, int width, const struct puppet_looks *looks,
                       const struct picture_view *view);
void puppet_canvas_close(struct puppet_canvas *canvas);
/* Changes the looks from the next frame on; those of the wall stay as they were at the opening. */
void puppet_canvas_dress(struct puppet_canvas *canvas, const struct puppet_looks *looks);
/* Draws a frame into planar [3, height, width] in [-1, 1]. */
void puppet_canvas_draw(struct puppet_canvas *canvas, const struct puppet_pose *pose, float *planar);

#endif
