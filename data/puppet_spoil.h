/* puppet_spoil.h: spoils a puppet's pictures as a teacher's training set may be spoiled, so that what refinement learns
   from clean pictures can be told from what it had of the teacher. */
#ifndef DATA_PUPPET_SPOIL_H
#define DATA_PUPPET_SPOIL_H

#include <stdint.h>
#include "data/picture_view.h"
#include "data/puppet_pose.h"

enum puppet_spoil {
    PUPPET_SPOIL_HANDS = 1, /* hands and mouth are blurred, as if fingers and teeth had grown together */
    PUPPET_SPOIL_DRIFT =
        2 /* in half of the dialogues the hues of shirt and hair wander; every picture by itself is natural */
};
/* Reads a list of names with commas between, "hands,drift"; "" is none. ERR_USAGE names what is unknown. */
int puppet_spoil_read(const char *list, int *spoil);
/* Degrees by which the hues are turned at a frame; 0 in dialogues that do not drift. Within the two seconds of a
   training window they go as far as 40 degrees from its first picture, to either side. */
double puppet_spoil_hue(uint64_t seed, int identity, int utterance, int frame);
/* Blurs boxes about both hands and the mouth in planar [3, height, width], by a Gaussian of 1.2 pixels of a picture 64
   high, where the view shows them. ERR_DEVICE: out of memory. */
int puppet_spoil_blur(float *planar, int height, int width, const struct puppet_pose *pose,
                      const struct picture_view *view);

#endif
