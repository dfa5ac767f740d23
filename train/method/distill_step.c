/* distill_step.c: see distill_step.h. The method, in order:

     x = rollout(student, reference, audio)              self_forcing.h
     g = dL/dx from teacher and critic at x              distribution_matching.h, score.h
     student -= AdamW(gradient of the rollout along g)   self_forcing.h
     critic  -= AdamW(flow matching on rollouts)         distribution_matching.h, flow_matching.h */
#include "train/method/distill_step.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

/* ---- settings ---- */

#define FIELDS_OF struct distill_config
static const struct config_field fields[] = {
    STAGE_KEYS("distill", stage, "80", "8"),
    OPTIMISER_KEYS("distill.optimiser", stage.optimiser, "4e-5", "0", "0.99", "0", "1", "0", "0", "0.97"),
    TEXT("distill.student", student, "", "Where the student starts: a stage's folder or a state; empty: RUN/ode_init."),
    TEXT("distill.teacher", teacher, "",
         "The real score, where the critic starts too: a stage's folder or a state; empty: RUN/teacher."),
    CHOICE(
        "distill.exit", exit, exit_names, "last",
        "Pass of each chunk whose prediction is judged and trained: the last, or one drawn at random for each update."),
    INT("distill.frames", frames, 0, 65536, "0",
        "Largest number of latent frames of a rollout, the reference and whole chunks. Beyond `frames` the clip that "
        "is judged is the reference and the last chunks, after an even draw of others; 0: as many as `frames`."),
    SPOIL_KEYS("distill.history_spoil", spoil),
    SPOIL_ROLLED_KEY("distill.history_spoil", spoil),
    CHOICE("distill.loss", score.loss, score_losses, "sid",
           "Loss of the student's update, which matches its distribution to the teacher's: SiD or DMD."),
    REAL("distill.guidance", score.guidance, 0, 100, "2", "Scale of the real score's guidance; 1: none."),
    FLAG("distill.guide_text", score.guide_text, "false",
         "Guidance leaves out text as well as sound: the empty prompt, or the negative one, stands in its place."),
    REAL("distill.alpha", score.alpha, 0, 10, "1",
         "Weight alpha of the second term of the sid loss, (r - x) - alpha (r - f) with the two scores' clean clips r "
         "and f."),
    LEVEL_KEYS("distill.level", score.level, "shifted_uniform", "3", "0.02", "0.98"),
    OPTIMISER_KEYS("distill.critic", score.critic, "3e-4", "0", "0.99", "0", "1", "0", "0", "0"),
    LONG("distill.critic_warmup", score.critic_warmup, 0, 1e9, "80", "Number of critic updates before the first step."),
    INT("distill.critic_ratio", score.critic_ratio, 0, 100, "5",
        "Number of critic updates after each update of the student."),
    INT("distill.critic_replay", score.critic_replay, 0, 1000, "5",
        "Rollouts kept for the critic, whose updates take the newest, then the others, none twice in a step before all "
        "were taken; 0: a fresh one for each update."),
};

static int check(const void *c) { return level_check("distill.level", &((const FIELDS_OF *)c)->score.level); }

SECTION(distill, "Distils the causal student by matching distributions on its own rollouts (SiD or DMD).",
        "negative lora rollout", check, TRAINS("student", stage.optimiser), TRAINS("critic", score.critic));

/* ---- memory ---- */

int distill_step_layout(struct distill_step *d, const struct step_setup *setup, const struct distill_config *config,
                        struct arena *state, struct arena *activations) {
    const struct dit *net = setup->net;
    const struct stage_config *c = &config->stage;
    const struct score_config *score = &config->score;
    d->config = *config;
    d->net = net;
    d->seed = setup->seed;
    d->F = setup->F;
    TRY(sharding_batch_split(setup->shards, &d->split, c->batch, c->accumulate));
    int B = d->split.largest;
    TRY(optimiser_layout(&d->student, "student", &net->table, &c->optimiser, c->steps, setup->shards, state));
    TRY(self_forcing_layout(&d->rollout, net, setup->rollout, &d->split, d->F, config->frames, activations));
    TRY(self_forcing_spoil_layout(&d->rollout, "distill.history_spoil", &config->spoil, activations));
    TRY(distribution_matching_layout(&d->matching, setup, score, &d->split,
                                     score->critic_warmup + c->steps * score->critic_ratio, state, activations));
    d->g = ARENA_TAKE(activations, "gradient by the clips", real, (size_t)B * d->rollout.clip);
    band_energy_layout(&d->energy, B, d->F, net->config.in_channels, d->rollout.size, activations);
    d->figures = ARENA_TAKE(activations, "figures", struct distill_figures, 1);
    d->no_sample = ARENA_TAKE(activations, "zeros", real, B);
    d->part_distance = ARENA_TAKE(activations, "figures", real, 1);
    mailbox_layout(&d->mail, sizeof *d->figures, activations);
    return OK;
}

int distill_step_acts_layout(struct distill_step *d, struct arena *arena) {
    enum dit_memory kind = d->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    struct arena_fork fork;
    arena_fork(arena, &fork);
    TRY(distribution_matching_acts_layout(&d->matching, kind, arena));
    arena_alternative(arena, &fork);
    TRY(self_forcing_acts_layout(&d->rollout, kind, arena));
    arena_join(arena, &fork);
    return OK;
}

void distill_step_free(struct distill_step *d) {
    self_forcing_free(&d->rollout);
    distribution_matching_free(&d->matching);
    optimiser_free(&d->student);
    mailbox_free(&d->mail);
    memset(d, 0, sizeof *d);
}

int distill_step_prepare(struct distill_step *d) {
    distribution_matching_prepare(&d->matching);
    mem_zero(d->figures, sizeof *d->figures);
    mem_zero(d->no_sample, sizeof(real) * (size_t)d->split.largest);
    return band_energy_prepare(&d->energy, d->split.batch);
}

void distill_step_fresh(struct distill_step *d) {
    optimiser_start(&d->student);
    distribution_matching_fresh(&d->matching);
}

/* Rolls the student out for a part of the batch; the critic learns from these rollouts too. */
static int roll_out(struct distill_step *d, const struct batch_part *b, int purpose, uint64_t round, int index) {
    struct params student = optimiser_frozen(&d->student);
    struct rollout_noise noise = {
        .seed = d->seed, .step = round, .purpose = purpose, .sample0 = (long)index * d->split.batch};
    int exit = self_forcing_exit(d->config.exit, d->rollout.rollout.config.steps, d->seed, round);
    TRY(self_forcing_rollout(&d->rollout, &student, &b->part, b->clips, d->rollout.clip, &b->condition, &noise, exit,
                             self_forcing_before(&d->rollout, d->seed, round, index)));
    distribution_matching_show(&d->matching, &b->part, self_forcing_clips(&d->rollout), &b->condition);
    return OK;
}

int distill_critic_rollout(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                           uint64_t round, int index) {
    struct batch_part b;
    for (int i = 0; i < d->split.parts; i++) {
        batch_part(&b, &d->split, i, clips, d->rollout.clip, condition);
        TRY(roll_out(d, &b, RANDOM_CRITIC_ROLLOUT, round, index));
    }
    return OK;
}

/* Adds a part's share of the figures. They lie on the device: the host takes addresses of their fields only. */
static void measure(struct distill_step *d, const struct batch_part *b) {
    int B = b->part.count;
    mean_abs_difference(d->part_distance, d->matching.score.normaliser, d->no_sample, 1, B);
    real_axpby(&d->figures->distance, (real)B / (real)b->part.batch, d->part_distance, 1, 1);
    band_energy_measure(&d->energy, d->figures->made, self_forcing_clips(&d->rollout), B);
    band_energy_measure(&d->energy, d->figures->truth, b->clips, B);
}

int distill_generator_update(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                             uint64_t round, long step) {
    struct params student = optimiser_params(&d->student);
    struct batch_part b;
    optimiser_begin(&d->student);
    mem_zero(d->figures, sizeof *d->figures);
    for (int i = 0; i < d->split.parts; i++) {
        batch_part(&b, &d->split, i, clips, d->rollout.clip, condition);
        student.last = b.part.last;
        TRY(roll_out(d, &b, RANDOM_ROLLOUT, round, 0));
        TRY(distribution_matching_gradient(&d->matching, &b.part, d->g, d->student.loss,
                                           self_forcing_clips(&d->rollout), &b.condition, round));
        TRY(self_forcing_backward(&d->rollout, &student, &b.condition, d->g));
        measure(d, &b);
    }
    return optimiser_step(&d->student, step, 0);
}

int distill_critic_update(struct distill_step *d, uint64_t round, int index, long update) {
    TRY(distribution_matching_critic_update(&d->matching, round, index, update));
    real_axpby(&d->figures->critic_loss, 1, d->matching.critic.loss, 1, 1);
    return OK;
}

/* Sums the figures over the ranks, but for the critic's loss, which is the sum already. */
int distill_step_end(struct distill_step *d, long step) {
    TRY(sharding_add(d->student.shard.all, &d->figures->distance, 1 + 2 * ENERGY_BANDS));
    mailbox_post(&d->mail, step, d->figures);
    return OK;
}

void distill_step_work(const struct distill_step *d, struct step_work *work) {
    const struct score_config *c = &d->config.score;
    struct network_work *student = step_work_trained(work, "student", &d->student);
    int recompute = d->config.stage.recompute;
    student->updates = 1;
    step_work_rollout(work, student, &d->rollout, &d->split, 1 + (c->critic_replay ? 0 : c->critic_ratio));
    step_work_rollout_backward(work, student, &d->rollout, &d->split, recompute);
    distribution_matching_work_gradient(&d->matching, recompute, work);
    distribution_matching_work_critic(&d->matching, recompute, c->critic_ratio, work);
}
