/* distill_step.c: see distill_step.h. The method, in order:

     x = rollout(student, reference, audio)              self_forcing.h
     g = dL/dx from teacher and critic at x              matching.h, score.h
     student -= AdamW(gradient of the rollout along g)   self_forcing.h
     critic  -= AdamW(flow matching on rollouts)         matching.h, flow_matching.h */
#include "train/distill_step.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

int distill_step_layout(struct distill_step *d, const struct dit *net, const struct run_config *config,
                        struct arena *state, struct arena *activations) {
    const struct distill_config *c = &config->distill;
    long critic_updates = c->score.critic_warmup + c->stage.steps * c->score.critic_ratio;
    d->net = net;
    d->config = *c;
    d->seed = (uint64_t)config->seed;
    d->B = c->stage.batch;
    d->F = config->frames;
    TRY(optimiser_layout(&d->student, "student", &net->table, &c->stage.optimiser, c->stage.steps, state));
    TRY(self_forcing_layout(&d->rollout, net, &config->rollout, d->B, d->F, activations));
    TRY(matching_layout(&d->matching, net, &c->score, d->B, d->F, d->seed, critic_updates, state, activations));
    d->g = ARENA_TAKE(activations, "gradient by the clips", real, (size_t)d->B * d->rollout.clip);
    band_energy_layout(&d->energy, d->B, d->F, net->config.in_channels, d->rollout.size, activations);
    d->figures = ARENA_TAKE(activations, "figures", struct distill_figures, 1);
    d->no_sample = ARENA_TAKE(activations, "zeros", real, d->B);
    mailbox_layout(&d->mail, sizeof *d->figures, activations);
    return OK;
}

int distill_step_acts_layout(struct distill_step *d, struct arena *arena) {
    enum dit_memory kind = d->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    struct arena_fork fork;
    arena_fork(arena, &fork);
    TRY(matching_acts_layout(&d->matching, kind, arena));
    arena_alternative(arena, &fork);
    TRY(self_forcing_acts_layout(&d->rollout, kind, arena));
    arena_join(arena, &fork);
    return OK;
}

void distill_step_free(struct distill_step *d) {
    self_forcing_free(&d->rollout);
    matching_free(&d->matching);
    optimiser_free(&d->student);
    mailbox_free(&d->mail);
    memset(d, 0, sizeof *d);
}

int distill_step_prepare(struct distill_step *d) {
    matching_prepare(&d->matching);
    mem_zero(d->figures, sizeof *d->figures);
    mem_zero(d->no_sample, sizeof(real) * (size_t)d->B);
    return band_energy_prepare(&d->energy);
}

void distill_step_fresh(struct distill_step *d) {
    optimiser_start(&d->student);
    matching_fresh(&d->matching);
}

/* The student's clip of this batch into rollout.x; the critic learns from it too. */
static int roll_out(struct distill_step *d, const real *clips, const struct condition_batch *condition, int purpose,
                    uint64_t round, int index) {
    struct params student = {.table = &d->net->table, .weights = d->student.weights};
    struct rollout_noise noise = {.seed = d->seed, .step = round, .purpose = purpose, .sample0 = (long)index * d->B};
    int exit = self_forcing_exit(d->config.exit, d->rollout.rollout.config.steps, d->seed, round);
    TRY(self_forcing_rollout(&d->rollout, &student, clips, d->rollout.clip, condition, &noise, exit));
    matching_show(&d->matching, d->rollout.x, condition);
    return OK;
}

int distill_critic_rollout(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                           uint64_t round, int index) {
    return roll_out(d, clips, condition, RANDOM_CRITIC_ROLLOUT, round, index);
}

/* Figures of the rollout; the critic's loss is added to by its updates. Only addresses inside the device struct. */
static void measure(struct distill_step *d, const real *clips) {
    mem_zero(d->figures, sizeof *d->figures);
    mean_abs_difference(&d->figures->distance, d->matching.score.normaliser, d->no_sample, 1, d->B);
    band_energy_measure(&d->energy, d->figures->made, d->rollout.x);
    band_energy_measure(&d->energy, d->figures->truth, clips);
}

int distill_generator_update(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                             uint64_t round, long step) {
    struct params student = optimiser_params(&d->student);
    optimiser_begin(&d->student);
    TRY(roll_out(d, clips, condition, RANDOM_ROLLOUT, round, 0));
    TRY(matching_gradient(&d->matching, d->g, d->student.loss, d->rollout.x, condition, round));
    TRY(self_forcing_backward(&d->rollout, &student, condition, d->g));
    optimiser_step(&d->student, step, 0);
    measure(d, clips);
    return OK;
}

int distill_critic_update(struct distill_step *d, uint64_t round, int index, long update) {
    TRY(matching_critic_update(&d->matching, round, index, update));
    real_axpby(&d->figures->critic_loss, 1, d->matching.critic.loss, 1, 1);
    return OK;
}

void distill_step_end(struct distill_step *d, long step) { mailbox_post(&d->mail, step, d->figures); }
