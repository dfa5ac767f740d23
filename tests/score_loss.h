/* score_loss.h: the index of a loss of distribution matching, for tests that make a config by hand. There must be one
   of the name. */
#ifndef TESTS_SCORE_LOSS_H
#define TESTS_SCORE_LOSS_H

#include <string.h>

#include "train/method/score.h"

static inline int score_loss_of(const char *name) {
    int i = 0;
    while (strcmp(score_losses[i].name, name)) i++;
    return i;
}

#endif
