/* random_condition.h: a batch of conditions made of random numbers: text, features of both tracks, all of them
   heard. */
#ifndef TESTS_RANDOM_CONDITION_H
#define TESTS_RANDOM_CONDITION_H

#include "kernels/kernels.h"
#include "model/dit/condition_batch.h"

static inline void random_condition(struct condition_batch *c) {
    random_init(c->text_real, 1, 1, 1, (long)c->B * c->text_len * c->text_dim);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        random_init(c->features[s], 1, 2 + s, 1, (long)c->B * c->T * c->audio_dim);
        real_fill(c->mask[s], 1, (long)c->B * c->T);
    }
    condition_batch_refresh(c);
}

#endif
