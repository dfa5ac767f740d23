/* feature_score.h: what a network of features has learned, as shares of pairs that are in the right order (the area
   under the ROC curve; 0.5 is chance): the cosine of two pictures of one shot against that of pictures of two shots; of
   picture and sound of one moment against those of two; the logit of a place that was tampered with against one that
   was not. Host memory. */
#ifndef TOOLS_FEATURES_FEATURE_SCORE_H
#define TOOLS_FEATURES_FEATURE_SCORE_H

#include "train/method/feature_step.h"

struct pair_score { /* sums over pairs; start from zeros */
    double right, pairs;
};
struct feature_score {
    struct pair_score person, sound, spoiled;
    double variance, batches; /* mean over the places and channels of a map of the variance over pictures */
};
/* Adds the batch whose loss the step has just computed; labels: its host labels. ERR_DEVICE: out of memory. */
int feature_score_add(struct feature_score *score, const struct feature_step *step, const float *labels);
/* Counts the pairs of a value of `high` and a value of `low` in which the first is larger; equal ones count half.
   ERR_DEVICE: out of memory. */
int pair_score_add(struct pair_score *score, const float *high, long highs, const float *low, long lows);
double feature_score_share(const struct pair_score *score); /* 0 where there were no pairs */

#endif
