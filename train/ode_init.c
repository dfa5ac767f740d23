/* ode_init.c: initialises the causal student: records the teacher's trajectories, then regresses the student on them.
   usage: ode_init CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/ode_init and RUN/ode_init/trajectories. Metrics: loss (mean square of x0 against the trajectory's end),
   grad_norm, lr, ms, skipped. */
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "base/philox.h"
#include "model/sampler.h"
#include "train/ode_step.h"
#include "train/student_show.h"
#include "train/trajectories.h"

struct program {
    struct stage stage;
    struct ode_step step;
    struct sampler sampler;
    struct student_show show;
    struct trajectory_store store;
    elem *teacher; /* device [total] */
    int batches;   /* files of trajectories */
    long reported;
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(ode_step_layout(&p->step, &p->stage.net, c, state, activations));
    p->teacher = ARENA_TAKE(state, "teacher", elem, p->stage.net.table.total);
    struct arena_fork fork;
    arena_fork(activations, &fork);
    TRY(ode_step_acts_layout(&p->step, activations));
    arena_alternative(activations, &fork);
    TRY(sampler_layout(&p->sampler, &p->stage.net, &c->ode_init.sampler, c->ode_init.stage.batch, c->frames,
                       activations));
    arena_alternative(activations, &fork);
    TRY(student_show_layout(&p->show, &p->stage, activations));
    arena_join(activations, &fork);
    return OK;
}

/* ---- recording ---- */

static void keep_state(struct program *p, int level) {
    size_t values = p->store.values;
    mem_copy(p->step.states + (size_t)level * values, p->sampler.x, sizeof(real) * values);
}

/* One batch: the states at the student's levels and the end. */
static int record_batch(struct program *p, const int *steps) {
    const struct params teacher = {.table = &p->stage.net.table, .weights = p->teacher};
    int levels = p->store.levels, level = 0;
    sampler_begin(&p->sampler, p->stage.clips, p->sampler.clip, (uint64_t)p->stage.config.seed,
                  1 + (uint64_t)p->stage.batches, 0);
    for (int i = 0; i < p->sampler.config.steps; i++) {
        if (level < levels && steps[level] == i) keep_state(p, level++);
        TRY(sampler_step(&p->sampler, &teacher, &p->stage.condition, i));
    }
    keep_state(p, levels);
    return OK;
}

static int record(struct program *p) {
    int steps[ROLLOUT_STEPS_MAX] = {0}, done = trajectory_store_count(&p->store);
    struct progress progress;
    if (done >= p->batches) return OK;
    TRY(trajectory_steps(&p->stage.config, &p->sampler, steps));
    progress_begin(&progress, "trajectories", p->batches, done);
    for (int n = done; n < p->batches && !stage_stopped(); n++) {
        TRY(stage_next_batch(&p->stage));
        TRY(record_batch(p, steps));
        TRY(trajectory_store_write(&p->store, n, p->step.states, &p->stage.condition));
        progress_update(&progress, n + 1, "");
    }
    progress_end(&progress, trajectory_store_count(&p->store), "");
    return OK;
}

/* ---- regression ---- */

static int read_batch(struct program *p) {
    struct random_address address = {
        .seed = (uint64_t)p->stage.config.seed, .step = (uint64_t)p->stage.step, .purpose = RANDOM_DATA_ORDER};
    int number = (int)random_below(&address, 0, p->batches);
    return trajectory_store_read(&p->store, number, p->step.states, &p->stage.condition);
}

static int report_to(struct program *p, long step) {
    struct optimiser_report account;
    while (p->reported < step) {
        optimiser_report(&p->step.student, ++p->reported, &account);
        TRY(stage_report(&p->stage, p->reported, &account, NULL, 0));
    }
    return OK;
}

static int train(struct program *p) {
    struct stage *s = &p->stage;
    stage_start_clock(s);
    while (stage_goes_on(s)) {
        TRY(read_batch(p));
        TRY(ode_step_run(&p->step, &s->condition, (long)s->step));
        stage_count(s);
        TRY(report_to(p, (long)s->step - 2));
        if (stage_save_due(s) || stage_sample_due(s)) TRY(report_to(p, (long)s->step - 1));
        if (stage_save_due(s)) TRY(stage_save(s));
        if (stage_sample_due(s)) TRY(student_show_run(&p->show, s, "causal", &p->step.student));
        stage_start_clock(s);
    }
    return report_to(p, (long)s->step - 1);
}

/* The student starts from the teacher's average. */
static int load_networks(struct program *p, int resumed) {
    const struct param_table *table = &p->stage.net.table;
    char teacher[FILE_PATH_MAX];
    TRY(stage_source(&p->stage, p->stage.config.ode_init.teacher, "teacher", teacher, sizeof teacher));
    TRY(train_state_load_frozen(teacher, "teacher", table, p->teacher));
    if (resumed) return OK;
    TRY(train_state_load_weights(teacher, "teacher", WEIGHTS_AVERAGE, table, p->step.student.master, NULL));
    optimiser_start(&p->step.student);
    return OK;
}

static int run(struct program *p, int argc, char **argv, int *exit_code) {
    struct stage_options options = {.name = "ode_init", .settings = offsetof(struct run_config, ode_init.stage)};
    int go_on, resumed;
    TRY(stage_open(&p->stage, &options, argc, argv, &go_on));
    if (!go_on) return OK;
    TRY(stage_memory(&p->stage, layout, p));
    if (p->stage.plan) return OK;
    const struct ode_init_config *c = &p->stage.config.ode_init;
    p->batches = (c->trajectories + c->stage.batch - 1) / c->stage.batch;
    train_state_network(&p->stage.saved, "student", &p->step.student);
    TRY(stage_begin(&p->stage, &resumed));
    TRY(load_networks(p, resumed));
    TRY(trajectory_store_open(&p->store, p->stage.folder.path, &p->stage.config));
    p->stage.batches = trajectory_store_count(&p->store);
    p->reported = (long)p->stage.step - 1;
    TRY(stage_ready(&p->stage));
    TRY(record(p));
    TRY(train(p));
    return stage_finish(&p->stage, exit_code);
}

int main(int argc, char **argv) {
    static struct program p;
    int exit_code = 0, code = run(&p, argc, argv, &exit_code);
    trajectory_store_close(&p.store);
    ode_step_free(&p.step);
    sampler_free(&p.sampler);
    student_show_free(&p.show);
    stage_close(&p.stage);
    return code ? args_fail("ode_init", code) : exit_code;
}
