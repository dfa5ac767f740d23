/* distill_step.h: one step of distillation: distribution matching (SiD or DMD) on the student's own rollouts
   (self-forcing). Three networks of one shape take part:
     student   trained and averaged; the generator
     critic    the fake score, trained on rollouts by flow matching
     teacher   the real score, frozen
   A step is one update of the student and some of the critic; before the first step the critic warms up. Opens no file.
   Memory: the activations of a student's chunk, of the scores and of the critic take turns in the same piece of memory.
   Random numbers are addressed by `round`, the number of warm-up updates and steps so far. */
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
    int frames; /* largest number of latent frames of a rollout (self_forcing.h); 0: a clip's */
    struct spoil_config spoil;
    struct score_config score;
};
extern const struct config_section distill_section;

/* Figures of a step, on the device, that the host reads one step late beside the optimisers' accounts. */
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
    real *g; /* device [B, F, C, H, W]: gradient dL/dx by a part's rollouts */
    struct band_energy energy;
    struct distill_figures *figures; /* device */
    real *no_sample;                 /* device [B]: zeros */
    real *part_distance;             /* device [1] */
    struct mailbox mail;             /* carries figures to the host */
};
int distill_step_layout(struct distill_step *d, const struct step_setup *setup, const struct distill_config *config,
                        struct arena *state, struct arena *activations);
/* Lays out activations. They are alive during a step only and may share memory with what is not. */
int distill_step_acts_layout(struct distill_step *d, struct arena *arena);
void distill_step_free(struct distill_step *d);
/* Writes the constants, once the memory is there. The caller loads the teacher's weights at every start. */
int distill_step_prepare(struct distill_step *d);
/* Starts afresh from the weights in student.master and in matching.critic.master, which are the teacher's. */
void distill_step_fresh(struct distill_step *d);

/* Makes rollout number `index` of this round for the critic alone. clips [split, F, C, H, W]: frame 0 is the
   reference. */
int distill_critic_rollout(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                           uint64_t round, int index);
/* Makes one update of the student: rollout, gradient from the scores, gradient through the rollout, AdamW, average. */
int distill_generator_update(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                             uint64_t round, long step);
/* Makes critic update number `index` of this round, number `update` of the run, on one of the last rollouts. */
int distill_critic_update(struct distill_step *d, uint64_t round, int index, long update);
/* Posts the figures of a step, when it and its critic updates are queued. */
int distill_step_end(struct distill_step *d, long step);
/* Counts what a step costs this rank; called after the layout. */
void distill_step_work(const struct distill_step *d, struct step_work *work);

#endif
