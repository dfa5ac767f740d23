/* shots.h: finds where a clip cuts from one shot to another. A frame begins a shot when it differs from the one before
   in a third of the picture, by more than the threshold and by several times what neighbouring frames differ, and when
   none of the frames behind it is like those before: a flash, or a hand in front of the camera, is no cut. A dissolve
   is a row of frames that go evenly along a straight line from one picture to one unlike it, between two pictures that
   stand still by comparison; what moves or gets brighter does not go so. Frames are held back to look ahead. */
#ifndef TOOLS_PREPARE_SHOTS_H
#define TOOLS_PREPARE_SHOTS_H

#include <stddef.h>

enum {
    SHOTS_NEAR = 10, /* frames to each side that a cut is judged by */
    SHOTS_SHORT = 8, /* least number of frames from the last one before a dissolve to the first behind it */
    SHOTS_LONG = 28, /* largest such number: a little more than a second */
    SHOTS_STILL = 6, /* frames to each side of a dissolve that must stand still */
    SHOTS_AHEAD = SHOTS_LONG + SHOTS_STILL,
    SHOTS_RING = 2 * SHOTS_AHEAD + 2,
    SHOTS_BLOCKS = 8,
    SHOTS_SMALL = 3 * SHOTS_BLOCKS * SHOTS_BLOCKS
};

enum shot_place { SHOT_GOES_ON, SHOT_BEGINS, SHOT_DISSOLVES /* the frame shows two shots at once */ };
struct shots {
    int height, width;
    double threshold; /* share of full scale, mean over a coarse picture; 0: no cut is ever found */
    float *held;      /* [SHOTS_AHEAD + 1, 3, height, width] */
    unsigned char missing[SHOTS_RING];
    float small[SHOTS_RING][SHOTS_SMALL]; /* coarse pictures of the last frames */
    long taken, given;                    /* number of frames taken in, given out */
    long dissolved;                       /* last frame of the dissolve that was found last; -1: none was */
};
int shots_open(struct shots *shots, int height, int width, double threshold);
/* 1: shots_take may be called; 0: shots_give comes first. */
int shots_wants(const struct shots *shots);
/* Takes a frame in, planar [3, height, width] in [-1, 1]; missing: 1 where it only stands in for one
   (video_missing). */
void shots_take(struct shots *shots, const float *pixels, int missing);
/* Gives the next frame out, with its `missing` and its place in its shot. last: 1 where no more will be taken in.
   Returns 0 where more frames are wanted first, or none is left. */
int shots_give(struct shots *shots, float *pixels, int *missing, enum shot_place *place, int last);
void shots_close(struct shots *shots);

#endif
