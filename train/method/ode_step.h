/* ode_step.h: one update of the causal student's initialisation: regression on the teacher's trajectories, chunk by
   chunk, with the exact gradient of block-causal attention (Yin et al. 2025, CausVid).
   A chunk's input is the trajectory's state at one of the student's levels; the target is the trajectory's end; the
   loss is the mean square of x0 = x - sigma v against it over frames 1...
   What a chunk sees of earlier ones:
     history own    their keys and values from the same pass, each at the level drawn for it
     history last   their keys and values from a pass at the last level, as the cache has them in serving; that pass is
                    trained as well, and the chunk's own pass is at one of the other levels
   Chunks run forward once to fill the cache; then they are visited last to first: each is run again, saving, and its
   backward adds the fp32 gradients that later chunks collected for its keys and values. The reference is chunk 0. One
   chunk's activations are alive at a time. */
#ifndef TRAIN_METHOD_ODE_STEP_H
#define TRAIN_METHOD_ODE_STEP_H

#include "model/dit/condition_batch.h"
#include "model/dit/kv_cache.h"
#include "model/dit/sampler.h"
#include "train/method/stage_config.h"
#include "train/method/step_work.h"

enum ode_history { ODE_HISTORY_OWN, ODE_HISTORY_LAST };
struct ode_init_config {
    struct stage_config stage;
    char teacher[RUN_PATH]; /* a stage's folder or a state; empty: RUN/teacher */
    int trajectories;       /* clips recorded */
    struct sampler_config sampler;
    int history; /* enum ode_history: what a chunk's history is made of */
};
extern const struct config_section ode_init_section;

struct ode_step {
    const struct dit *net;
    struct ode_init_config config;
    struct rollout_config levels; /* the student's levels and chunking */
    uint64_t seed;
    int F, chunks;
    struct batch_split split;
    struct part part; /* the one in hand */
    long size, clip;  /* elements of a latent frame, of a clip */
    struct optimiser student;
    struct kv_cache *cache;                  /* all frames, with gradients */
    struct dit_acts *acts;                   /* of one chunk, saving */
    real *states;                            /* device [levels + 1][split, F, C, H, W]: at sigma[0] .. , and the end */
    real *input, *target, *velocity, *slope; /* device [B, C frames] of a pass */
    real *t, *inverse, *minus_inverse, *weight; /* device [B, C] of a pass */
    real *host;                                 /* host [4, B, C] */
};
int ode_step_layout(struct ode_step *s, const struct step_setup *setup, const struct ode_init_config *config,
                    struct arena *state, struct arena *activations);
/* Cache and activations, alive during a step only: may share memory with what is not. */
int ode_step_acts_layout(struct ode_step *s, struct arena *arena);
void ode_step_free(struct ode_step *s);
/* Update number `step` from the trajectories in s->states and their conditions, of the rank's share. */
int ode_step_run(struct ode_step *s, const struct condition_batch *condition, long step);
/* Its loss and gradients alone (s->student.loss, .grads: cleared by the caller). */
int ode_step_gradient(struct ode_step *s, const struct condition_batch *condition, long step);
/* Which of the `clips` recorded ones sample `sample` of the global batch has: all of them in an order drawn anew for
   each round through them, so that each comes as often as another and never with the same company. */
long ode_step_clip(const struct ode_step *s, long step, int sample, long rollbacks, long clips);
/* What a step costs this rank; after the layout. */
void ode_step_work(const struct ode_step *s, struct step_work *work);

#endif
