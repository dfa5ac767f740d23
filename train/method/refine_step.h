/* refine_step.h: adversarial refinement of the student against real clips by the Consistency-Aware Discriminator.
   Pair i is real clip i and a rollout from its reference and conditions; both are judged at the same noise level with
   the same noise. Relativistic losses (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024) over the frames' logits and
   the clip's logit; R1 on real and R2 on fake as finite differences: ((D(x_t + h eta) - D(x_t))/h)^2, averaged over the
   frames' logits and over the clips' logits apart and weighted as the branches are: one mean over all logits would give
   the clip's logit, which is as strong in the loss as all frames' together, 1/F of the penalty.
   The discriminator step has four inputs: real, fake, and both moved by h eta. Four forwards give logits and their
   gradients; then each input runs again, saving, and is back-propagated into the same gradients.
   A generator that learns from a discriminator at chance is led astray by noise: so heads, then all of the
   discriminator are trained before it moves, and it is held still where the margin is lost again (margin.h).
   In the generator's step D(real) is a constant. A share of the distillation loss can be kept. Opens no file. */
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
    int frames; /* latent frames of a rollout at most; 0: those of a clip (self_forcing.h) */
    struct discriminator_config discriminator;
    struct optimiser_config discriminator_optimiser; /* of the discriminator */
    struct level_config level;                       /* at which real and fake are judged */
    long head_warmup;                                /* discriminator updates of the heads alone, before all else */
    long warmup;          /* updates of all of it that follow, at most: until the margin is above */
    double warmup_margin; /* this, */
    double hold_margin;   /* and while it is not above this the generator is held still */
    int ratio;            /* discriminator updates a generator update */
    double local_weight, global_weight;
    double r1, r2, fd_step; /* weights and step of the finite-difference penalties */
    double distill_share;   /* weight of the distillation loss, with the settings of `distill` */
};
extern const struct config_section refine_section;

/* Judgements of a clip: of each frame, of all of it. */
enum refine_branch { BRANCH_LOCAL, BRANCH_GLOBAL, BRANCHES };
/* Places among the figures of the global batch; the penalties are without weights, a branch each; made, truth: latent
   energies of rollouts and of real clips (band_energy.h). */
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
    int B, F; /* samples in hand, frames */
    struct batch_split split;
    struct discriminator discriminator;
    struct optimiser student, discriminator_optimiser;
    struct self_forcing rollout;
    struct distribution_matching matching; /* when distill_share > 0 */
    int critic_ratio;                      /* its critic's updates a step */
    struct frozen_weights trunk; /* frozen, under the discriminator's adapters, when matching has no teacher */
    struct levels levels;
    struct band_energy energy;
    real *noise, *eta, *input;   /* device [B, F, C, H, W] */
    real *by_input;              /* gradient by the generator's input */
    real *g, *g_matching;        /* dL/dx */
    real *step_size;             /* device [B, F]: h; 0 at frame 0 */
    real *logits[REFINE_INPUTS]; /* device [B (F-1) + B]: frames' logits, then clips' */
    real *slopes[REFINE_INPUTS]; /* loss by logits */
    struct discriminator_acts *acts;
    real *figures; /* device [FIGURE_LOGITS + 2 batch F]: as enum refine_figure, then real's and fake's logits */
    struct mailbox mail;
    real *part_loss; /* device [1] */
    real *host;      /* host, as figures */
};
/* What the host learns of a step. */
struct refine_report {
    double branch_margin[BRANCHES];    /* mean D(real) - D(fake) of the last discriminator update */
    double margin;                     /* their mean, by the branches' weights */
    double energy[ENERGY_BANDS];       /* of rollouts over that of real clips; 0: not measured */
    double r1[BRANCHES], r2[BRANCHES]; /* unweighted penalties */
};
/* score: of the distillation loss's share. */
int refine_step_layout(struct refine_step *r, const struct step_setup *setup, const struct refine_config *config,
                       const struct score_config *score, struct arena *state, struct arena *activations);
/* What is alive during a step only: may share memory with what is not. */
int refine_step_acts_layout(struct refine_step *r, struct arena *arena);
void refine_step_free(struct refine_step *r);
/* The teacher that the caller loads at every start: the real score, and what adapters of the trunk are over. NULL:
   none. */
struct frozen_weights *refine_frozen_teacher(struct refine_step *r);
int refine_step_prepare(struct refine_step *r);
/* New heads from the seed; the trunk's weights are loaded over them by the caller, into
   discriminator_optimiser.master. */
void refine_step_new_heads(struct refine_step *r);
/* From weights in student.master, discriminator_optimiser.master (and matching.critic.master). */
void refine_step_fresh(struct refine_step *r);

/* Before a batch's rollout number `index` of this round: where that has chunks before its clip, so that this does not
   follow the reference, the real clips get references from elsewhere, too, or the discriminator would tell them by
   that. clips [split, F, C, H, W], far [split, C, H, W]. */
void refine_references(const struct refine_step *r, real *clips, const real *far, uint64_t round, int index);
/* Rolls the student out: rollout.x [split, F, C, H, W], for the discriminator. Number `index` of this round. */
int refine_rollout(struct refine_step *r, const real *clips, const struct condition_batch *condition, uint64_t round,
                   int index);
/* Rolls the student out (number 0 of this round) and makes one generator update from it. */
int refine_generator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                            uint64_t round, long step);
/* In its place while the generator is held still: rolls out alike and measures, and changes no weight. */
int refine_generator_hold(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                          uint64_t round, long step);
/* One discriminator update on the last rollout and its real clips. heads_only in the warm-up. */
int refine_discriminator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                                uint64_t round, int index, long update, int heads_only);
/* The warm-up of the heads is over: moments start anew, for the trunk has none. */
void refine_heads_warm(struct refine_step *r);
/* Where the learning rates stand: the discriminator's rises anew when its moments start anew, after the heads' warm-up,
   and falls towards the end of all its updates; the generator's is not used up by the `held` steps without an update.
   heads, whole: updates of the two warm-ups that were made, or of one that is not over yet those that there may be. */
void refine_schedule(struct refine_step *r, long heads, long whole, long held);

/* The round is queued: posts its figures; and what became of them, one round late. 0: they are not there. */
int refine_step_end(struct refine_step *r, uint64_t round);
int refine_step_report(struct refine_step *r, uint64_t round, struct refine_report *report);
/* What a step costs this rank; after the layout. */
void refine_step_work(const struct refine_step *r, struct step_work *work);

/* For tests: loss [1] += a part's share of the discriminator's loss; gradients added to params. */
int refine_discriminator_gradient(struct refine_step *r, const struct params *params,
                                  const struct batch_part *real_part, const real *fake_clips, uint64_t round, int index,
                                  int heads_only, real *loss);
/* g = gradient of the generator's adversarial loss by fake_clips; loss [1] += it. */
int refine_generator_gradient(struct refine_step *r, const struct params *params, const struct batch_part *real_part,
                              const real *fake_clips, uint64_t round, real *g, real *loss);

#endif
