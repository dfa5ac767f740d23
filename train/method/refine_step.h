/* refine_step.h: adversarial refinement of the student (the generator) against real clips by the Consistency-Aware
   Discriminator. Opens no file.
   Pair i is real clip i and a rollout from its reference and conditions; discriminator_step.h judges them and has the
   losses. A generator that learned from a discriminator at chance would be led astray by noise. So the heads and then
   all of the discriminator are trained before the generator moves, and it is held still while the margin is too small
   again (margin.h). In a generator update D(real) is a constant. A share of the distillation loss can be kept. */
#ifndef TRAIN_METHOD_REFINE_STEP_H
#define TRAIN_METHOD_REFINE_STEP_H

#include "train/method/discriminator_step.h"
#include "train/method/distribution_matching.h"
#include "train/method/self_forcing.h"

struct refine_step {
    const struct dit *net;
    struct refine_config config;
    uint64_t seed;
    int B, F; /* samples of the largest part, frames */
    struct batch_split split;
    struct discriminator_step discriminator;
    struct optimiser student;
    struct rollout_config levels; /* the levels that the student begins with */
    struct self_forcing rollout;
    struct distribution_matching matching; /* laid out when distill_share > 0 */
    int critic_ratio;                      /* updates of its critic in a step */
    struct band_energy energy;
    real *g, *g_matching; /* device [B, F, C, H, W]: dL/dx by the rollouts: all of it; its distillation part */
    real *part_loss;      /* device [1]: distillation loss of a part */
};
/* score: settings of the distillation loss. */
int refine_step_layout(struct refine_step *r, const struct step_setup *setup, const struct refine_config *config,
                       const struct score_config *score, struct arena *state, struct arena *activations);
/* Lays out activations. They are alive during a step only and may share memory with what is not. */
int refine_step_acts_layout(struct refine_step *r, struct arena *arena);
void refine_step_free(struct refine_step *r);
/* The teacher's weights that the caller loads at every start, for the real score and under the trunk's adapters; NULL:
   neither is there. */
struct frozen_weights *refine_frozen_teacher(struct refine_step *r);
/* Writes the constants, once the memory is there. */
int refine_step_prepare(struct refine_step *r);
/* Starts afresh from the weights in student.master, discriminator.optimiser.master (and matching.critic.master). */
void refine_step_fresh(struct refine_step *r);

/* Sets the passes of all rollouts of update number `step`, and of the warm-ups before the first one (pass_reduction.h).
   Returns their number. Called before the rollouts. */
int refine_passes(struct refine_step *r, long step);
/* Called before rollout number `index` of this round. Where the rollout has chunks before its clip, the clip does not
   follow its reference; then the real clips get references from another moment too, lest the discriminator tell them
   apart by that. clips [split, F, C, H, W], far [split, C, H, W]: those references. */
void refine_references(const struct refine_step *r, real *clips, const real *far, uint64_t round, int index);
/* Makes rollout number `index` of this round for the discriminator: rollout.x [split, F, C, H, W]. */
int refine_rollout(struct refine_step *r, const real *clips, const struct condition_batch *condition, uint64_t round,
                   int index);
/* Rolls the student out (number 0 of this round) and makes one generator update from it. */
int refine_generator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                            uint64_t round, long step);
/* Called in its place while the generator is held still: rolls out alike and measures, and changes no weight. */
int refine_generator_hold(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                          uint64_t round, long step);
/* Makes one discriminator update on the last rollout and its real clips. heads_only: 1 in the heads' warm-up. */
int refine_discriminator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                                uint64_t round, int index, long update, int heads_only);
/* Sets where both learning rates stand. The discriminator's rises anew after the heads' warm-up, as its moments start
   anew, and falls towards the end of all its updates; the generator's does not advance in the `held` steps without an
   update. heads, whole: number of updates of the two warm-ups, made or, while a warm-up goes on, possible. */
void refine_schedule(struct refine_step *r, long heads, long whole, long held);

/* Posts the figures of a round that is queued. refine_step_report reads them, one round late; it returns 0 where they
   are not there. */
int refine_step_end(struct refine_step *r, uint64_t round);
int refine_step_report(struct refine_step *r, uint64_t round, struct discriminator_report *report);
/* Counts what a step costs this rank; called after the layout. */
void refine_step_work(const struct refine_step *r, struct step_work *work);

#endif
