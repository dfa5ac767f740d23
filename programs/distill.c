/* distill.c: distribution matching distillation of the causal student on its own rollouts.
   usage: distill CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/distill. Metrics: loss (generator), grad_norm, lr, ms, skipped, critic_loss (mean of the step's updates),
   critic_norm, distance (mean |x - r|), energy_0 .. energy_3 (latent energy, generated over real, coarse to fine). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/method/distill_step.h"
#include "train/stage/student_show.h"

struct program {
    struct stage stage;
    struct distill_step step;
    struct student_show show;
    int64_t warmed;         /* critic updates before all else: saved */
    int64_t critic_updates; /* in all: saved */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    TRY(distill_step_layout(&p->step, &p->stage.net, &p->stage.config, &p->stage.shards, state, activations));
    train_state_network(&p->stage.saved, "student", &p->step.student);
    train_state_integer(&p->stage.saved, "critic_warmed", &p->warmed);
    train_state_integer(&p->stage.saved, "critic_updates", &p->critic_updates);
    TRY(matching_save_with(&p->step.matching, &p->stage.saved));
    struct arena_fork fork;
    arena_fork(activations, &fork);
    TRY(distill_step_acts_layout(&p->step, activations));
    arena_alternative(activations, &fork);
    TRY(student_show_layout(&p->show, &p->stage, activations));
    arena_join(activations, &fork);
    return OK;
}

static void work(const void *self, struct step_work *to) {
    distill_step_work(&((const struct program *)self)->step, to);
}

static int report(void *self, long step) {
    struct program *p = self;
    static const char *const names[ENERGY_BANDS] = {"energy_0", "energy_1", "energy_2", "energy_3"};
    const struct score_config *c = &p->stage.config.distill.score;
    struct optimiser_report account, critic;
    struct distill_figures figures;
    optimiser_report(&p->step.student, step, &account);
    optimiser_report(&p->step.matching.critic, (long)p->critic_updates - 1, &critic);
    if (!mailbox_read(&p->step.mail, step, &figures))
        return error_set(ERR_DEVICE, "figures of step %ld are lost", step);
    struct metric list[3 + ENERGY_BANDS] = {
        {"critic_loss", c->critic_ratio ? (double)figures.critic_loss / c->critic_ratio : 0},
        {"critic_norm", critic.norm},
        {"distance", (double)figures.distance}};
    for (int i = 0; i < p->step.energy.bands; i++)
        list[3 + i] = (struct metric){names[i], (double)figures.made[i] / (double)figures.truth[i]};
    if (critic.skipped_in_row > account.skipped_in_row) account.skipped_in_row = critic.skipped_in_row;
    return stage_report(&p->stage, step, &account, list, 3 + p->step.energy.bands);
}

static uint64_t round_of(const struct program *p) { return (uint64_t)(p->warmed + p->stage.step); }

static int critic_update(struct program *p, int index) {
    return distill_critic_update(&p->step, round_of(p), index, (long)p->critic_updates++);
}

static int fresh_rollout(struct program *p, int index) {
    TRY(stage_next_batch(&p->stage));
    return distill_critic_rollout(&p->step, p->stage.clips, &p->stage.condition, round_of(p), index);
}

static int warm_up_critic(struct program *p) {
    long updates = p->stage.config.distill.score.critic_warmup;
    struct optimiser_report critic;
    while (p->warmed < updates && !stage_stopped(&p->stage)) {
        TRY(fresh_rollout(p, 0));
        TRY(critic_update(p, 0));
        p->warmed++;
        p->stage.saved_step = -1;
        optimiser_report(&p->step.matching.critic, (long)p->critic_updates - 2, &critic);
        if (critic.skipped_in_row >= p->stage.config.faults.after)
            return error_set(ERR_NUMERIC, "critic warm-up: loss or gradient was not finite %ld times in a row",
                             critic.skipped_in_row);
        if (p->warmed % 10 == 0)
            log_line("critic warm-up %ld/%ld  loss %.4f  norm %.3f", (long)p->warmed, updates, critic.loss,
                     critic.norm);
    }
    return OK;
}

static int one_step(void *self) {
    struct program *p = self;
    const struct score_config *c = &p->stage.config.distill.score;
    struct stage *s = &p->stage;
    TRY(stage_next_batch(s));
    TRY(distill_generator_update(&p->step, s->clips, &s->condition, round_of(p), (long)s->step));
    for (int j = 0; j < c->critic_ratio; j++) {
        if (!c->critic_replay) TRY(fresh_rollout(p, j));
        TRY(critic_update(p, j));
    }
    return distill_step_end(&p->step, (long)s->step);
}

static int keep(void *self) {
    struct program *p = self;
    struct stage *s = &p->stage;
    if (stage_save_due(s)) TRY(stage_save(s));
    return stage_sample_due(s) ? student_show_run(&p->show, s, "distilled", &p->step.student) : OK;
}

/* The teacher is read at every start; student and critic come from earlier stages at the first. */
static int load_networks(struct program *p, int resumed) {
    const struct distill_config *c = &p->stage.config.distill;
    const struct param_table *table = &p->stage.net.table;
    char teacher[FILE_PATH_MAX], student[FILE_PATH_MAX];
    TRY(stage_source(&p->stage, c->teacher, "teacher", teacher, sizeof teacher));
    TRY(stage_source(&p->stage, c->student, "ode_init", student, sizeof student));
    TRY(train_state_load_frozen(teacher, "teacher", &p->step.matching.teacher));
    if (resumed) return train_state_check_base(&p->step.matching.critic, "critic");
    TRY(train_state_load_master(teacher, "teacher", WEIGHTS_AVERAGE, table, &p->step.matching.critic));
    TRY(train_state_load_master(student, "student", WEIGHTS_AVERAGE, table, &p->step.student));
    distill_step_fresh(&p->step);
    return OK;
}

static int run(struct program *p, int argc, char **argv, int *exit_code) {
    struct stage_options options = {
        .name = "distill",
        .does = "Distils the causal student by matching distributions on its own rollouts (SiD or DMD).",
        .work = work,
        .settings = offsetof(struct run_config, distill.stage)};
    const struct stage_steps steps = {p, one_step, report, keep};
    int go_on, resumed;
    TRY(stage_open(&p->stage, &options, argc, argv, &go_on));
    if (!go_on) return OK;
    TRY(stage_memory(&p->stage, layout, p));
    if (p->stage.plan) return OK;
    TRY(distill_step_prepare(&p->step));
    train_state_source(&p->stage.saved, "student", "distill.student", p->stage.config.distill.student, "student");
    TRY(stage_begin(&p->stage, &resumed));
    TRY(load_networks(p, resumed));
    TRY(stage_ready(&p->stage));
    TRY(warm_up_critic(p));
    TRY(stage_train(&p->stage, &steps));
    return stage_finish(&p->stage, exit_code);
}

int main(int argc, char **argv) {
    static struct program p;
    int exit_code = 0, code = run(&p, argc, argv, &exit_code);
    stage_settle(&p.stage);
    distill_step_free(&p.step);
    student_show_free(&p.show);
    return stage_close(&p.stage, code, exit_code);
}
