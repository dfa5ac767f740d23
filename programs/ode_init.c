/* ode_init.c: initialises the causal student: records the teacher's trajectories and regresses the student on them, or
   trains it by consistency between noised clips and one step of the teacher's solver (ode_init.loss).
   usage: ode_init CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/ode_init and, with trajectories, RUN/ode_init/trajectories. Metrics: loss (mean square of x0 against the
   trajectory's end, or against the average's x0 one step lower), grad_norm, lr, ms, skipped; with consistency energy_0
   .. energy_3 (latent energy of those targets over the clips', coarse to fine). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/dit/sampler.h"
#include "train/method/ode_step.h"
#include "train/stage/student_show.h"
#include "train/state/trajectories.h"

struct program {
    struct stage stage;
    struct ode_step step;
    struct sampler sampler;
    struct student_show show;
    struct trajectory_store store;
    struct frozen_weights teacher;
    int batches; /* number of recorded batches */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(ode_step_layout(&p->step, &p->stage.setup, &c->ode_init, state, activations));
    TRY(shard_layout_frozen(&p->teacher.shard, "teacher", &p->stage.net.table, &p->stage.shards, state));
    train_state_network(&p->stage.saved, "student", &p->step.student);
    train_state_source(&p->stage.saved, "student", "ode_init.teacher", c->ode_init.teacher, "teacher");
    struct arena_fork fork;
    arena_fork(activations, &fork);
    TRY(ode_step_acts_layout(&p->step, activations));
    arena_alternative(activations, &fork);
    TRY(sampler_layout(&p->sampler, &p->stage.net, &c->ode_init.sampler, p->stage.split.largest, c->frames,
                       activations));
    arena_alternative(activations, &fork);
    TRY(student_show_layout(&p->show, &p->stage, activations));
    arena_join(activations, &fork);
    return OK;
}

/* ---- recording ---- */

/* Number of elements from one level's states to the next level's: the rank's samples lie between. */
static size_t level_stride(const struct program *p) { return (size_t)p->stage.split.count * p->store.values; }

static void keep_state(struct program *p, const struct part *part, int level) {
    real *to = p->step.states + (size_t)level * level_stride(p) + (size_t)part->first * p->store.values;
    mem_copy(to, p->sampler.x, sizeof(real) * (size_t)part->count * p->store.values);
}

/* Samples a part of a batch with the teacher and keeps its states at the student's levels and at the end. */
static int record_part(struct program *p, const struct batch_part *b, const int *steps) {
    const struct params teacher = shard_frozen(&p->teacher.shard);
    int levels = p->store.levels, level = 0;
    sampler_batch(&p->sampler, b->part.count);
    sampler_begin(&p->sampler, b->clips, p->sampler.clip, p->stage.setup.seed, 1 + (uint64_t)p->stage.batches,
                  b->part.sample0);
    for (int i = 0; i < p->sampler.config.steps; i++) {
        if (level < levels && steps[level] == i) keep_state(p, &b->part, level++);
        TRY(sampler_step(&p->sampler, &teacher, &b->condition, i));
    }
    keep_state(p, &b->part, levels);
    return OK;
}

/* Number of the rank's clip i of a recorded batch. */
static long clip_number(const struct program *p, int batch, int i) {
    return (long)batch * p->stage.split.batch + p->stage.split.first + i;
}

static int record_batch(struct program *p, int number, const int *steps) {
    struct stage *s = &p->stage;
    struct batch_part b;
    TRY(stage_next_batch(s));
    for (int i = 0; i < s->split.parts; i++) {
        batch_part(&b, &s->split, i, s->clips, p->sampler.clip, &s->condition);
        TRY(record_part(p, &b, steps));
    }
    for (int i = 0; i < s->split.count && sharding_speaks(&s->shards); i++) {
        condition_batch_part(&b.condition, &s->condition, i, 1);
        TRY(trajectory_store_write(&p->store, clip_number(p, number, i), p->step.states + (size_t)i * p->store.values,
                                   level_stride(p), &b.condition));
    }
    return OK;
}

/* Finds the number of batches that every rank sees whole on the disk. */
static int recorded(struct program *p, int *count) {
    double least = trajectory_store_count(&p->store);
    TRY(comm_values(&p->stage.comm, COMM_MIN, &least, 1));
    *count = (int)least;
    return OK;
}

static int records(const struct program *p) { return p->stage.config.ode_init.loss == ODE_LOSS_TRAJECTORIES; }

static int record(void *self) {
    struct program *p = self;
    int steps[ROLLOUT_STEPS_MAX] = {0}, done;
    struct progress progress;
    if (!records(p)) return OK;
    TRY(recorded(p, &done));
    if (done >= p->batches) return OK;
    TRY(trajectory_steps(&p->stage.config, &p->sampler, steps));
    progress_begin(&progress, "trajectories", p->batches, done);
    for (int n = done; n < p->batches && !stage_stopped(&p->stage); n++) {
        TRY(record_batch(p, n, steps));
        progress_update(&progress, n + 1, "");
    }
    TRY(recorded(p, &done)); /* a collective: nobody reads before all have written */
    progress_end(&progress, done, "");
    return OK;
}

/* ---- regression ---- */

static int read_batch(struct program *p) {
    const struct stage *s = &p->stage;
    long clips = (long)p->batches * s->split.batch;
    struct condition_batch one;
    for (int i = 0; i < s->split.count; i++) {
        long clip = ode_step_clip(&p->step, (long)s->step, s->split.first + i, (long)s->rollbacks, clips);
        condition_batch_part(&one, &s->condition, i, 1);
        TRY(trajectory_store_read(&p->store, clip, p->step.states + (size_t)i * p->store.values, level_stride(p),
                                  &one));
    }
    return OK;
}

static void work(const void *self, struct step_work *to) {
    const struct program *p = self;
    ode_step_work(&p->step, &p->sampler, to);
}

static int report(void *self, long step) {
    struct program *p = self;
    struct optimiser_report account;
    struct ode_figures figures;
    struct metric list[ENERGY_BANDS];
    optimiser_report(&p->step.student, step, &account);
    if (records(p)) return stage_report(&p->stage, step, &account, NULL, 0);
    if (!mailbox_read(&p->step.mail, step, &figures))
        return error_set(ERR_DEVICE, "figures of step %ld are lost", step);
    for (int i = 0; i < p->step.energy.bands; i++)
        list[i] = (struct metric){band_energy_names[i], (double)figures.made[i] / (double)figures.truth[i]};
    return stage_report(&p->stage, step, &account, list, p->step.energy.bands);
}

/* Takes a batch of the data set and one step of the teacher's solver from it. */
static int make_pairs(struct program *p) {
    const struct params teacher = shard_frozen(&p->teacher.shard);
    struct stage *s = &p->stage;
    TRY(stage_next_batch(s));
    return ode_step_pairs(&p->step, &p->sampler, &teacher, s->clips, &s->condition, (long)s->step);
}

static int one_step(void *self) {
    struct program *p = self;
    TRY(records(p) ? read_batch(p) : make_pairs(p));
    return ode_step_run(&p->step, &p->stage.condition, (long)p->stage.step);
}

static int show(void *self) {
    struct program *p = self;
    return student_show_run(&p->show, &p->stage, "causal", &p->step.student);
}

static int measure(void *self, double *value) {
    struct program *p = self;
    return student_show_measure(&p->show, &p->stage, &p->step.student, value);
}

/* Reads the teacher and, at the first start, the student's weights, which are the teacher's average. */
static int load(void *self, int resumed) {
    struct program *p = self;
    struct stage *s = &p->stage;
    const struct ode_init_config *c = &s->config.ode_init;
    p->batches = (c->trajectories + c->stage.batch - 1) / c->stage.batch;
    TRY(ode_step_prepare(&p->step));
    TRY(stage_load_frozen(s, c->teacher, "teacher", "teacher", &p->teacher));
    if (!resumed) {
        TRY(stage_load_master(s, c->teacher, "teacher", "teacher", WEIGHTS_AVERAGE, &p->step.student));
        optimiser_start(&p->step.student);
    }
    if (!records(p)) return OK;
    int done;
    TRY(trajectory_store_open(&p->store, s->folder.path, &s->config));
    TRY(recorded(p, &done));
    s->batches = done;
    return OK;
}

static void free_all(void *self) {
    struct program *p = self;
    trajectory_store_close(&p->store);
    ode_step_free(&p->step);
    sampler_free(&p->sampler);
    shard_free(&p->teacher.shard);
    student_show_free(&p->show);
}

static const struct stage_program program =
    STAGE_PROGRAM(ode_init, ode_init, .work = work, .measure = measure, .warm_up = record);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
