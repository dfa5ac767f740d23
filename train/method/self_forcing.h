/* self_forcing.h: the student's rollout in training and its gradient, shared by distill and refine.
   1. Roll out without gradient: every chunk runs all its passes, the cache keeps all frames, the clip x is made of the
      x0 predictions of the exit pass, whose inputs are kept.
   2. Somebody computes g = dL/dx from the finished clip.
   3. Each chunk's exit pass runs again with its history as a constant and back-propagates its slice of g.
   A rollout may be longer than a clip: chunks before the clip's, by an even draw of 0 to as many as there is room for,
   are generated and forgotten, and the clip is the reference with the last chunks. So the cache has evicted, positions
   stand at their cap and errors have added up when a clip is judged, and a stream's beginning is still trained. The
   sound that those chunks hear is the clip's own, over and over, so that the clip's frames hear what is theirs.
   So one chunk's activations are alive at a time, and none while g is computed (Huang et al. 2025, Self Forcing; the
   history carries no gradient). */
#ifndef TRAIN_METHOD_SELF_FORCING_H
#define TRAIN_METHOD_SELF_FORCING_H

#include "model/dit/condition_batch.h"
#include "model/dit/rollout.h"
#include "train/optimiser/batch_split.h"

/* The pass whose prediction is judged and trained. */
enum rollout_exit { EXIT_LAST, EXIT_RANDOM };
extern const char *const exit_names[];

struct self_forcing {
    const struct dit *net;
    struct rollout rollout;
    struct dit_acts *acts; /* of one chunk, saving */
    int F, chunks;         /* of the clip */
    int room;              /* chunks that a rollout may have before it */
    int before;            /* that the present one has */
    struct part part;      /* that the present rollout is of */
    long size, clip;       /* elements of a latent frame, of a clip */
    real *x;               /* device [split, F, C, H, W]: the reference and the exit passes' predictions */
    real *exit_input;      /* alike, of one part, frames 1.. */
    int exit;              /* of the present rollout */
};
/* The cache and x from `arena`. F: frames of the clip; longest: frames of a rollout at most, 0: F. ERR_USAGE: not the
   reference and whole chunks, or fewer than F. */
int self_forcing_layout(struct self_forcing *s, const struct dit *net, const struct rollout_config *config,
                        const struct batch_split *split, int F, int longest, struct arena *arena);
/* The saved activations of one chunk, which may share memory with what step 2 uses. */
int self_forcing_acts_layout(struct self_forcing *s, enum dit_memory memory, struct arena *arena);
void self_forcing_free(struct self_forcing *s);

/* Step 1, of one part of the share; noise is addressed from noise->sample0 + the part's first sample on. reference:
   frame 0 of the part's clips with this distance between samples. exit: 0 .. passes - 1; before: 0 .. room. */
int self_forcing_rollout(struct self_forcing *s, const struct params *params, const struct part *part,
                         const real *reference, long stride, const struct condition_batch *condition,
                         const struct rollout_noise *noise, int exit, int before);
/* The part of x that the present rollout made. */
real *self_forcing_clips(const struct self_forcing *s);
/* Step 3: weight gradients from g [B, F, C, H, W] (frames 1..) of the present rollout. */
int self_forcing_backward(struct self_forcing *s, const struct params *params, const struct condition_batch *condition,
                          const real *g);
/* The exit pass of a rollout from its address: the last, or one drawn for all chunks and samples (pure). */
int self_forcing_exit(int mode, int passes, uint64_t seed, uint64_t step);
/* Chunks before the clip of rollout number `index` of a step: the same for all parts and ranks (pure). */
int self_forcing_before(const struct self_forcing *s, uint64_t seed, uint64_t step, int index);

#endif
