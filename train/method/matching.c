/* matching.c: see matching.h. */
#include "train/method/matching.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

int matching_layout(struct matching *m, const struct step_setup *setup, const struct score_config *config,
                    const struct share *share, long critic_updates, struct arena *state, struct arena *activations) {
    const struct dit *net = setup->net;
    const struct param_table *table = &net->table;
    struct sharding *shards = setup->shards;
    int slots = config->critic_replay > 0 ? config->critic_replay : 1, F = setup->F;
    m->net = net;
    m->config = *config;
    m->seed = setup->seed;
    m->share = *share;
    TRY(shard_layout_frozen(&m->teacher.shard, "teacher", table, shards, state));
    optimiser_share(&m->critic, &m->teacher);
    TRY(optimiser_layout(&m->critic, "critic", table, &config->critic, critic_updates, shards, state));
    TRY(score_layout(&m->score, net, config, share, F, activations));
    TRY(flow_matching_layout(&m->flow, &net->config, share, F, activations));
    m->clips = ARENA_TAKE(activations, "critic's clips", real, (size_t)share->largest * m->score.clip);
    condition_batch_layout(&m->condition, &net->config, share->largest, F, activations);
    replay_layout(&m->replay, slots, share->count, &m->condition, m->score.clip, state);
    return OK;
}

int matching_acts_layout(struct matching *m, enum dit_memory memory, struct arena *arena) {
    if (m->acts) dit_acts_free(m->acts);
    return dit_acts_layout(&m->acts, m->net, m->share.largest, m->score.F, memory, arena);
}

void matching_free(struct matching *m) {
    if (m->acts) dit_acts_free(m->acts);
    score_free(&m->score);
    flow_matching_free(&m->flow);
    optimiser_free(&m->critic);
    shard_free(&m->teacher.shard);
    memset(m, 0, sizeof *m);
}

void matching_prepare(struct matching *m) { flow_matching_prepare(&m->flow); }

void matching_fresh(struct matching *m) {
    optimiser_start(&m->critic);
    replay_clear(&m->replay);
}

void matching_show(struct matching *m, const struct part *part, const real *x,
                   const struct condition_batch *condition) {
    replay_push(&m->replay, part, x, condition);
}

int matching_gradient(struct matching *m, const struct part *part, real *g, real *loss, const real *x,
                      const struct condition_batch *condition, uint64_t round) {
    struct params teacher = shard_frozen(&m->teacher.shard), critic = optimiser_frozen(&m->critic);
    struct step_random random = {.seed = m->seed, .step = round};
    return score_gradient(&m->score, g, loss, x, condition, &teacher, &critic, m->acts, part, &random);
}

/* Which of the rollouts kept an update takes: of a round's all are seen, the newest first, before one comes again. */
static int critic_slot(const struct matching *m, uint64_t round, int index) {
    struct random_address address = {.seed = m->seed, .step = round, .purpose = RANDOM_CRITIC_NOISE, .pass = 255};
    return replay_slot(&m->replay, random_below(&address, 0, m->replay.slots), index);
}

int matching_critic_update(struct matching *m, uint64_t round, int index, long update) {
    struct params critic = optimiser_params(&m->critic);
    struct step_random random = {.seed = m->seed, .step = round, .pass = index, .level_pass = index};
    int slot = critic_slot(m, round, index);
    optimiser_begin(&m->critic);
    for (int i = 0; i < m->share.parts; i++) {
        struct part part = share_part(&m->share, i);
        critic.last = part.last;
        replay_draw(&m->replay, slot, &part, m->clips, &m->condition);
        TRY(flow_matching_gradient(&m->flow, m->net, &critic, m->acts, m->clips, &m->condition, &part, &m->config.level,
                                   RANDOM_CRITIC_NOISE, &random, m->critic.loss));
    }
    return optimiser_step(&m->critic, update, 0);
}

void matching_work_gradient(const struct matching *m, int recompute, struct step_work *work) {
    const struct dit_config *c = &m->net->config;
    struct network_work *teacher = step_work_network(work, "teacher", &m->net->table);
    struct network_work *critic = step_work_trained(work, "critic", &m->critic);
    const struct score_loss *loss = m->score.loss;
    int guided = 1 + (m->config.guidance != 1), F = m->score.F;
    step_work_clips(work, teacher, c, &m->share, F, WORK_FORWARD, 0, guided * loss->forwards);
    step_work_clips(work, critic, c, &m->share, F, WORK_FORWARD, 0, loss->forwards);
    step_work_clips(work, teacher, c, &m->share, F, WORK_BACKWARD_INPUT, recompute, guided * loss->backwards);
    step_work_clips(work, critic, c, &m->share, F, WORK_BACKWARD_INPUT, recompute, loss->backwards);
}

void matching_work_critic(const struct matching *m, int recompute, double updates, struct step_work *work) {
    struct network_work *critic = step_work_trained(work, "critic", &m->critic);
    critic->updates += updates;
    step_work_clips(work, critic, &m->net->config, &m->share, m->score.F, WORK_FORWARD, 0, updates);
    step_work_clips(work, critic, &m->net->config, &m->share, m->score.F, WORK_BACKWARD, recompute, updates);
}
