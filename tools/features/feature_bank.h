/* feature_bank.h: the pictures and sounds that a network of features learns from (train/method/feature_step.h), taken
   from a data set that holds its windows' true pictures, and batches of them. Of each window a few moments are kept,
   in memory: a picture, and the agent's sound around it as the networks hear it (audio_windows in kernels.h), times the
   talk mask. Host memory. */
#ifndef TOOLS_FEATURES_FEATURE_BANK_H
#define TOOLS_FEATURES_FEATURE_BANK_H

#include "data/clip_rows.h"
#include "data/dataset.h"

enum { BANK_MOMENTS = 4 };

struct feature_bank {
    int height, width, window; /* pixels; numbers of a window of sound */
    long rows, all;            /* windows that are kept; those of the split */
    long *place;               /* [all]: where a window is kept; -1: it is not */
    long *row;                 /* [rows]: number of each kept window in the split */
    unsigned char *pictures;   /* [rows, BANK_MOMENTS, 3, height, width] */
    float *windows;            /* [rows, BANK_MOMENTS, window] */
    struct clip_rows *shots;
};
/* Reads at most `bytes` of pictures, of windows that lie evenly over the split. ERR_INPUT: the data set has no pictures
   or the split is empty. */
int feature_bank_open(struct feature_bank *bank, struct dataset *set, enum dataset_split split, uint64_t seed,
                      size_t bytes);
void feature_bank_close(struct feature_bank *bank);

struct feature_sample_shape { /* a batch's */
    int n, h, w;              /* samples; rows and columns of places whose tampering is to be found */
};
/* Draws batch number `step` into host arrays shaped as struct feature_batch's: pictures [3 n, 3, height, width],
   windows [n, window], labels and weights [n, h w]. No two samples have the same window while there are enough.
     a  a picture as it is, but for a shift of at most a sixteenth of its height
     b  another moment of the same shot, from another window where it has one, and in it a square that is 1/2 to 1 as
        wide as the picture
     c  like a, with one rectangle, up to half as wide and high as the picture, that was replaced: by another
        shot's, by another moment's, by the mean with another moment (a ghost), or blurred
   A place counts as tampered with where the mean change of a colour value is above 0.02 (the range is 2). ERR_DEVICE:
   out of memory. */
int feature_bank_batch(const struct feature_bank *bank, const struct feature_sample_shape *shape, uint64_t seed,
                       uint64_t step, float *pictures, float *windows, float *labels, float *weights);

#endif
