/* ode_step.h: one update of the causal student's initialisation: regression on the teacher's trajectories, chunk by
   chunk, with the exact gradient of block-causal attention (Yin et al. 2025, CausVid).
   A chunk's input is the trajectory's state at one of the student's levels; the target is the trajectory's end; the
   loss is the mean square over frames 1.. of x0 = x - sigma v against the target.
   A chunk sees of earlier chunks (config ode_init.history)
     own    their keys and values from the same pass, each at the level drawn for it;
     last   their keys and values from a pass at the last level, as the cache has them in streaming; that pass is
            trained as well, and the chunk's own pass is at one of the other levels.
   The order of the work, with the reference as chunk 0:
     forward    reference, chunk 1, 2, ..., n     fills the cache; nothing else is kept
     backward   chunk n, ..., 2, 1, reference     each runs again, saving; its backward also takes in the gradients by
                                                  its keys and values that later chunks have collected (fp32)
   So one chunk's activations are alive at a time.
   With ode_init.history_spoil the entry of one chunk in the cache comes from a spoiled input (history_spoil.h). The
   chunk's own losses see it as it is, and no gradient goes into that entry. */
#ifndef TRAIN_METHOD_ODE_STEP_H
#define TRAIN_METHOD_ODE_STEP_H

#include "model/dit/condition_batch.h"
#include "model/dit/kv_cache.h"
#include "model/dit/sampler.h"
#include "train/method/history_spoil.h"
#include "train/method/stage_config.h"
#include "train/method/step_work.h"

enum ode_history { ODE_HISTORY_OWN, ODE_HISTORY_LAST };
struct ode_init_config {
    struct stage_config stage;
    char teacher[RUN_PATH]; /* a stage's folder or a state; empty: RUN/teacher */
    int trajectories;       /* number of clips recorded */
    struct sampler_config sampler;
    int history; /* enum ode_history: the level of the history that a chunk sees */
    struct spoil_config spoil;
};
extern const struct config_section ode_init_section;

struct ode_step {
    const struct dit *net;
    struct ode_init_config config;
    struct rollout_config levels; /* the student's levels and chunking */
    uint64_t seed;
    int F, chunks;
    struct batch_split split;
    struct part part; /* part of the batch at work */
    long size, clip;  /* elements of a latent frame, of a clip */
    struct optimiser student;
    struct history_spoil spoil;
    struct kv_cache *cache; /* keys and values of all frames, with their gradients */
    struct dit_acts *acts;  /* activations of one chunk, saving */
    real *states;           /* device [levels + 1][split, F, C, H, W]: at sigma[0], sigma[1], ..., and the end */
    /* Values of one pass over a chunk. slope: gradient by the velocity; inverse: 1 / sigma. */
    real *input, *target, *velocity, *slope;    /* device [B, chunk frames, C, H, W] */
    real *t, *inverse, *minus_inverse, *weight; /* device [B, chunk frames] */
    real *host;                                 /* host [4, B, chunk frames]: those four */
};
int ode_step_layout(struct ode_step *s, const struct step_setup *setup, const struct ode_init_config *config,
                    struct arena *state, struct arena *activations);
/* Lays out cache and activations. They are alive during a step only and may share memory with what is not. */
int ode_step_acts_layout(struct ode_step *s, struct arena *arena);
void ode_step_free(struct ode_step *s);
/* Makes update number `step` from the rank's trajectories in s->states and their conditions. */
int ode_step_run(struct ode_step *s, const struct condition_batch *condition, long step);
/* Makes its loss and gradients alone, added to s->student.loss and .grads, which the caller clears. */
int ode_step_gradient(struct ode_step *s, const struct condition_batch *condition, long step);
/* The recorded clip, of `clips`, that sample `sample` of the global batch takes in a step. All come in an order that is
   drawn anew for each round through them, so that each comes as often as another and with others beside it. */
long ode_step_clip(const struct ode_step *s, long step, int sample, long rollbacks, long clips);
/* Counts what a step costs this rank; called after the layout. */
void ode_step_work(const struct ode_step *s, struct step_work *work);

#endif
