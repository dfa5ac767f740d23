/* distribution_matching.h: the two scores of distribution matching and the critic's training: a frozen real score
   (teacher), a fake score (critic) that learns the distribution of the student's rollouts by flow matching, and the
   rollouts kept for it. distill uses it as its loss, refine as a share of its loss. Random numbers are addressed by
   `round`. */
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
    struct frozen_weights teacher; /* the caller loads it at every start */
    struct score score;
    struct flow_matching flow;
    struct dit_acts *acts; /* of scores and critic, saving: they take turns */
    struct replay replay;
    real *clips; /* device [B, F, C, H, W]: what a part of a critic update is made on */
    struct condition_batch condition;
};
/* critic_updates: in the whole run. */
int distribution_matching_layout(struct distribution_matching *m, const struct step_setup *setup,
                                 const struct score_config *config, const struct batch_split *split,
                                 long critic_updates, struct arena *state, struct arena *activations);
/* The activations, which may share memory with what is never alive beside them. */
int distribution_matching_acts_layout(struct distribution_matching *m, enum dit_memory memory, struct arena *arena);
void distribution_matching_free(struct distribution_matching *m);
/* After the memory is there: constants. */
void distribution_matching_prepare(struct distribution_matching *m);
/* From a teacher's weights in critic.master. */
void distribution_matching_fresh(struct distribution_matching *m);
/* What a checkpoint must hold. */
int distribution_matching_save_with(struct distribution_matching *m, struct train_state *state);

/* Part of a rollout for the critic to learn from. */
void distribution_matching_show(struct distribution_matching *m, const struct part *part, const real *x,
                                const struct condition_batch *condition);
/* g = dL/dx of a part's clips x; loss [1] += its share of L. */
int distribution_matching_gradient(struct distribution_matching *m, const struct part *part, real *g, real *loss,
                                   const real *x, const struct condition_batch *condition, uint64_t round);
/* One critic update, number `index` of this round, `update` in all, on one of the rollouts kept: number 0 on
   the newest. */
int distribution_matching_critic_update(struct distribution_matching *m, uint64_t round, int index, long update);
/* What a step costs this rank; after the layout. */
void distribution_matching_work_gradient(const struct distribution_matching *m, int recompute, struct step_work *work);
void distribution_matching_work_critic(const struct distribution_matching *m, int recompute, double updates,
                                       struct step_work *work);

#endif
