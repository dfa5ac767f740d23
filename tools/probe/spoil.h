/* spoil.h: the ways in which the discriminator's probe spoils real clips, on their pictures. Each leaves one thing
   wrong, so that what a discriminator tells apart is that thing alone. Pictures are [T, 3, height, width] in [-1, 1],
   host; the reference (picture 0) stays as it is. Pure functions. */
#ifndef TOOLS_PROBE_SPOIL_H
#define TOOLS_PROBE_SPOIL_H

#include <stdint.h>

/* hands, noise: every later frame has a fault of its own. person, hue: every frame by itself is as good as a real one,
   and only the clip has the fault. sound: pictures and sound are those of a real clip, but not of the same moments.
   none: nothing is wrong; the fake clip is another real one. */
enum spoil { SPOIL_HANDS, SPOIL_NOISE, SPOIL_PERSON, SPOIL_HUE, SPOIL_SOUND, SPOIL_NONE, SPOILS };
extern const char *const spoil_names[SPOILS + 1];

struct pictures {
    float *at;
    int count, height, width;
};
/* A region of the picture, as fractions of it. */
struct spoil_box {
    double left, top, right, bottom;
};
/* Blurs a region of all later pictures by a Gaussian of deviation 0.019 of the picture's height (1.2 pixels of 64), and
   half a pixel at least. ERR_DEVICE: out of memory. */
int spoil_blur(const struct pictures *pictures, const struct spoil_box *box);
/* Adds noise to all later pictures: normal, of deviation 0.05 of the way from black to white. */
void spoil_noise(const struct pictures *pictures, uint64_t seed, uint32_t sample);
/* Turns the hues of a picture by an angle, in degrees, about the axis of greys. */
void spoil_hue(const struct pictures *pictures, int picture, double degrees);
/* Angle of latent frame f of F in a clip whose hues drift by `drift` degrees in all. `start`, 0 .. 1, says where on the
   circle the clip begins: with an even start every frame's angle is as likely as any other, so that no frame by itself
   tells that the hues drift. */
double spoil_hue_angle(double start, double drift, int f, int F);

#endif
