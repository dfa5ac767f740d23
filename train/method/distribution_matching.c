/* distribution_matching.c: see distribution_matching.h. */
#include "train/method/distribution_matching.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

int distribution_matching_layout(struct distribution_matching *m, const struct step_setup *setup,
                                 const struct score_config *config, const struct batch_split *split,
                                 long critic_updates, struct arena *state, struct arena *activations) {
    const struct dit *net = setup->net;
    const struct param_table *table = &net->table;
    struct sharding *shards = setup->shards;
    int slots = config->critic_replay > 0 ? config->critic_replay : 1, F = setup->F;
    m->net = net;
    m->config = *config;
    m->seed = setup->seed;
    m->split = *split;
    TRY(shard_layout_frozen(&m->teacher.shard, "teacher", table, shards, state));
    optimiser_share(&m->critic, &m->teacher);
    TRY(optimiser_layout(&m->critic, "critic", table, &config->critic, critic_updates, shards, state));
    TRY(score_layout(&m->score, net, config, split, F, activations));
    TRY(flow_matching_layout(&m->flow, &net->config, split, F, activations));
    m->clips = ARENA_TAKE(activations, "critic's clips", real, (size_t)split->largest * m->score.clip);
    condition_batch_layout(&m->condition, &net->config, NULL, split->largest, F, activations);
    replay_layout(&m->replay, slots, split->count, &m->condition, m->score.clip, state);
    return OK;
}

int distribution_matching_acts_layout(struct distribution_matching *m, enum dit_memory memory, struct arena *arena) {
    if (m->acts) dit_acts_free(m->acts);
    return dit_acts_layout(&m->acts, m->net, m->split.largest, m->score.F, memory, arena);
}

void distribution_matching_free(struct distribution_matching *m) {
    if (m->acts) dit_acts_free(m->acts);
    score_free(&m->score);
    flow_matching_free(&m->flow);
    optimiser_free(&m->critic);
    shard_free(&m->teacher.shard);
    memset(m, 0, sizeof *m);
}

void distribution_matching_prepare(struct distribution_matching *m) { flow_matching_prepare(&m->flow); }

void distribution_matching_fresh(struct distribution_matching *m) {
    optimiser_start(&m->critic);
    replay_clear(&m->replay);
}

void distribution_matching_show(struct distribution_matching *m, const struct part *part, const real *x,
                                const struct condition_batch *condition) {
    replay_push(&m->replay, part, x, condition);
}

int distribution_matching_gradient(struct distribution_matching *m, const struct part *part, real *g, real *loss,
                                   const real *x, const struct condition_batch *condition, uint64_t round) {
    struct params teacher = shard_frozen(&m->teacher.shard), critic = optimiser_frozen(&m->critic);
    struct step_random random = {.seed = m->seed, .step = round};
    return score_gradient(&m->score, g, loss, x, condition, &teacher, &critic, m->acts, part, &random);
}

/* Slot of the rollout that an update takes. The updates of a round take the newest first and all before one comes
   again. */
static int critic_slot(const struct distribution_matching *m, uint64_t round, int index) {
    struct random_address address = {.seed = m->seed, .step = round, .purpose = RANDOM_CRITIC_NOISE, .pass = 255};
    return replay_slot(&m->replay, random_below(&address, 0, m->replay.slots), index);
}

int distribution_matching_critic_update(struct distribution_matching *m, uint64_t round, int index, long update) {
    struct params critic = optimiser_params(&m->critic);
    struct step_random random = {.seed = m->seed, .step = round, .pass = index, .level_pass = index};
    int slot = critic_slot(m, round, index);
    optimiser_begin(&m->critic);
    for (int i = 0; i < m->split.parts; i++) {
        struct part part = batch_split_part(&m->split, i);
        critic.last = part.last;
        replay_draw(&m->replay, slot, &part, m->clips, &m->condition);
        TRY(flow_matching_gradient(&m->flow, m->net, &critic, m->acts, m->clips, &m->condition, &part, &m->config.level,
                                   RANDOM_CRITIC_NOISE, &random, m->critic.loss));
    }
    return optimiser_step(&m->critic, update, 0);
}

void distribution_matching_work_gradient(const struct distribution_matching *m, int recompute, struct step_work *work) {
    const struct dit_config *c = &m->net->config;
    struct network_work *teacher = step_work_network(work, "teacher", &m->net->table);
    struct network_work *critic = step_work_trained(work, "critic", &m->critic);
    const struct score_loss *loss = m->score.loss;
    int guided = 1 + (m->config.guidance != 1), F = m->score.F;
    step_work_clips(work, teacher, c, &m->split, F, WORK_FORWARD, 0, guided * loss->forwards);
    step_work_clips(work, critic, c, &m->split, F, WORK_FORWARD, 0, loss->forwards);
    step_work_clips(work, teacher, c, &m->split, F, WORK_BACKWARD_INPUT, recompute, guided * loss->backwards);
    step_work_clips(work, critic, c, &m->split, F, WORK_BACKWARD_INPUT, recompute, loss->backwards);
}

void distribution_matching_work_critic(const struct distribution_matching *m, int recompute, double updates,
                                       struct step_work *work) {
    struct network_work *critic = step_work_trained(work, "critic", &m->critic);
    critic->updates += updates;
    step_work_clips(work, critic, &m->net->config, &m->split, m->score.F, WORK_FORWARD, 0, updates);
    step_work_clips(work, critic, &m->net->config, &m->split, m->score.F, WORK_BACKWARD, recompute, updates);
}
