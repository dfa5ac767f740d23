/* teacher_step.c: see teacher_step.h. */
#include "train/method/teacher_step.h"

#include <string.h>

#include "base/error.h"

/* ---- settings ---- */

#define FIELDS_OF struct teacher_config
static const struct config_field fields[] = {
    STAGE_KEYS("teacher", stage, "1600", "16"),
    OPTIMISER_KEYS("teacher.optimiser", stage.optimiser, "1e-3", "0.9", "0.99", "0.01", "1", "100", "250", "0.995"),
    TEXT("teacher.init", init, "", "Wan checkpoint to start from, a file or folder; empty: random weights."),
    LEVEL_KEYS("teacher.level", level, "shifted_uniform", "5", "0", "1"),
    REAL("teacher.drop_text", drop_text, 0, 1, "0",
         "Share of samples whose text is dropped, which guidance by text needs."),
    REAL("teacher.drop_audio", drop_audio, 0, 1, "0.1",
         "Share of samples whose sound is dropped, which guidance by sound needs."),
    REAL("teacher.drop_talk", drop_talk, 0, 1, "0",
         "Share of samples whose own speech alone is dropped besides; with drop_listen it lets guidance treat the two "
         "sounds apart."),
    REAL("teacher.drop_listen", drop_listen, 0, 1, "0",
         "Share of samples whose other party's sound alone is dropped besides."),
    REAL("teacher.far_reference", far_reference, 0, 1, "0",
         "Share of samples whose reference comes from another moment of their shot. A teacher needs it that judges "
         "rollouts beyond a clip (distill.frames), whose last window does not follow the reference."),
    SAMPLER_KEYS("teacher.sampler", sampler, "16", "3", "2"),
};

static int check(const void *c) { return level_check("teacher.level", &((const FIELDS_OF *)c)->level); }

SECTION(teacher, "Trains the bidirectional teacher by flow matching.", "negative lora", check,
        TRAINS("teacher", stage.optimiser));

/* ---- memory ---- */

int teacher_step_layout(struct teacher_step *s, const struct step_setup *setup, const struct teacher_config *config,
                        struct arena *state, struct arena *activations) {
    const struct stage_config *c = &config->stage;
    s->net = setup->net;
    s->config = *config;
    s->seed = setup->seed;
    TRY(sharding_batch_split(setup->shards, &s->split, c->batch, c->accumulate));
    TRY(optimiser_layout(&s->optimiser, "teacher", &s->net->table, &c->optimiser, c->steps, setup->shards, state));
    return flow_matching_layout(&s->flow, &s->net->config, &s->split, setup->F, activations);
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
    optimiser_initialise(&s->optimiser, s->seed);
    optimiser_start(&s->optimiser);
}

int teacher_step_run(struct teacher_step *s, const real *clips, const struct condition_batch *condition, long step) {
    struct params params = optimiser_params(&s->optimiser);
    struct step_random random = {.seed = s->seed, .step = (uint64_t)step};
    struct batch_part b;
    optimiser_begin(&s->optimiser);
    for (int i = 0; i < s->split.parts; i++) {
        batch_part(&b, &s->split, i, clips, s->flow.clip, condition);
        params.last = b.part.last;
        TRY(flow_matching_gradient(&s->flow, s->net, &params, s->acts, b.clips, &b.condition, &b.part, &s->config.level,
                                   RANDOM_CLIP_NOISE, &random, s->optimiser.loss));
    }
    return optimiser_step(&s->optimiser, step, 0);
}

void teacher_step_work(const struct teacher_step *s, struct step_work *work) {
    struct network_work *n = step_work_trained(work, "teacher", &s->optimiser);
    const struct dit_config *c = &s->net->config;
    n->updates = 1;
    step_work_clips(work, n, c, &s->split, s->flow.F, WORK_FORWARD, 0, 1);
    step_work_clips(work, n, c, &s->split, s->flow.F, WORK_BACKWARD, s->config.stage.recompute, 1);
}
