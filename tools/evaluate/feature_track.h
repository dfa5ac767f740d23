/* feature_track.h: the features of one source's pictures in one dialogue: maps, whose distributions are compared as
   latents' are (latents.h), and the likeness to the reference by the network's row that says whose picture it is: the
   cosine between the rows of two whole pictures, and between those of two faces, each cut out where the face has moved
   to. Every fourth picture is looked at, the last that a latent frame stands for. Host memory. */
#ifndef TOOLS_EVALUATE_FEATURE_TRACK_H
#define TOOLS_EVALUATE_FEATURE_TRACK_H

#include "tools/evaluate/feature_reader.h"

enum likeness { LIKENESS_WHOLE, LIKENESS_FACE, LIKENESSES };
enum end { END_FIRST, END_LAST, ENDS }; /* first and last seconds of a dialogue */

/* Sums over pictures; doubles alone; start from zeros. */
struct likeness_sums {
    double cosine[LIKENESSES][ENDS]; /* with the reference */
    double stranger[LIKENESSES];     /* with another person's, over all pictures: what a lost identity comes to */
    double frames[ENDS], all;
};
void likeness_sums_merge(struct likeness_sums *to, const struct likeness_sums *from); /* to += from */
/* Mean cosine; NaN where there is none. */
double likeness_mean(const struct likeness_sums *sums, enum likeness which, enum end end);
double likeness_of_stranger(const struct likeness_sums *sums, enum likeness which);

/* What the pictures of a dialogue are compared with. */
struct feature_subject {
    struct feature_reader *reader; /* NULL: features are not measured */
    struct latent_grid grid;
    float *own[LIKENESSES], *stranger[LIKENESSES]; /* rows of the reference and of another person's */
};
/* picture: the reference [3, height, width]; other: another person's, with other_marks. ERR_DEVICE: out of memory. */
int feature_subject_open(struct feature_subject *subject, struct feature_reader *reader, const float *picture,
                         const struct landmarks *marks, const float *other, const struct landmarks *other_marks);
void feature_subject_close(struct feature_subject *subject);

struct feature_track {
    struct latent_history maps; /* the reference's first */
    struct likeness_sums likeness;
    float *window, *row; /* scratch */
};
/* Takes memory for `frames` pictures and begins with the reference. */
int feature_track_open(struct feature_track *track, const struct feature_subject *subject, const float *reference,
                       long frames);
void feature_track_close(struct feature_track *track);
/* Takes picture number `frame` of `frames` (1, 2, ... in order), in which the face has moved by shift. ends: frames
   that count as first and as last. */
int feature_track_take(struct feature_track *track, const struct feature_subject *subject, const struct clip *picture,
                       const struct landmarks *marks, const float shift[2], long frame, long frames, long ends);

#endif
