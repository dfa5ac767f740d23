/* ode_step.h: one update of the causal student's initialisation, chunk by chunk, with the exact gradient of
   block-causal attention. A chunk's pass is at some state x_s of level s; its prediction is f(x_s, s) = x_s - s v.
   There are two losses, each the mean square over frames 1.. of f(x_s, s) against a target (config ode_init.loss):
     trajectories  x_s is the state of a recorded trajectory of the teacher at one of the student's levels; the target
                   is the trajectory's end (Yin et al. 2025, CausVid).
     consistency   x_s is a clip of the data set, noised; one step of the teacher's solver takes it to the next lower
                   level s' (consistency.h), and the target is f'(x_s', s') of the student's average f', which takes no
                   gradient. At s' = 0 it is x_s' itself, since x - 0 v = x. So no trajectories are recorded. The levels
                   are those of the teacher's sampler (Causal-Forcing++, 2026, with 48 levels, guidance 3 and an
                   average of 0.99; there the teacher is causal, here it is the bidirectional one, which takes one level
                   a clip).
   A chunk sees of earlier chunks (config ode_init.history)
     last   their keys and values as the cache has them in streaming: from a pass at the student's last level, or with
            rollout.clean_pass at level 0. The chunk's own pass is another one. On trajectories the pass at the last
            level is trained as well, and the own pass is at one of the other levels; a student of one pass without a
            clean one has a single pass for both.
     own    their keys and values from the same pass, on trajectories each at the level drawn for it.
   The gradient goes through keys and values of the history too. The order of the work, the reference being chunk 0:
     targets    reference, chunk 1, 2, ..., n     consistency only: the average's passes; their predictions are kept
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
#include "train/method/band_energy.h"
#include "train/method/consistency.h"
#include "train/method/history_spoil.h"
#include "train/method/stage_config.h"
#include "train/method/step_work.h"

enum ode_loss { ODE_LOSS_TRAJECTORIES, ODE_LOSS_CONSISTENCY };
enum ode_history { ODE_HISTORY_OWN, ODE_HISTORY_LAST };
struct ode_init_config {
    struct stage_config stage;
    char teacher[RUN_PATH]; /* a stage's folder or a state; empty: RUN/teacher */
    int loss;               /* enum ode_loss */
    int trajectories;       /* number of clips recorded */
    struct sampler_config sampler;
    int history; /* enum ode_history: the level of the history that a chunk sees */
    struct spoil_config spoil;
};
extern const struct config_section ode_init_section;

/* States of a clip with the loss `consistency`; with `trajectories` state i is at sigma[i], the last one the end. */
enum consistency_state { STATE_DRAWN, STATE_LOWER, STATE_HISTORY, STATE_TARGET, CONSISTENCY_STATES };

/* Energies of the consistency loss's targets and of the clips that they are predictions of, on the device. */
struct ode_figures {
    real made[ENERGY_BANDS], truth[ENERGY_BANDS];
};

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
    real *states;           /* device [states][split, F, C, H, W] */
    /* Values of one pass over a chunk. What is wanted of it is of_input x input + of_other x another array. */
    real *input, *target, *velocity, *slope; /* device [B, chunk frames, C, H, W]; slope: gradient by the velocity */
    real *t, *of_input, *of_other, *weight;  /* device [B, chunk frames] */
    real *host;                              /* host [4, B, chunk frames]: those four */
    /* With the loss `consistency`: */
    double solver[SAMPLER_STEPS_MAX + 1]; /* levels of the teacher's sampler */
    struct sharded average;               /* the student's averaged weights, which make the targets */
    struct consistency pairs;
    struct band_energy energy;
    struct ode_figures *figures; /* device */
    struct mailbox mail;         /* carries figures to the host */
};
int ode_step_layout(struct ode_step *s, const struct step_setup *setup, const struct ode_init_config *config,
                    struct arena *state, struct arena *activations);
/* Lays out cache and activations. They are alive during a step only and may share memory with what is not. */
int ode_step_acts_layout(struct ode_step *s, struct arena *arena);
void ode_step_free(struct ode_step *s);
/* Writes the constants, once the memory is there. */
int ode_step_prepare(struct ode_step *s);
/* Makes update number `step` from the rank's states in s->states and their conditions. With the loss `consistency`
   these states come from ode_step_pairs. */
int ode_step_run(struct ode_step *s, const struct condition_batch *condition, long step);
/* Makes its loss and gradients alone, added to s->student.loss and .grads, which the caller clears. The averaged
   weights are those that are in s->average. */
int ode_step_gradient(struct ode_step *s, const struct condition_batch *condition, long step);
/* Makes the states of update number `step` from the rank's clips [split, F, C, H, W], for the loss `consistency`. The
   sampler's memory may be that of ode_step_acts_layout. */
int ode_step_pairs(struct ode_step *s, struct sampler *sampler, const struct params *teacher, const real *clips,
                   const struct condition_batch *condition, long step);
/* The recorded clip, of `clips`, that sample `sample` of the global batch takes in a step. All come in an order that is
   drawn anew for each round through them, so that each comes as often as another and with others beside it. */
long ode_step_clip(const struct ode_step *s, long step, int sample, long rollbacks, long clips);
/* Counts what a step costs this rank; called after the layout. sampler: the teacher's, laid out. */
void ode_step_work(const struct ode_step *s, const struct sampler *sampler, struct step_work *work);

#endif
