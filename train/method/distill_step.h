/* distill_step.h: distribution matching on the student's own rollouts (self-forcing): SiD or DMD.
   Networks of one shape: student (trained, averaged), critic = fake score (trained on rollouts by flow matching),
   teacher = real score (frozen). A step is one generator update with its critic updates; before the first step the
   critic warms up. Opens no file.
   Memory: no two networks' activations are alive together: student's chunk, scores and critic take turns in the same
   piece. Random numbers are addressed by `round` = warm-up updates + steps so far. */
#ifndef TRAIN_METHOD_DISTILL_STEP_H
#define TRAIN_METHOD_DISTILL_STEP_H

#include "train/method/band_energy.h"
#include "train/method/distribution_matching.h"
#include "train/method/self_forcing.h"
#include "train/method/stage_config.h"

struct distill_config {
    struct stage_config stage;
    char student[RUN_PATH], teacher[RUN_PATH];
    int exit;   /* enum rollout_exit */
    int frames; /* latent frames of a rollout at most; 0: those of a clip (self_forcing.h) */
    struct score_config score;
};
extern const struct config_section distill_section;

/* What the host is told of a step besides the generator's account, one step late. */
struct distill_figures {
    real critic_loss;                             /* sum over the step's critic updates */
    real distance;                                /* mean |x - r| */
    real made[ENERGY_BANDS], truth[ENERGY_BANDS]; /* latent energy of rollouts and of real clips */
};

struct distill_step {
    const struct dit *net;
    struct distill_config config;
    uint64_t seed;
    int F;
    struct batch_split split;
    struct optimiser student;
    struct self_forcing rollout;
    struct distribution_matching matching;
    real *g; /* device [B, F, C, H, W]: dL/dx of a part */
    struct band_energy energy;
    struct distill_figures *figures; /* device */
    real *no_sample;                 /* device [B]: zeros */
    real *part_distance;             /* device [1] */
    struct mailbox mail;             /* of figures */
};
int distill_step_layout(struct distill_step *d, const struct step_setup *setup, const struct distill_config *config,
                        struct arena *state, struct arena *activations);
/* What is alive during a step only: may share memory with what is not. */
int distill_step_acts_layout(struct distill_step *d, struct arena *arena);
void distill_step_free(struct distill_step *d);
/* After the memory is there: constants. The teacher's weights are the caller's to load, at every start. */
int distill_step_prepare(struct distill_step *d);
/* From weights in student.master and matching.critic.master (a teacher's). */
void distill_step_fresh(struct distill_step *d);

/* A rollout for the critic alone, from references clips [split, F, ...] (frame 0); number `index` of this round. */
int distill_critic_rollout(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                           uint64_t round, int index);
/* One generator update: rollout, score gradient, gradient of the rollout, AdamW, EMA. */
int distill_generator_update(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                             uint64_t round, long step);
/* One critic update, number `index` of this round (`update` in all), on one of the last rollouts. */
int distill_critic_update(struct distill_step *d, uint64_t round, int index, long update);
/* The step with its critic updates is queued: posts its figures. */
int distill_step_end(struct distill_step *d, long step);
/* What a step costs this rank; after the layout. */
void distill_step_work(const struct distill_step *d, struct step_work *work);

#endif
