/* replay.h: the last K rollouts with their conditions, from which the critic draws its batches. Contiguous device
   arrays, so that a checkpoint saves six of them whatever K is. */
#ifndef TRAIN_METHOD_REPLAY_H
#define TRAIN_METHOD_REPLAY_H

#include "model/dit/condition_batch.h"
#include "train/optimiser/batch_split.h"

struct train_state;
struct replay {
    int slots, B;                       /* rollouts, samples of this rank in each */
    int64_t pushed;                     /* rollouts pushed so far: saved */
    size_t clips, text, features, mask; /* elements a sample */
    real *x, *text_values, *feature_values[AUDIO_STREAMS], *mask_values[AUDIO_STREAMS]; /* device [slots][B][...] */
};
/* For B samples, conditioned like `like`, of clips of `clip` elements. */
void replay_layout(struct replay *r, int slots, int B, const struct condition_batch *like, long clip,
                   struct arena *arena);
/* Zeros, for a fresh start. */
void replay_clear(struct replay *r);
/* A part of the next rollout; the last part completes it. */
void replay_push(struct replay *r, const struct part *part, const real *x, const struct condition_batch *condition);
/* Copies a part of the rollout of slot 0 .. replay_filled - 1 into x and condition. */
void replay_draw(const struct replay *r, int slot, const struct part *part, real *x, struct condition_batch *condition);
/* The slot of draw number `index` (0, 1, ...) among draws without replacement: the newest rollout first, then the
   others from a random one on, each once before any comes again. offset: random, of at least 0; the same for a
   series. */
int replay_slot(const struct replay *r, long offset, int index);
static inline int replay_filled(const struct replay *r) { return r->pushed < r->slots ? (int)r->pushed : r->slots; }

#endif
