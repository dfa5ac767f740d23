/* replay.h: the last K rollouts with their conditions, from which the critic draws its batches. Each kind of value is
   one device array for all K, so that a state saves six arrays whatever K is. */
#ifndef TRAIN_METHOD_REPLAY_H
#define TRAIN_METHOD_REPLAY_H

#include "model/dit/condition_batch.h"
#include "train/optimiser/batch_split.h"

struct train_state;
struct replay {
    int slots, B;   /* K; samples of this rank in each rollout */
    int64_t pushed; /* rollouts pushed so far, an integer of the state; the next goes to slot mod K */
    size_t clips, text, features, mask;                                                 /* elements of a sample */
    real *x, *text_values, *feature_values[AUDIO_STREAMS], *mask_values[AUDIO_STREAMS]; /* device [slots][B][...] */
};
/* Lays out `slots` rollouts of B samples with clips of `clip` elements and conditions of the sizes of `like`. */
void replay_layout(struct replay *r, int slots, int B, const struct condition_batch *like, long clip,
                   struct arena *arena);
/* Empties it and writes zeros, for a fresh start. */
void replay_clear(struct replay *r);
/* Copies a part of the next rollout in, over the oldest one; the last part completes it. */
void replay_push(struct replay *r, const struct part *part, const real *x, const struct condition_batch *condition);
/* Copies a part of the rollout of slot 0 .. replay_filled - 1 into x and condition. */
void replay_draw(const struct replay *r, int slot, const struct part *part, real *x, struct condition_batch *condition);
/* The slot of draw number `index` (0, 1, ...) among draws without replacement: the newest rollout first, then the
   others from a random one on, each once before any comes again. offset: a random number >= 0, the same for all draws
   of a series. */
int replay_slot(const struct replay *r, long offset, int index);
static inline int replay_filled(const struct replay *r) { return r->pushed < r->slots ? (int)r->pushed : r->slots; }

#endif
