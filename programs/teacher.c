/* teacher.c: trains the bidirectional teacher.
   usage: teacher CONFIG.yaml [key=value ...] [--plan]
   Starts from random weights or from a Wan checkpoint (teacher.init). Writes RUN/teacher. Metrics: loss (velocity mean square), grad_norm, lr, ms, skipped. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/pretrained.h"
#include "kernels/device.h"
#include "model/dit/sampler.h"
#include "train/stage/stage.h"
#include "train/method/teacher_step.h"

struct program {
    struct stage stage;
    struct teacher_step step;
    struct sampler sampler;
    struct sharded shown; /* the average, for samples */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(teacher_step_layout(&p->step, &p->stage.net, &c->teacher, c->frames, (uint64_t)c->seed, &p->stage.shards, state,
                            activations));
    train_state_network(&p->stage.saved, "teacher", &p->step.optimiser);
    struct arena_fork fork;
    arena_fork(activations, &fork);
    TRY(teacher_step_acts_layout(&p->step, activations));
    arena_alternative(activations, &fork);
    TRY(shard_layout_frozen(&p->shown, "samples", &p->stage.net.table, &p->stage.shards, activations));
    TRY(sampler_layout(&p->sampler, &p->stage.net, &c->teacher.sampler, c->samples, c->frames, activations));
    arena_join(activations, &fork);
    return OK;
}

static void work(const void *self, struct step_work *to) {
    teacher_step_work(&((const struct program *)self)->step, to);
}

static int report(void *self, long step) {
    struct program *p = self;
    struct optimiser_report account;
    optimiser_report(&p->step.optimiser, step, &account);
    return stage_report(&p->stage, step, &account, NULL, 0);
}

static int show(struct program *p) {
    struct stage *s = &p->stage;
    long clip = p->sampler.clip;
    optimiser_average(&p->step.optimiser, &p->shown);
    struct params params = shard_frozen(&p->shown);
    sampler_begin(&p->sampler, s->held_out.clips, clip, (uint64_t)s->config.seed, 0, 0);
    TRY(sampler_run(&p->sampler, &params, &s->held_out.condition));
    shard_settle(&p->shown); /* its memory serves others now */
    return stage_show(s, "teacher", p->sampler.x);
}

static int one_step(void *self) {
    struct program *p = self;
    TRY(stage_next_batch(&p->stage));
    return teacher_step_run(&p->step, p->stage.clips, &p->stage.condition, (long)p->stage.step);
}

static int keep(void *self) {
    struct program *p = self;
    struct stage *s = &p->stage;
    if (stage_save_due(s)) TRY(stage_save(s));
    return stage_sample_due(s) ? show(p) : OK;
}

/* Random weights, or those of a transformer that is there already, whole or to adapt. Audio modules that it lacks are random
   with an output of zero: the network gives what it gave before, to the last bit. */
static int start_fresh(struct program *p) {
    const struct run_config *c = &p->stage.config;
    struct optimiser *o = &p->step.optimiser;
    if (!c->teacher.init[0]) {
        if (optimiser_adapted(o))
            return error_set(ERR_USAGE, "lora: adapters of the teacher need teacher.init to adapt");
        teacher_step_fresh(&p->step);
        return OK;
    }
    TRY(pretrained_expect(c->teacher.init, &c->model));
    TRY(train_state_load_checkpoint(c->teacher.init, o, (uint64_t)c->seed));
    optimiser_start(o);
    return device_sync();
}

static int run(struct program *p, int argc, char **argv, int *exit_code) {
    struct stage_options options = {.name = "teacher",
                                    .does = "Trains the bidirectional teacher by flow matching.",
                                    .work = work,
                                    .settings = offsetof(struct run_config, teacher.stage)};
    const struct stage_steps steps = {p, one_step, report, keep};
    int go_on, resumed;
    TRY(stage_open(&p->stage, &options, argc, argv, &go_on));
    if (!go_on) return OK;
    p->stage.options.drop_text = p->stage.config.teacher.drop_text;
    p->stage.options.drop_audio = p->stage.config.teacher.drop_audio;
    TRY(stage_memory(&p->stage, layout, p));
    if (p->stage.plan) return OK;
    teacher_step_prepare(&p->step);
    train_state_source(&p->stage.saved, "teacher", "teacher.init", p->stage.config.teacher.init, NULL);
    TRY(stage_begin(&p->stage, &resumed));
    if (!resumed) TRY(start_fresh(p));
    TRY(stage_ready(&p->stage));
    TRY(stage_train(&p->stage, &steps));
    return stage_finish(&p->stage, exit_code);
}

int main(int argc, char **argv) {
    static struct program p;
    int exit_code = 0, code = run(&p, argc, argv, &exit_code);
    stage_settle(&p.stage);
    teacher_step_free(&p.step);
    sampler_free(&p.sampler);
    shard_free(&p.shown);
    return stage_close(&p.stage, code, exit_code);
}
