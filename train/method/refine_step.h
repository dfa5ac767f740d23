/* refine_step.h: adversarial refinement of the student (the generator) against real clips by the Consistency-Aware
   Discriminator. Opens no file.
   Pair i is real clip i and a rollout from its reference and conditions; both are judged at the same noise level with
   the same noise. The losses are relativistic (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024), over the frames'
   logits (local branch) and the clip's logit (global branch).
   The gradient penalties, R1 on real and R2 on fake clips, are finite differences: ((D(x_t + h eta) - D(x_t))/h)^2 with
   normal eta. They are averaged over each branch's logits apart and weighted as the branches are. One mean over all
   logits would give the clip's logit, which counts in the loss as much as all frames' together, 1/F of the penalty.
   A discriminator update has four inputs: real, fake, and both moved by h eta. Four forwards give logits and the loss's
   gradients by them; then each input runs again, saving, and is back-propagated into the same weight gradients.
   A generator that learned from a discriminator at chance would be led astray by noise. So the heads and then all of
   the discriminator are trained before the generator moves, and it is held still while the margin is too small again
   (margin.h). In a generator update D(real) is a constant. A share of the distillation loss can be kept. */
#ifndef TRAIN_METHOD_REFINE_STEP_H
#define TRAIN_METHOD_REFINE_STEP_H

#include "model/dit/discriminator.h"
#include "train/method/band_energy.h"
#include "train/method/distribution_matching.h"
#include "train/method/self_forcing.h"
#include "train/method/stage_config.h"

struct refine_config {
    struct stage_config stage;
    char student[RUN_PATH], teacher[RUN_PATH];
    int exit;
    int frames; /* largest number of latent frames of a rollout (self_forcing.h); 0: a clip's */
    struct discriminator_config discriminator;
    struct optimiser_config discriminator_optimiser;
    struct level_config level;          /* noise levels at which clips are judged */
    long head_warmup;                   /* discriminator updates that train the heads alone, before all else */
    long warmup;                        /* most updates of the whole discriminator that follow */
    double warmup_margin;               /* margin above which they end */
    double hold_margin;                 /* the generator is held still while the margin is not above this */
    int ratio;                          /* discriminator updates after each generator update */
    double local_weight, global_weight; /* weights of the branches */
    double r1, r2, fd_step;             /* weights of the penalties; h */
    double distill_share;               /* weight of the distillation loss, with the settings of `distill` */
};
extern const struct config_section refine_section;

/* Branches of the discriminator: one logit for each frame; one for the clip. */
enum refine_branch { BRANCH_LOCAL, BRANCH_GLOBAL, BRANCHES };
/* Places in the array of the global batch's figures: penalties without their weights, one for each branch; latent
   energies of rollouts (made) and of real clips (truth), one for each band (band_energy.h); then the logits. */
enum refine_figure {
    FIGURE_R1,
    FIGURE_R2 = FIGURE_R1 + BRANCHES,
    FIGURE_MADE = FIGURE_R2 + BRANCHES,
    FIGURE_TRUTH = FIGURE_MADE + ENERGY_BANDS,
    FIGURE_LOGITS = FIGURE_TRUTH + ENERGY_BANDS
};
enum refine_input { INPUT_REAL, INPUT_FAKE, INPUT_REAL_MOVED, INPUT_FAKE_MOVED, REFINE_INPUTS };

struct refine_step {
    const struct dit *net;
    struct refine_config config;
    uint64_t seed;
    int B, F; /* samples of the part at work, frames */
    struct batch_split split;
    struct discriminator discriminator;
    struct optimiser student, discriminator_optimiser;
    struct self_forcing rollout;
    struct distribution_matching matching; /* laid out when distill_share > 0 */
    int critic_ratio;                      /* updates of its critic in a step */
    struct frozen_weights trunk; /* weights under the discriminator's adapters, when matching has no teacher */
    struct levels levels;
    struct band_energy energy;
    real *noise, *eta, *input;   /* device [B, F, C, H, W] */
    real *by_input;              /* gradient by the discriminator's input */
    real *g, *g_matching;        /* dL/dx by the rollouts: all of it; its distillation part */
    real *step_size;             /* device [B, F]: h; 0 at frame 0 */
    real *logits[REFINE_INPUTS]; /* device [B (F-1) + B]: frames' logits, then clips' */
    real *slopes[REFINE_INPUTS]; /* gradient of the loss by the logits */
    struct discriminator_acts *acts;
    real *figures;       /* device [FIGURE_LOGITS + 2 batch F]: as enum refine_figure, with logits of real, then fake */
    struct mailbox mail; /* carries figures to the host */
    real *part_loss;     /* device [1]: distillation loss of a part */
    real *host;          /* host copy of figures */
};
/* The figures of a round, for logs and metrics. */
struct refine_report {
    double branch_margin[BRANCHES];    /* mean D(real) - D(fake) in the last discriminator update */
    double margin;                     /* their mean, weighted as the branches are */
    double energy[ENERGY_BANDS];       /* latent energy of rollouts over that of real clips; 0: not measured */
    double r1[BRANCHES], r2[BRANCHES]; /* penalties without their weights */
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
/* Makes new heads from the seed. The caller then loads the trunk's weights into discriminator_optimiser.master. */
void refine_step_new_heads(struct refine_step *r);
/* Starts afresh from the weights in student.master, discriminator_optimiser.master (and matching.critic.master). */
void refine_step_fresh(struct refine_step *r);

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
/* Ends the warm-up of the heads: the discriminator's moments start anew, because the trunk has none yet. */
void refine_heads_warm(struct refine_step *r);
/* Sets where both learning rates stand. The discriminator's rises anew after the heads' warm-up, as its moments start
   anew, and falls towards the end of all its updates; the generator's does not advance in the `held` steps without an
   update. heads, whole: number of updates of the two warm-ups, made or, while a warm-up goes on, possible. */
void refine_schedule(struct refine_step *r, long heads, long whole, long held);

/* Posts the figures of a round that is queued. refine_step_report reads them, one round late; it returns 0 where they
   are not there. */
int refine_step_end(struct refine_step *r, uint64_t round);
int refine_step_report(struct refine_step *r, uint64_t round, struct refine_report *report);
/* Counts what a step costs this rank; called after the layout. */
void refine_step_work(const struct refine_step *r, struct step_work *work);

/* For tests: adds a part's share of the discriminator's loss to loss [1] and its gradients to params. */
int refine_discriminator_gradient(struct refine_step *r, const struct params *params,
                                  const struct batch_part *real_part, const real *fake_clips, uint64_t round, int index,
                                  int heads_only, real *loss);
/* Sets g to the gradient of the generator's adversarial loss by fake_clips and adds the loss to loss [1]. */
int refine_generator_gradient(struct refine_step *r, const struct params *params, const struct batch_part *real_part,
                              const real *fake_clips, uint64_t round, real *g, real *loss);

#endif
