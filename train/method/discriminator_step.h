/* discriminator_step.h: the discriminator's part of adversarial training, of `refine` and of the discriminator's probe:
   its network and optimiser, what it sees of clips, the losses on its logits and its update. Opens no file.
   Real and fake clips stand in pairs; both of a pair are judged at the same noise level with the same noise, each with
   its own conditions (in refine these are the same, because the fake clip is a rollout from the real one's). The losses
   are relativistic (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024), over the frames' logits (local branch) and the
   clip's logit (global branch).
   The gradient penalties, R1 on real and R2 on fake clips, are finite differences: ((D(x_t + h eta) - D(x_t))/h)^2 with
   normal eta. They are averaged over each branch's logits apart and weighted as the branches are. One mean over all
   logits would give the clip's logit, which counts in the loss as much as all frames' together, 1/F of the penalty.
   An update has four inputs: real, fake, and both moved by h eta. Four forwards give logits and the loss's gradients by
   them; then each input runs again, saving, and is back-propagated into the same weight gradients. */
#ifndef TRAIN_METHOD_DISCRIMINATOR_STEP_H
#define TRAIN_METHOD_DISCRIMINATOR_STEP_H

#include "train/method/band_energy.h"
#include "train/method/refine_config.h"
#include "train/method/step_work.h"
#include "train/optimiser/frozen.h"
#include "train/optimiser/mailbox.h"

/* Branches of the discriminator: one logit for each frame; one for the clip. */
enum judging_branch { BRANCH_LOCAL, BRANCH_GLOBAL, BRANCHES };
/* Places in the array of the global batch's figures: penalties without their weights, one for each branch; latent
   energies of fake clips (made) and of real ones (truth), one for each band (band_energy.h), where the caller measures
   them; then the logits: the real clips' frames [batch, F - 1], their clips [batch], and the same of the fake ones. */
enum judging_figure {
    FIGURE_R1,
    FIGURE_R2 = FIGURE_R1 + BRANCHES,
    FIGURE_MADE = FIGURE_R2 + BRANCHES,
    FIGURE_TRUTH = FIGURE_MADE + ENERGY_BANDS,
    FIGURE_LOGITS = FIGURE_TRUTH + ENERGY_BANDS
};
enum judged_input { INPUT_REAL, INPUT_FAKE, INPUT_REAL_MOVED, INPUT_FAKE_MOVED, JUDGED_INPUTS };

struct discriminator_step {
    const struct dit *net; /* the teacher's shape, which the trunk has */
    struct refine_config config;
    uint64_t seed;
    int B, F; /* samples of the part at work, frames */
    struct batch_split split;
    long size, clip; /* elements of a latent frame, of a clip */
    struct discriminator network;
    struct optimiser optimiser;
    struct frozen_weights *frozen; /* the teacher's weights under the trunk's adapters; NULL: it has none */
    struct frozen_weights own;     /* those, unless another network of the stage has them */
    struct levels levels;
    real *noise, *eta, *input;   /* device [B, F, C, H, W] */
    real *by_input;              /* gradient by the discriminator's input */
    real *step_size;             /* device [B, F]: h; 0 at frame 0 */
    real *logits[JUDGED_INPUTS]; /* device [B (F-1) + B]: frames' logits, then clips' */
    real *slopes[JUDGED_INPUTS]; /* gradient of the loss by the logits */
    struct discriminator_acts *acts;
    real *figures;       /* device [FIGURE_LOGITS + 2 batch F]: as enum judging_figure */
    struct mailbox mail; /* carries figures to the host */
    real *host;          /* host copy of figures, of the last round read */
};
/* Clips of the whole batch [split, F, C, H, W], on the device, and what goes with them. */
struct judged_clips {
    const real *clips;
    const struct condition_batch *condition;
};
/* The figures of a round, for logs and metrics. */
struct discriminator_report {
    double branch_margin[BRANCHES];    /* mean D(real) - D(fake) in the last update */
    double margin;                     /* their mean, weighted as the branches are */
    double energy[ENERGY_BANDS];       /* latent energy of fake clips over that of real ones; 0: not measured */
    double r1[BRANCHES], r2[BRANCHES]; /* penalties without their weights */
};

/* updates: those of the whole run, over which the learning rate moves. teacher: the teacher's frozen weights, where
   another network of the stage has them too; NULL: with adapters the step has its own. */
int discriminator_step_layout(struct discriminator_step *d, const struct step_setup *setup,
                              const struct refine_config *config, long updates, struct frozen_weights *teacher,
                              struct arena *state, struct arena *activations);
/* Lays out activations. They are alive during a step only and may share memory with what is not. */
int discriminator_step_acts_layout(struct discriminator_step *d, struct arena *arena);
void discriminator_step_free(struct discriminator_step *d);
/* Writes the constants, once the memory is there. */
void discriminator_step_prepare(struct discriminator_step *d);
/* Makes new heads from the seed. The caller then loads the trunk's weights into optimiser.master. */
void discriminator_step_new_heads(struct discriminator_step *d);
/* Ends the warm-up of the heads: the moments start anew, because the trunk has none yet. */
void discriminator_heads_warm(struct discriminator_step *d);
/* Sets where the learning rate stands. It rises anew after the heads' warm-up, as the moments start anew, and falls
   towards the end of all updates. heads: updates of that warm-up made so far. */
void discriminator_schedule(struct discriminator_step *d, long heads, long updates);

/* Makes one update on the pairs (real i, fake i). index: number of the update in its round; update: number of all.
   heads_only: 1 in the heads' warm-up. */
int discriminator_update(struct discriminator_step *d, const struct judged_clips *real_clips,
                         const struct judged_clips *fake_clips, uint64_t round, int index, long update, int heads_only);
/* Judges the pairs and changes no weight: the figures have the logits afterwards. */
int discriminator_judge(struct discriminator_step *d, const struct judged_clips *real_clips,
                        const struct judged_clips *fake_clips, uint64_t round);
/* Posts the figures of a round that is queued. discriminator_step_report reads them, one round late; it returns 0 where
   they are not there. */
int discriminator_step_end(struct discriminator_step *d, uint64_t round);
int discriminator_step_report(struct discriminator_step *d, uint64_t round, struct discriminator_report *report);
/* Counts n passes. The trunk is counted up to the last tap; the heads, small beside it, are left out. */
void discriminator_step_work(const struct discriminator_step *d, enum work_pass kind, double n, struct step_work *work);
/* Number of inputs that an update has: two, and one more for each penalty that has a weight. */
int discriminator_inputs(const struct discriminator_step *d);

/* ---- parts of updates, for refine and for tests ---- */

/* Adds a part's share of the discriminator's loss to loss [1] and its gradients to params. */
int discriminator_gradient(struct discriminator_step *d, const struct params *params,
                           const struct batch_part *real_part, const struct batch_part *fake_part, uint64_t round,
                           int index, int heads_only, real *loss);
/* Adds a part's share of the generator's adversarial loss to loss [1]; D(real) is a constant. */
int discriminator_generator_loss(struct discriminator_step *d, const struct params *params,
                                 const struct batch_part *real_part, const struct batch_part *fake_part, uint64_t round,
                                 real *loss);
/* The same, and sets g to its gradient by the fake clips. */
int discriminator_generator_gradient(struct discriminator_step *d, const struct params *params,
                                     const struct batch_part *real_part, const struct batch_part *fake_part,
                                     uint64_t round, real *g, real *loss);

#endif
