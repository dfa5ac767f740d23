/* distribution_matching.h: the loss of distill, which refine can keep a share of. It has a frozen real score (the
   teacher), a fake score (the critic), which learns the distribution of the student's rollouts by flow matching, and
   the last rollouts, kept for the critic to learn from. Random numbers are addressed by `round`. */
#ifndef TRAIN_METHOD_DISTRIBUTION_MATCHING_H
#define TRAIN_METHOD_DISTRIBUTION_MATCHING_H

#include "train/method/flow_matching.h"
#include "train/optimiser/optimiser.h"
#include "train/method/replay.h"
#include "train/method/score.h"
#include "train/method/stage_config.h"
#include "train/method/step_work.h"

struct train_state;
struct distribution_matching {
    const struct dit *net;
    struct score_config config;
    uint64_t seed;
    struct optimiser critic;
    struct batch_split split;
    struct frozen_weights teacher; /* loaded by the caller at every start */
    struct score score;
    struct flow_matching flow; /* the critic's loss */
    struct dit_acts *acts;     /* activations, saving, which scores and critic use in turn */
    struct replay replay;
    real *clips; /* device [B, F, C, H, W]: rollouts that a part of a critic update learns from */
    struct condition_batch condition;
};
/* critic_updates: number of the critic's updates in the whole run. */
int distribution_matching_layout(struct distribution_matching *m, const struct step_setup *setup,
                                 const struct score_config *config, const struct batch_split *split,
                                 long critic_updates, struct arena *state, struct arena *activations);
/* Lays out the activations, which may share memory with what is never alive beside them. */
int distribution_matching_acts_layout(struct distribution_matching *m, enum dit_memory memory, struct arena *arena);
void distribution_matching_free(struct distribution_matching *m);
/* Writes the constants, once the memory is there. */
void distribution_matching_prepare(struct distribution_matching *m);
/* Starts afresh: the critic from the teacher's weights in critic.master, and no rollouts kept. */
void distribution_matching_fresh(struct distribution_matching *m);
/* Registers the critic and the kept rollouts with a state. */
int distribution_matching_save_with(struct distribution_matching *m, struct train_state *state);

/* Keeps a part of a rollout for the critic to learn from. */
void distribution_matching_show(struct distribution_matching *m, const struct part *part, const real *x,
                                const struct condition_batch *condition);
/* Sets g to dL/dx of a part's clips x and adds its share of L to loss [1]. */
int distribution_matching_gradient(struct distribution_matching *m, const struct part *part, real *g, real *loss,
                                   const real *x, const struct condition_batch *condition, uint64_t round);
/* Makes critic update number `index` of this round, number `update` of the run, on one of the kept rollouts; index 0
   takes the newest. */
int distribution_matching_critic_update(struct distribution_matching *m, uint64_t round, int index, long update);
/* Count what a gradient and `updates` critic updates cost this rank; called after the layout. */
void distribution_matching_work_gradient(const struct distribution_matching *m, int recompute, struct step_work *work);
void distribution_matching_work_critic(const struct distribution_matching *m, int recompute, double updates,
                                       struct step_work *work);

#endif
