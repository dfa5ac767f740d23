/* trial.h: one held-out puppet dialogue, and what is measured in the frames that a model makes of it. Its person and
   its words have numbers that no data set uses. Host memory. */
#ifndef TOOLS_EVALUATE_TRIAL_H
#define TOOLS_EVALUATE_TRIAL_H

#include "data/puppet.h"
#include "tools/evaluate/feature_track.h"
#include "tools/evaluate/latents.h"
#include "tools/evaluate/measures.h"
#include "tools/evaluate/tracks.h"

/* Where the numbers of the test persons and of the development persons begin. */
enum { TRIAL_TEST = 1000000, TRIAL_DEVELOPMENT = 2000000 };
enum { TRIAL_KEPT = 12, TRIAL_ENDS_SECONDS = 10, TRIAL_SECONDS_MAX = 3600 };

struct trial {
    struct puppet *puppet;
    int frames, height, width;
    uint64_t seed;
    int person;                   /* number of the person and of the dialogue */
    float *reference;             /* [3, H, W]: the drawn frame 0 */
    struct landmarks marks;       /* landmarks of the reference */
    struct landmarks plain;       /* those of the plain picture: others only where a view varies it (trial_vary) */
    float *mouth, *talk, *listen; /* [frames]: the truth */
    struct known_tracks tracks;   /* the truth of the tracks that are followed */
    struct codec *encoder;        /* NULL: latents are not measured */
    struct latent_grid grid;
    struct feature_subject features; /* reader NULL: features are not measured */
    /* The codec's copy, after trial_set_copy. */
    float hand_limit[2]; /* largest mismatch at which a hand counts as found */
    struct latent_moments copy_latents, copy_features;
    unsigned char *copy_faces; /* [copied, FACE_VALUES], from frame 1 on; a byte a colour value, 0 .. 255 for -1 .. 1 */
    long copied;
    struct latent_history rollout; /* the rollout that trial_keep_rollout kept */
    long kept[TRIAL_KEPT];         /* numbers of the frames that are kept for the contact sheet */
};
/* Opens dialogue number `index` of the persons that begin at `first`, of at most TRIAL_SECONDS_MAX seconds. */
int trial_open(struct trial *trial, uint64_t seed, int first, int index, double seconds, int height, int width);
/* The same in either of the puppet's worlds. */
int trial_open_world(struct trial *trial, enum puppet_world world, uint64_t seed, int first, int index, double seconds,
                     int height, int width);
/* Varies the trial by a view from here on: the dialogue is drawn so, and reference and landmarks are those of the plain
   picture as the view shows them. A view of zeros gives the plain picture again. */
int trial_vary(struct trial *trial, const struct picture_view *view);
void trial_close(struct trial *trial);
/* Has the latents of sources measured from here on, with this encoder, which nobody else may use meanwhile. */
void trial_use_encoder(struct trial *trial, struct codec *encoder);

/* Has features of sources measured from here on, by this reader. The next person lends a stranger's picture. */
int trial_use_features(struct trial *trial, struct feature_reader *reader);

/* Properties that may drift over minutes: likeness of wall and shirt, likeness of the face, sharpness. */
enum drift { DRIFT_WALL, DRIFT_FACE, DRIFT_SHARPNESS, DRIFTS };

/* Measures of one source's frames 1 .. count of a trial. */
struct trial_measures {
    const struct trial *trial;
    long count;                  /* frames taken so far, frame 0 left out */
    struct person_places places; /* in the last frame taken */
    float *mouth;                /* [frames] */
    float (*face)[2], (*hand[2])[2];
    float *mismatch[2];             /* [frames]: the hands' */
    double error_first, error_last; /* sums of squared errors a value against the reference, at start and end */
    long frames_first, frames_last;
    double sharpness, flat, flicker; /* sums */
    float *before;                   /* [3, H, W]: the last frame taken */
    double face_error, face_frames;  /* squared errors a value against the copy's face at the same moment */
    double (*second)[DRIFTS];        /* [seconds]: sums over a second's frames, from which drift is computed */
    struct latent_history latents;
    struct feature_track features;
    unsigned char *faces; /* [frames, FACE_VALUES]: the copy's own, while it is measured; else NULL */
    float *kept;          /* [TRIAL_KEPT, 3, H, W] */
};
int trial_measures_open(struct trial_measures *m, const struct trial *trial);
void trial_measures_close(struct trial_measures *m);
/* A frame_receiver (infer/dialogue.h): measures frame `frame`; frames come in order. */
int trial_take(void *measures, long frame, const float *picture);

/* Distances between two halves of the copy's frames. */
struct copy_halves {
    struct latent_sums latents, features;
};
void copy_halves_merge(struct copy_halves *to, const struct copy_halves *from); /* to += from */
/* Makes the codec's copy, which was measured, the yardstick of other sources. halves: the distances between two halves
   of the copy's frames (runs of LATENT_RUN in turn) are added to it; they tell how large a distance is by chance, and
   somewhat more than that, because they have half the frames. A hand counts as found where its mismatch is at most
   HAND_BROKEN times the copy's median. ERR_DEVICE: out of memory. */
enum { HAND_BROKEN = 3 };
int trial_set_copy(struct trial *trial, struct trial_measures *copy, struct copy_halves *halves);
/* trial_keep_rollout keeps a rollout's latents; trial_add_spread adds the distance of another rollout of the trial from
   them (latents.h) to spread [REGIONS]. */
void trial_keep_rollout(struct trial *trial, struct trial_measures *m);
void trial_add_spread(double *spread, const struct trial_measures *m);

/* Sums over trials for one source. They consist of doubles, so that they add up as one array; start from zeros. */
struct source_totals {
    struct follow_sums follow;      /* mouth, hands and nod against the truth */
    struct motion_pool hands, head; /* hands while talking, head while listening */
    struct latent_sums latents;     /* compared with the copy's */
    struct latent_sums features;    /* the same of the maps of a network of features */
    struct likeness_sums likeness;
    double spread[REGIONS];          /* distance from the rollout that was kept */
    double hand_found, hand_frames;  /* number of frames in which a hand was found, and of all; both hands */
    double face_error, face_frames;  /* squared errors a value against the copy's face */
    double drift[DRIFTS];            /* sums of the trials' slopes: dB, dB and share of the sharpness, a minute */
    double flicker;                  /* sum over frames */
    double talk_mouth, listen_mouth; /* sums of the trials' means */
    double error_first, error_last, sharpness, flat;
    double trials, frames_first, frames_last, frames;
};
/* Adds a trial's measures, after trial_set_copy; shifts [FOLLOWED] are added to as well. ERR_DEVICE: out of memory. */
int source_add(struct source_totals *totals, struct shift_sums *shifts, const struct trial_measures *m);
/* Adds the sums of more trials: to += from. */
void source_merge(struct source_totals *to, const struct source_totals *from);
double source_psnr_first(const struct source_totals *totals); /* dB */
double source_psnr_last(const struct source_totals *totals);

#endif
