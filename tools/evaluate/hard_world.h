/* hard_world.h: what is measured in the pictures of the puppet's hard world (data/puppet.h), beyond the measures of
   every world: whether details that were out of the picture come back in the right colours, whether hands are either
   up or away and as often as the truth's, whether hues drift, and whether idle spans are idle. The codec's copy of the
   truth is measured first and is the yardstick. A student chooses its own gestures; so only what the voices decide
   says when something is measured, and where it is seen is found in the pictures. Host memory. */
#ifndef TOOLS_EVALUATE_HARD_WORLD_H
#define TOOLS_EVALUATE_HARD_WORLD_H

#include "data/puppet.h"
#include "tools/evaluate/measures.h"

enum { EYE_ACROSS = 6, EYE_DOWN = 5, EYE_VALUES = 2 * 3 * EYE_ACROSS * EYE_DOWN };
struct hard_frame { /* what is seen in one picture; colours in [-1, 1], lengths in pixels */
    int is_seen;    /* 0: the picture was left out */
    float mouth, face[2];
    float hand[2][2], mismatch[2]; /* left and right hand: place, and how little it looks like the reference's */
    float nails[2][3];             /* mean colour of the box above each */
    float eyes[EYE_VALUES];        /* colours of both eyes */
    float shirt[3], hair[3];       /* mean colours */
};

/* What is measured in a picture: colours, just after hands came back or eyes; hands that gesture; that nobody speaks,
   past the moment in which the body comes to rest; that the agent talks; hues. */
enum hard_moment {
    HARD_HANDS_BACK = 1,
    HARD_EYES_BACK = 2,
    HARD_GESTURE = 4,
    HARD_IDLE = 8,
    HARD_TALK = 16,
    HARD_HUE = 32,
    HARD_ALL = 63
};
/* One dialogue: what the voices decide, and after hard_trial_set_copy what the copy shows. */
struct hard_trial {
    const struct puppet *puppet;
    const float *reference; /* [3, H, W] */
    const struct landmarks *marks;
    int frames, height, width;
    unsigned char *moments;  /* [frames]: bits of enum hard_moment */
    float shirt[3], hair[3]; /* the reference's */
    float hand_limit[2];     /* largest mismatch of a hand that counts as found */
    float nails[3];          /* the person's */
    float open[EYE_VALUES], shut[EYE_VALUES];
};
/* puppet, reference and marks are kept by whoever opens. ERR_DEVICE: out of memory. */
int hard_trial_open(struct hard_trial *trial, const struct puppet *puppet, const float *reference,
                    const struct landmarks *marks, int height, int width);
void hard_trial_close(struct hard_trial *trial);

/* One source's pictures 1 .. count of a dialogue. */
struct hard_track {
    const struct hard_trial *trial;
    long count;
    struct hard_frame *seen; /* [frames] */
};
int hard_track_open(struct hard_track *track, const struct hard_trial *trial);
void hard_track_close(struct hard_track *track);
/* Measures picture `frame`, in which the person is at `places` (measure_person); pictures come in order. Those of which
   nothing is measured (moments) may be left out, but not of the copy. */
void hard_take(struct hard_track *track, long frame, const float *picture, const struct person_places *places);
/* Makes the copy, which was measured, the yardstick. ERR_DEVICE: out of memory. */
int hard_trial_set_copy(struct hard_trial *trial, const struct hard_track *copy);

/* Sums over dialogues for one source, doubles alone; start from zeros. */
enum { LIFT_CELLS = 12, HUE_TIMES = 3 };
struct hard_sums {
    double nails, nail_returns, iris, iris_returns; /* sums of the errors; numbers of returns that were seen */
    double ghosts, gesture_frames;
    double lifts[LIFT_CELLS][LIFT_CELLS]; /* frames by lift of the left and of the right hand; 0: away or not found */
    double hue[HUE_TIMES], hues[HUE_TIMES];
    double idle_mouth, idle_frames, talk_mouth, talk_frames, blinks, sway_squares;
    double spread, truth_spread; /* between two rollouts, and between two draws of the truth (latents.h) */
};
/* Adds a dialogue, after hard_trial_set_copy. */
void hard_sums_add(struct hard_sums *sums, const struct hard_track *track);
void hard_sums_merge(struct hard_sums *to, const struct hard_sums *from);

/* Figures of a source over the yardstick's of the same dialogues. NaN where nothing can be measured. */
struct hard_figure {
    const char *name, *what;
    double (*of)(const struct hard_sums *own, const struct hard_sums *copy, int which);
    int which;
};
enum hard_figure_number {
    HARD_NAILS,
    HARD_IRIS,
    HARD_GHOSTS,
    HARD_LIFTS,
    HARD_SPREAD,
    HARD_HUE_5,
    HARD_HUE_20,
    HARD_HUE_60,
    HARD_IDLE_MOUTH,
    HARD_IDLE_BLINKS,
    HARD_IDLE_SWAY,
    HARD_FIGURES
};
extern const struct hard_figure hard_figures[HARD_FIGURES];

#endif
