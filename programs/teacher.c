/* teacher.c: trains the bidirectional teacher.
   usage: teacher CONFIG.yaml [key=value ...] [--plan]
   Starts from random weights or from a Wan checkpoint (teacher.init). Writes RUN/teacher. Metrics: loss (velocity mean
   square), grad_norm, lr, ms, skipped. */
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
    struct sharded shown; /* the averaged weights, for samples */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(teacher_step_layout(&p->step, &p->stage.setup, &c->teacher, state, activations));
    train_state_network(&p->stage.saved, "teacher", &p->step.optimiser);
    train_state_source(&p->stage.saved, "teacher", "teacher.init", c->teacher.init, NULL);
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

static int show(void *self) {
    struct program *p = self;
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

/* Starts from random weights or from a checkpoint's, which are trained whole or through adapters. Audio modules that
   the checkpoint lacks are random with an output of zero, so that the network gives what it gave before, to the last
   bit. */
static int load(void *self, int resumed) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    struct optimiser *o = &p->step.optimiser;
    p->stage.drop_text = c->teacher.drop_text;
    p->stage.drop_audio = c->teacher.drop_audio;
    p->stage.drop_talk = c->teacher.drop_talk;
    p->stage.drop_listen = c->teacher.drop_listen;
    p->stage.far_share = c->teacher.far_reference;
    teacher_step_prepare(&p->step);
    if (resumed) return OK;
    if (!c->teacher.init[0]) {
        if (optimiser_adapted(o))
            return error_set(ERR_USAGE, "lora: adapters of the teacher need a checkpoint to adapt (teacher.init)");
        teacher_step_fresh(&p->step);
        return OK;
    }
    TRY(pretrained_expect(c->teacher.init, &c->model));
    TRY(train_state_load_checkpoint(c->teacher.init, o, (uint64_t)c->seed));
    optimiser_start(o);
    return device_sync();
}

static void free_all(void *self) {
    struct program *p = self;
    teacher_step_free(&p->step);
    sampler_free(&p->sampler);
    shard_free(&p->shown);
}

static const struct stage_program program = STAGE_PROGRAM(teacher, teacher, .work = work);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
