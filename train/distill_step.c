/* distill_step.c: see distill_step.h. The method, in order:

     x   = rollout(student, reference, audio)         self_forcing.h
     g   = dL/dx from teacher and critic at x          score.h
     student  -= AdamW(rollout's gradient of g)
     critic   -= AdamW(flow matching on rollouts)      flow_matching.h */
#include "train/distill_step.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

static int layout_networks(struct distill_step *d, const struct run_config *config, struct arena *state) {
    const struct param_table *table = &d->net->table;
    const struct distill_config *c = &config->distill;
    long critic_updates = c->score.critic_warmup + c->stage.steps * c->score.critic_ratio;
    TRY(optimiser_layout(&d->student, table, &c->stage.optimiser, c->stage.steps, state));
    TRY(optimiser_layout(&d->critic, table, &c->score.critic, critic_updates, state));
    d->teacher = ARENA_TAKE(state, "teacher", elem, table->total);
    return OK;
}

int distill_step_layout(struct distill_step *d, const struct dit *net, const struct run_config *config,
                        struct arena *state, struct arena *activations) {
    d->net = net;
    d->config = config->distill;
    d->seed = (uint64_t)config->seed;
    d->B = config->distill.stage.batch;
    d->F = config->frames;
    enum dit_memory kind = config->distill.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    TRY(layout_networks(d, config, state));
    TRY(self_forcing_layout(&d->rollout, net, &config->rollout, d->B, d->F, activations));
    TRY(score_layout(&d->score, net, &config->distill.score, d->B, d->F, activations));
    TRY(flow_matching_layout(&d->critic_flow, &net->config, d->B, d->F, activations));
    long clip = d->rollout.clip;
    int slots = config->distill.score.critic_replay > 0 ? config->distill.score.critic_replay : 1;
    d->g = ARENA_TAKE(activations, "gradient by the clips", real, (size_t)d->B * clip);
    d->critic_clips = ARENA_TAKE(activations, "critic's clips", real, (size_t)d->B * clip);
    condition_batch_layout(&d->critic_condition, &net->config, d->B, d->F, activations);
    replay_layout(&d->replay, slots, &d->critic_condition, clip, state);
    band_energy_layout(&d->energy, d->B, d->F, net->config.in_channels, d->rollout.size, activations);
    d->figures = ARENA_TAKE(activations, "figures", struct distill_figures, 1);
    d->no_sample = ARENA_TAKE(activations, "zeros", real, d->B);
    mailbox_layout(&d->mail, sizeof *d->figures, activations);

    struct arena_fork fork;
    if (d->acts) dit_acts_free(d->acts);
    arena_fork(activations, &fork);
    TRY(dit_acts_layout(&d->acts, net, d->B, d->F, kind, activations));
    arena_alternative(activations, &fork);
    TRY(self_forcing_acts_layout(&d->rollout, kind, activations));
    arena_join(activations, &fork);
    return OK;
}

void distill_step_free(struct distill_step *d) {
    if (d->acts) dit_acts_free(d->acts);
    self_forcing_free(&d->rollout);
    score_free(&d->score);
    flow_matching_free(&d->critic_flow);
    optimiser_free(&d->student);
    optimiser_free(&d->critic);
    mailbox_free(&d->mail);
    memset(d, 0, sizeof *d);
}

int distill_step_prepare(struct distill_step *d) {
    flow_matching_prepare(&d->critic_flow);
    mem_zero(d->figures, sizeof *d->figures);
    mem_zero(d->no_sample, sizeof(real) * (size_t)d->B);
    return band_energy_prepare(&d->energy);
}

void distill_step_fresh(struct distill_step *d) {
    optimiser_start(&d->student);
    optimiser_start(&d->critic);
    replay_clear(&d->replay);
}

/* A network's weights alone: no gradient by them is wanted. */
static struct params frozen(const struct distill_step *d, elem *weights) {
    return (struct params){.table = &d->net->table, .weights = weights};
}

static int roll_out(struct distill_step *d, const real *clips, const struct condition_batch *condition, int purpose,
                    uint64_t round, int index) {
    struct params student = frozen(d, d->student.weights);
    struct rollout_noise noise = {.seed = d->seed, .step = round, .purpose = purpose, .sample0 = (long)index * d->B};
    int exit = self_forcing_exit(d->config.exit, d->rollout.rollout.config.steps, d->seed, round);
    TRY(self_forcing_rollout(&d->rollout, &student, clips, d->rollout.clip, condition, &noise, exit));
    replay_push(&d->replay, d->rollout.x, condition);
    return OK;
}

int distill_critic_rollout(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                           uint64_t round, int index) {
    return roll_out(d, clips, condition, RANDOM_CRITIC_ROLLOUT, round, index);
}

/* Figures of the rollout; the critic's loss is added to by its updates. Addresses inside a device struct. */
static void measure(struct distill_step *d, const real *clips) {
    mem_zero(d->figures, sizeof *d->figures);
    mean_abs_difference(&d->figures->distance, d->score.normaliser, d->no_sample, 1, d->B);
    band_energy_measure(&d->energy, d->figures->made, d->rollout.x);
    band_energy_measure(&d->energy, d->figures->truth, clips);
}

int distill_generator_update(struct distill_step *d, const real *clips, const struct condition_batch *condition,
                             uint64_t round, long step) {
    struct params teacher = frozen(d, d->teacher), critic = frozen(d, d->critic.weights);
    struct params student = optimiser_params(&d->student);
    struct step_random random = {.seed = d->seed, .step = round};
    optimiser_begin(&d->student);
    TRY(roll_out(d, clips, condition, RANDOM_ROLLOUT, round, 0));
    TRY(score_gradient(&d->score, d->g, d->student.loss, d->rollout.x, condition, &teacher, &critic, d->acts, &random));
    TRY(self_forcing_backward(&d->rollout, &student, condition, d->g));
    optimiser_step(&d->student, step, 0);
    measure(d, clips);
    return OK;
}

/* Which of the rollouts kept a critic update takes: the newest when fresh ones are made for each. */
static int critic_slot(const struct distill_step *d, uint64_t round, int index) {
    struct random_address address = {
        .seed = d->seed, .step = round, .purpose = RANDOM_CRITIC_NOISE, .pass = 255, .frame = (uint32_t)index};
    return (int)random_below(&address, 0, replay_filled(&d->replay));
}

int distill_critic_update(struct distill_step *d, uint64_t round, int index, long update) {
    struct params critic = optimiser_params(&d->critic);
    struct step_random random = {.seed = d->seed, .step = round, .pass = index};
    replay_draw(&d->replay, critic_slot(d, round, index), d->critic_clips, &d->critic_condition);
    optimiser_begin(&d->critic);
    TRY(flow_matching_gradient(&d->critic_flow, d->net, &critic, d->acts, d->critic_clips, &d->critic_condition,
                               &d->config.score.level, RANDOM_CRITIC_NOISE, &random, d->critic.loss));
    optimiser_step(&d->critic, update, 0);
    real_axpby(&d->figures->critic_loss, 1, d->critic.loss, 1, 1);
    return OK;
}

void distill_step_end(struct distill_step *d, long step) { mailbox_post(&d->mail, step, d->figures); }
