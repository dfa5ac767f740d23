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
    /* Integers of the state. */
    int64_t warmed;         /* critic updates made before the first step */
    int64_t critic_updates; /* critic updates made in all */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct distill_config *c = &p->stage.config.distill;
    TRY(distill_step_layout(&p->step, &p->stage.setup, c, state, activations));
    train_state_network(&p->stage.saved, "student", &p->step.student);
    train_state_source(&p->stage.saved, "student", "distill.student", c->student, "student");
    train_state_integer(&p->stage.saved, "critic_warmed", &p->warmed);
    train_state_integer(&p->stage.saved, "critic_updates", &p->critic_updates);
    TRY(distribution_matching_save_with(&p->step.matching, &p->stage.saved));
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
        list[3 + i] = (struct metric){band_energy_names[i], (double)figures.made[i] / (double)figures.truth[i]};
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

static int warm_up_critic(void *self) {
    struct program *p = self;
    long updates = p->stage.config.distill.score.critic_warmup;
    while (p->warmed < updates && !stage_stopped(&p->stage)) {
        TRY(fresh_rollout(p, 0));
        TRY(critic_update(p, 0));
        p->warmed++;
        TRY(stage_warmed(&p->stage, "critic warm-up", &p->step.matching.critic, (long)p->critic_updates,
                         (long)p->warmed, updates));
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

static int show(void *self) {
    struct program *p = self;
    return student_show_run(&p->show, &p->stage, "distilled", &p->step.student);
}

static int measure(void *self, double *value) {
    struct program *p = self;
    return student_show_measure(&p->show, &p->stage, &p->step.student, value);
}

/* Reads the teacher at every start, and student and critic from earlier stages at the first one. */
static int load(void *self, int resumed) {
    struct program *p = self;
    struct stage *s = &p->stage;
    const struct distill_config *c = &s->config.distill;
    struct distribution_matching *m = &p->step.matching;
    if (p->step.rollout.room && s->config.teacher.far_reference == 0)
        log_line(
            "warning: distill.frames: the teacher judges clips that do not follow their reference, but has seen none; "
            "train it with teacher.far_reference above 0");
    TRY(distill_step_prepare(&p->step));
    TRY(stage_load_frozen(s, c->teacher, "teacher", "teacher", &m->teacher));
    if (resumed) return train_state_check_base(&m->critic, "critic");
    TRY(stage_load_master(s, c->teacher, "teacher", "teacher", WEIGHTS_AVERAGE, &m->critic));
    TRY(stage_load_master(s, c->student, "ode_init", "student", WEIGHTS_AVERAGE, &p->step.student));
    distill_step_fresh(&p->step);
    return OK;
}

static void free_all(void *self) {
    struct program *p = self;
    distill_step_free(&p->step);
    student_show_free(&p->show);
}

static const struct stage_program program =
    STAGE_PROGRAM(distill, distill, .work = work, .measure = measure, .warm_up = warm_up_critic);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
