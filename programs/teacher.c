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
    struct sharded shown; /* the averaged weights, for samples and measures */
    /* The loss on held-out clips, only with teacher.best_every. */
    struct flow_matching judged;
    struct dit_acts *judged_acts;
    real *judged_loss; /* device [1] */
};

static int layout_measure(struct program *p, struct arena *activations) {
    const struct run_config *c = &p->stage.config;
    struct batch_split split;
    if (!stage_measures(&p->stage)) return OK;
    TRY(batch_split_of(&split, c->samples, 1, 0, 1)); /* all ranks measure the same clips */
    TRY(flow_matching_layout(&p->judged, &c->model, &split, c->frames, activations));
    p->judged_loss = ARENA_TAKE(activations, "loss of held-out clips", real, 1);
    if (p->judged_acts) dit_acts_free(p->judged_acts);
    return dit_acts_layout(&p->judged_acts, &p->stage.net, c->samples, c->frames, DIT_FORWARD_ONLY, activations);
}

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
    TRY(layout_measure(p, activations));
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

static int measure_batch(void *user, const struct device_batch *clips, int number) {
    struct program *p = user;
    const struct stage *s = &p->stage;
    const struct params params = shard_frozen(&p->shown);
    const struct step_random random = {.seed = (uint64_t)s->config.seed, .step = (uint64_t)number};
    const struct part part = part_whole(s->shown);
    return flow_matching_loss(&p->judged, &s->net, &params, p->judged_acts, clips->clips, &clips->condition, &part,
                              &s->config.teacher.level, RANDOM_CLIP_NOISE, &random, p->judged_loss);
}

/* The loss on held-out clips at levels and noise that are always the same: a sum over batches. */
static int measure(void *self, double *value) {
    struct program *p = self;
    real loss;
    optimiser_average(&p->step.optimiser, &p->shown);
    flow_matching_prepare(&p->judged);
    mem_zero(p->judged_loss, sizeof loss);
    TRY(stage_each_held_out(&p->stage, measure_batch, p));
    shard_settle(&p->shown); /* its memory serves others now */
    mem_download(&loss, p->judged_loss, sizeof loss);
    *value = (double)loss / stage_held_out_batches(&p->stage);
    return device_sync();
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
    flow_matching_free(&p->judged);
    if (p->judged_acts) dit_acts_free(p->judged_acts);
}

static const struct stage_program program = STAGE_PROGRAM(teacher, teacher, .work = work, .measure = measure);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
