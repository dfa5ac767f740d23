/* trial.h: one held-out puppet dialogue, and what is measured in the frames that some model makes of it.
   Identities and utterances are numbers that no data set takes (TRIAL_FIRST ..). Host memory. */
#ifndef TOOLS_EVALUATE_TRIAL_H
#define TOOLS_EVALUATE_TRIAL_H

#include "data/puppet.h"
#include "tools/evaluate/measures.h"

enum { TRIAL_FIRST = 1000000, TRIAL_KEPT = 12, TRIAL_ENDS_SECONDS = 10 };

struct trial {
    struct puppet *puppet;
    int frames, height, width;
    float *reference;             /* [3, H, W]: the drawn frame 0 */
    struct landmarks marks;       /* of the reference */
    struct landmarks plain;       /* of the plain picture: the same, but for a view (trial_vary) */
    float *mouth, *talk, *listen; /* the truth, [frames] */
    long kept[TRIAL_KEPT];        /* frames that are kept for the contact sheet */
};
/* Dialogue number `index` of the evaluation. */
int trial_open(struct trial *trial, uint64_t seed, int index, double seconds, int height, int width);
/* From now on the trial is seen by this view: the dialogue is drawn so, and reference and landmarks are those of the
   plain picture as they are seen then. A view of zeros is the plain picture again. */
int trial_vary(struct trial *trial, const struct picture_view *view);
void trial_close(struct trial *trial);

/* What was measured in one source's frames 1 .. count of a trial. */
struct trial_measures {
    const struct trial *trial;
    long count;   /* frames taken so far, frame 0 left out */
    float *mouth; /* [frames] */
    float (*face)[2], (*hand[2])[2];
    double error_first, error_last; /* sums of squared errors (per value) against the reference, of the ends */
    long frames_first, frames_last;
    double sharpness, flat; /* sums */
    float *kept;            /* [TRIAL_KEPT, 3, H, W] */
};
int trial_measures_open(struct trial_measures *m, const struct trial *trial);
void trial_measures_close(struct trial_measures *m);
/* A frame_receiver (infer/dialogue.h): measures frame `frame`; frames come in order. */
int trial_take(void *measures, long frame, const float *picture);

/* Sums over trials for one source; start from zeros. */
struct source_totals {
    struct lip_pool lip;
    struct motion_pool hands, head;  /* hands while talking, head while listening */
    double talk_mouth, listen_mouth; /* sums of the trials' means */
    double error_first, error_last, sharpness, flat;
    long trials, frames_first, frames_last, frames;
};
void source_add(struct source_totals *totals, const struct trial_measures *m);
/* to += from: the sums of more trials. */
void source_merge(struct source_totals *to, const struct source_totals *from);
double source_psnr_first(const struct source_totals *totals); /* dB */
double source_psnr_last(const struct source_totals *totals);

#endif
