/* teacher_step.c: see teacher_step.h. */
#include "train/teacher_step.h"

#include <string.h>

#include "base/error.h"

int teacher_step_layout(struct teacher_step *s, const struct dit *net, const struct teacher_config *config, int F,
                        uint64_t seed, struct arena *state, struct arena *activations) {
    s->net = net;
    s->config = *config;
    s->seed = seed;
    TRY(optimiser_layout(&s->optimiser, "teacher", &net->table, &config->stage.optimiser, config->stage.steps, state));
    return flow_matching_layout(&s->flow, &net->config, config->stage.batch, F, activations);
}

int teacher_step_acts_layout(struct teacher_step *s, struct arena *arena) {
    enum dit_memory kind = s->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    if (s->acts) dit_acts_free(s->acts);
    return dit_acts_layout(&s->acts, s->net, s->flow.B, s->flow.F, kind, arena);
}

void teacher_step_free(struct teacher_step *s) {
    if (s->acts) dit_acts_free(s->acts);
    flow_matching_free(&s->flow);
    optimiser_free(&s->optimiser);
    memset(s, 0, sizeof *s);
}

void teacher_step_prepare(struct teacher_step *s) { flow_matching_prepare(&s->flow); }

void teacher_step_fresh(struct teacher_step *s) {
    params_initialise(s->optimiser.master, &s->net->table, s->seed);
    optimiser_start(&s->optimiser);
}

int teacher_step_run(struct teacher_step *s, const real *clips, const struct condition_batch *condition, long step) {
    struct params params = optimiser_params(&s->optimiser);
    struct step_random random = {.seed = s->seed, .step = (uint64_t)step};
    optimiser_begin(&s->optimiser);
    TRY(flow_matching_gradient(&s->flow, s->net, &params, s->acts, clips, condition, &s->config.level,
                               RANDOM_CLIP_NOISE, &random, s->optimiser.loss));
    optimiser_step(&s->optimiser, step, 0);
    return OK;
}
