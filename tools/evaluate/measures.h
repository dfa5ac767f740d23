/* measures.h: what the evaluation measures in generated pixels. Pure functions of frames; nothing is kept, no file
   opened. A clip is [count, 3, height, width] float planar RGB in [-1, 1] on the host; lengths and positions are in
   pixels, x to the right and y down, a pixel's middle at +0.5. What is followed is found in the pixels by matching
   patches of the reference picture, whose landmarks are known (for the puppet from its truth), a frame at a time, so
   that a long clip may be measured in pieces. The patches were sized for 64 x 64 and scale with the height. */
#ifndef TOOLS_EVALUATE_MEASURES_H
#define TOOLS_EVALUATE_MEASURES_H

struct clip {
    const float *frames;
    int count, height, width;
};
struct landmarks { /* of the reference picture, pixels */
    float head[2], eyes[2], lips[2], hand_left[2], hand_right[2];
};
struct box { /* pixels; x1 and y1 are past the end */
    float x0, y0, x1, y1;
};

/* ---- following ---- */

/* Displacement [count][2] of the face (brows, eyes, nose) since the reference, to a fraction of a pixel. */
void measure_face_shift(const struct clip *clip, const float *reference, const struct landmarks *marks,
                        float (*shift)[2]);
/* Height of the dark gap between the lips, [count], mean over the middle columns of the mouth, which is looked for at
   the reference's place moved by shift (NULL: not moved). Dark is judged against the reference's cheeks. */
void measure_mouth_opening(const struct clip *clip, const float *reference, const struct landmarks *marks,
                           const float (*shift)[2], float *opening);
enum measure_hand { HAND_LEFT, HAND_RIGHT };
/* Position [count][2] of a hand. */
void measure_hand(const struct clip *clip, const float *reference, const struct landmarks *marks,
                  enum measure_hand hand, float (*position)[2]);

/* ---- lip synchrony ---- */

/* Pearson correlation pooled over spans of talk, each span's means removed. A span is a run of talk > 0.5; at both its
   ends frames whose known opening is under LIP_PAUSE (a pause inside the mask) and then LIP_CUT more, where the lips
   still come from or go to rest, are left out: there the mask alone would tell. Spans of under LIP_SPAN frames do not
   count. */
#define LIP_PAUSE 0.05f
enum { LIP_CUT = 2, LIP_SPAN = 8 };
struct lip_pool {
    double xx, yy, xy;
    long frames, spans;
};
/* measured and known may have different units; known is 0..1. Start from a zeroed pool. */
void lip_pool_add(struct lip_pool *pool, const float *measured, const float *known, const float *talk, int count);
double lip_pool_correlation(const struct lip_pool *pool);
/* Deviation of measured within spans (mouth amplitude: a generated clip's over the true clip's). */
double lip_pool_deviation(const struct lip_pool *pool);

/* The best that the mask alone can say: mean known opening by the distance from the span's nearer end. Fit on some
   dialogues, predict others, put the prediction through lip_pool_add as `measured`. Start from a zeroed profile. */
enum { MASK_PROFILE = 25 };
struct mask_profile {
    double sum[2][MASK_PROFILE];
    long frames[2][MASK_PROFILE];
};
void mask_profile_add(struct mask_profile *profile, const float *known, const float *talk, int count);
void mask_profile_predict(const struct mask_profile *profile, const float *talk, int count, float *predicted);

/* ---- motion ---- */

/* Variance of a position while a mask is on, each span's mean removed, both axes summed. Start from a zeroed pool. To
   compare two streams use the same mask for both: a mean taken over longer spans leaves more variance in. */
struct motion_pool {
    double squares;
    long frames;
};
void motion_pool_add(struct motion_pool *pool, const float (*position)[2], const float *mask, int count);
double motion_pool_variance(const struct motion_pool *pool);
/* Mean of a value while `mask` is on and `unless` (may be NULL) is off; 0 when never. */
double measure_mean_while(const float *value, const float *mask, const float *unless, int count);

/* ---- the picture ---- */

/* PSNR (dB, 99 when equal, 0 when not finite) against the reference over what hardly moves in a puppet's picture: the
   wall to both sides of the head and the middle of the shirt. */
double measure_identity_psnr(const struct clip *clip, const float *reference, const struct landmarks *marks);
/* Luminance gradients of each frame sorted: mean of the largest 3 %, mean of the flattest half; averaged over
   frames. */
double measure_sharpness(const struct clip *clip);
double measure_flat_noise(const struct clip *clip);

/* ---- real clips ---- */

/* Mean absolute change of luminance in a box since the frame before, [count]; the first is 0. */
void measure_motion_energy(const struct clip *clip, const struct box *box, float *energy);

#endif
