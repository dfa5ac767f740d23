/* self_forcing.h: the student's rollout in training and its gradient, shared by distill and refine.
   1. Roll out without gradient: every chunk runs all its passes, the cache keeps all frames, the clip x is made of the
      x0 predictions of the exit pass, whose inputs are kept.
   2. The caller computes g = dL/dx from the finished clip.
   3. Each chunk's exit pass runs again with its history as a constant and back-propagates its part of g.
   So one chunk's activations are alive at a time, and none while g is computed (Huang et al. 2025, Self Forcing; the
   history carries no gradient).
   A rollout may be longer than a clip (distill.frames). Then chunks are made before the clip's and forgotten; their
   number is drawn evenly from 0 to as many as there is room for, and the clip is the reference with the last chunks:

     rollout   | ref | 1 | 2 | 3 | 4 | 5 | 6 |     room 3, before 3: chunks 1 to 3 are forgotten
     clip x    | ref |           | 4 | 5 | 6 |     this is judged
     sound           | a | b | c | a | b | c |     windows of the clip's sound, over and over

   When such a clip is judged the cache has evicted frames, positions stand at their cap and errors have added up, as
   late in a stream; a draw of 0 trains the beginning of a stream. The sound is repeated so that the clip's chunks hear
   what belongs to them. */
#ifndef TRAIN_METHOD_SELF_FORCING_H
#define TRAIN_METHOD_SELF_FORCING_H

#include "model/dit/condition_batch.h"
#include "model/dit/rollout.h"
#include "train/method/history_spoil.h"
#include "train/optimiser/batch_split.h"

/* The pass whose prediction is judged and trained. */
enum rollout_exit { EXIT_LAST, EXIT_RANDOM };
extern const char *const exit_names[];

struct self_forcing {
    const struct dit *net;
    struct rollout rollout;
    struct dit_acts *acts;      /* activations of one chunk, saving */
    int F, chunks;              /* latent frames of the clip, chunks of the clip */
    int room;                   /* largest number of chunks before the clip */
    long size, clip;            /* elements of a latent frame, of a clip */
    real *x;                    /* device [split, F, C, H, W]: the reference and the exit passes' predictions */
    real *exit_input;           /* device, frames 1.. of one part's clips: inputs of the exit passes */
    struct history_spoil spoil; /* what is done to the history (self_forcing_spoil_layout) */
    /* The present rollout: */
    struct part part; /* part of the batch that it is for */
    int before;       /* chunks before the clip */
    int exit;         /* number of the exit pass */
};
/* Lays out cache and x in `arena`. F: latent frames of the clip; longest: those of the longest rollout, 0: F. ERR_USAGE
   where that is not the reference and whole chunks, or fewer than F. */
int self_forcing_layout(struct self_forcing *s, const struct dit *net, const struct rollout_config *config,
                        const struct batch_split *split, int F, int longest, struct arena *arena);
/* Lays out, after self_forcing_layout, what spoiling the history of rollouts takes (history_spoil.h). Without it none
   is spoiled. key: the config's name of these settings. */
int self_forcing_spoil_layout(struct self_forcing *s, const char *key, const struct spoil_config *config,
                              struct arena *arena);
/* Lays out the activations of one chunk, which may share memory with what step 2 uses. */
int self_forcing_acts_layout(struct self_forcing *s, enum dit_memory memory, struct arena *arena);
void self_forcing_free(struct self_forcing *s);

/* Does step 1 for one part of the batch. Noise is addressed from sample noise->sample0 + the part's first one on.
   reference: frame 0 of the part's clips, `stride` elements from one sample to the next. exit: 0 .. passes - 1; before:
   0 .. room. */
int self_forcing_rollout(struct self_forcing *s, const struct params *params, const struct part *part,
                         const real *reference, long stride, const struct condition_batch *condition,
                         const struct rollout_noise *noise, int exit, int before);
/* The clips in x that the present rollout made. */
real *self_forcing_clips(const struct self_forcing *s);
/* Does step 3: adds the weight gradients that follow from g [B, F, C, H, W] (frames 1..) of the present rollout. */
int self_forcing_backward(struct self_forcing *s, const struct params *params, const struct condition_batch *condition,
                          const real *g);
/* The exit pass of a step's rollouts: the last, or one drawn for all chunks and samples (a pure function). */
int self_forcing_exit(int mode, int passes, uint64_t seed, uint64_t step);
/* Number of chunks before the clip in rollout number `index` of a step, the same for all parts and ranks (a pure
   function). */
int self_forcing_before(const struct self_forcing *s, uint64_t seed, uint64_t step, int index);

#endif
