/* measures.h: measures generated pixels, for the evaluation. Pure functions of frames; nothing is kept, no file is
   opened. A clip is [count, 3, height, width] float planar RGB in [-1, 1] on the host; lengths and positions are in
   pixels, x to the right and y down, a pixel's middle at +0.5. Face, mouth and hands are found by matching patches of
   the reference picture, whose landmarks are known (for the puppet from its truth), a frame at a time, so that a long
   clip may be measured in pieces. The patches were sized for 64 x 64 and scale with the height. */
#ifndef TOOLS_EVALUATE_MEASURES_H
#define TOOLS_EVALUATE_MEASURES_H

#include "tools/evaluate/regression.h"

struct clip {
    const float *frames;
    int count, height, width;
};
struct landmarks { /* places in the reference picture, pixels */
    float head[2], eyes[2], lips[2], hand_left[2], hand_right[2];
    float turn; /* how far to a side the face may move in turns of the head, beyond what it sways */
};
struct box { /* pixels; x1 and y1 are past the end */
    float x0, y0, x1, y1;
};

/* ---- following ---- */

/* Measures how far the face (brows, eyes, nose) has moved since the reference, [count][2], to a fraction of a pixel. */
void measure_face_shift(const struct clip *clip, const float *reference, const struct landmarks *marks,
                        float (*shift)[2]);
/* Measures the height of the dark gap between the lips, [count], as a mean over the middle columns of the mouth, which
   is looked for at the reference's place moved by shift (NULL: not moved). Dark is judged against the reference's
   cheeks. */
void measure_mouth_opening(const struct clip *clip, const float *reference, const struct landmarks *marks,
                           const float (*shift)[2], float *opening);
enum measure_hand { HAND_LEFT, HAND_RIGHT };
/* Measures the position [count][2] of a hand, and how little the pixels there look like the reference's: mismatch
   [count], the mean squared difference of a colour value. There is always a best place; where a hand is smeared or gone
   its mismatch is large. */
void measure_hand(const struct clip *clip, const float *reference, const struct landmarks *marks,
                  enum measure_hand hand, float (*position)[2], float *mismatch);
/* All of these in one picture, by the meanings above. Hands are in the order of enum measure_hand. */
struct person_places {
    float face[2], mouth, hand[2][2], mismatch[2];
    int face_at[2], hand_at[2][2]; /* whole displacements at which the next picture's search begins; at first 0 */
};
/* Measures a clip of one picture. The places of the picture before, in *places, make the search shorter. */
void measure_person(const struct clip *picture, const float *reference, const struct landmarks *marks,
                    struct person_places *places);

/* ---- lip synchrony ---- */

/* Adds spans of talk to a regression (regression.h) of the mouth. A span is a run of talk > 0.5. At both its ends
   frames whose known opening is under LIP_PAUSE (a pause inside the mask) are left out, and then LIP_CUT more, where
   the lips still come from or go to rest: the mask alone would predict those. Spans of fewer than LIP_SPAN frames do
   not count. known is 0..1. */
#define LIP_PAUSE 0.05f
enum { LIP_CUT = 2, LIP_SPAN = 8 };
void lip_pool_add(struct regression *pool, const float *measured, const float *known, const float *talk, int count);
/* used [count]: 1 in the frames that lip_pool_add counts, else 0. */
void lip_frames(float *used, const float *known, const float *talk, int count);

/* The best prediction from the mask alone: the mean known opening by the distance from the span's nearer end. It is
   fitted on some dialogues and predicts others; the prediction goes through lip_pool_add as `measured`. Start from a
   zeroed profile. */
enum { MASK_PROFILE = 25 };
struct mask_profile {
    double sum[2][MASK_PROFILE];
    long frames[2][MASK_PROFILE];
};
void mask_profile_add(struct mask_profile *profile, const float *known, const float *talk, int count);
void mask_profile_predict(const struct mask_profile *profile, const float *talk, int count, float *predicted);

/* ---- motion ---- */

/* The variance of a position while a mask is on, each span's mean removed, both axes summed. Start from a zeroed pool.
   Two streams are compared with the same mask: a mean over longer spans leaves more variance in. */
struct motion_pool {
    double squares, frames;
};
void motion_pool_add(struct motion_pool *pool, const float (*position)[2], const float *mask, int count);
double motion_pool_variance(const struct motion_pool *pool);
/* The mean of a value while `mask` is on and `unless` (may be NULL) is off; 0 where that is never so. */
double measure_mean_while(const float *value, const float *mask, const float *unless, int count);

/* ---- the picture ---- */

/* The PSNR against the reference (dB; 99 when equal, 0 when not finite) over what hardly moves in a puppet's picture:
   the wall to both sides of the head and the middle of the shirt. */
double measure_identity_psnr(const struct clip *clip, const float *reference, const struct landmarks *marks);
/* The mean over frames of the largest 3 % of a frame's luminance gradients; of the flattest half of them. */
double measure_sharpness(const struct clip *clip);
double measure_flat_noise(const struct clip *clip);
/* The deviation of one frame's luminance over its pixels. */
double measure_contrast(const struct clip *clip);
/* Compares one frame's colours with those of a reference, [3, H, W], both taken along the axis of greys (1, 1, 1) onto
   the plane of chroma. Returns the root mean square of the frame's chroma. turn: the sums over pixels of both chromas'
   products as complex numbers, (frame) x (conjugate of the reference). Their angle is the rotation about the axis of
   greys that brings the reference's hues nearest to the frame's, by least squares. Frames' sums may be added up. */
double measure_chroma(const struct clip *clip, const float *reference, double turn[2]);

/* One frame's mean absolute change of luminance since the frame before, [3, H, W], in the wall beside the head, where
   nothing moves. */
double measure_flicker(const struct clip *clip, const float *before, const struct landmarks *marks);
/* Takes one frame's patch by which a face's likeness is judged: hairline, brows, eyes, cheeks and nose, where the face
   has moved to. It has interpolated colours at FACE_ACROSS x FACE_DOWN points: [3, FACE_DOWN, FACE_ACROSS]. */
enum { FACE_ACROSS = 16, FACE_DOWN = 14, FACE_VALUES = 3 * FACE_ACROSS * FACE_DOWN };
void measure_face_patch(const struct clip *clip, const struct landmarks *marks, const float shift[2], float *patch);
/* Takes a box of one frame as interpolated colours, [3, height, width] as the frame itself. The box may reach beyond
   the edges, where the last row or column goes on. */
void measure_window(const struct clip *clip, const struct box *box, float *window);
/* The least-squares slope of a value that is given for every second, in its unit a minute; 0 for fewer than two. */
double measure_slope_a_minute(const double *value, int seconds);

/* ---- real clips ---- */

/* Measures the mean absolute change of luminance in a box since the frame before, [count]; the first is 0. */
void measure_motion_energy(const struct clip *clip, const struct box *box, float *energy);

#endif
