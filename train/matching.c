/* matching.c: see matching.h. */
#include "train/matching.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

int matching_layout(struct matching *m, const struct dit *net, const struct score_config *config, int B, int F,
                    uint64_t seed, long critic_updates, struct arena *state, struct arena *activations) {
    const struct param_table *table = &net->table;
    int slots = config->critic_replay > 0 ? config->critic_replay : 1;
    m->net = net;
    m->config = *config;
    m->seed = seed;
    TRY(optimiser_layout(&m->critic, "critic", table, &config->critic, critic_updates, state));
    m->teacher = ARENA_TAKE(state, "teacher", elem, table->total);
    TRY(score_layout(&m->score, net, config, B, F, activations));
    TRY(flow_matching_layout(&m->flow, &net->config, B, F, activations));
    m->clips = ARENA_TAKE(activations, "critic's clips", real, (size_t)B * m->score.clip);
    condition_batch_layout(&m->condition, &net->config, B, F, activations);
    replay_layout(&m->replay, slots, &m->condition, m->score.clip, state);
    return OK;
}

int matching_acts_layout(struct matching *m, enum dit_memory memory, struct arena *arena) {
    if (m->acts) dit_acts_free(m->acts);
    return dit_acts_layout(&m->acts, m->net, m->score.B, m->score.F, memory, arena);
}

void matching_free(struct matching *m) {
    if (m->acts) dit_acts_free(m->acts);
    score_free(&m->score);
    flow_matching_free(&m->flow);
    optimiser_free(&m->critic);
    memset(m, 0, sizeof *m);
}

void matching_prepare(struct matching *m) { flow_matching_prepare(&m->flow); }

void matching_fresh(struct matching *m) {
    optimiser_start(&m->critic);
    replay_clear(&m->replay);
}

int matching_save_with(struct matching *m, struct train_state *state) {
    train_state_network(state, "critic", &m->critic);
    return replay_save_with(&m->replay, state);
}

void matching_show(struct matching *m, const real *x, const struct condition_batch *condition) {
    replay_push(&m->replay, x, condition);
}

int matching_gradient(struct matching *m, real *g, real *loss, const real *x, const struct condition_batch *condition,
                      uint64_t round) {
    struct params teacher = {.table = &m->net->table, .weights = m->teacher};
    struct params critic = {.table = &m->net->table, .weights = m->critic.weights};
    struct step_random random = {.seed = m->seed, .step = round};
    return score_gradient(&m->score, g, loss, x, condition, &teacher, &critic, m->acts, &random);
}

/* Which of the rollouts kept an update takes. */
static int critic_slot(const struct matching *m, uint64_t round, int index) {
    struct random_address address = {
        .seed = m->seed, .step = round, .purpose = RANDOM_CRITIC_NOISE, .pass = 255, .frame = (uint32_t)index};
    return (int)random_below(&address, 0, replay_filled(&m->replay));
}

int matching_critic_update(struct matching *m, uint64_t round, int index, long update) {
    struct params critic = optimiser_params(&m->critic);
    struct step_random random = {.seed = m->seed, .step = round, .pass = index};
    replay_draw(&m->replay, critic_slot(m, round, index), m->clips, &m->condition);
    optimiser_begin(&m->critic);
    TRY(flow_matching_gradient(&m->flow, m->net, &critic, m->acts, m->clips, &m->condition, &m->config.level,
                               RANDOM_CRITIC_NOISE, &random, m->critic.loss));
    optimiser_step(&m->critic, update, 0);
    return OK;
}
