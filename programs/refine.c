/* refine.c: adversarial refinement of the student against real clips.
   usage: refine CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/refine. Metrics: loss (generator, adversarial), grad_norm, lr, ms, skipped, judge_loss (with penalties),
   judge_norm, margin_local, margin_global (mean D(real) - D(fake)),
   r1_local, r1_global, r2_local, r2_global (penalties without weights). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "train/method/refine_step.h"
#include "train/stage/student_show.h"

struct program {
    struct stage stage;
    struct refine_step step;
    struct student_show show;
    int64_t warmed;                        /* updates of the heads alone: saved */
    int64_t judge_updates, critic_updates; /* in all: saved */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(refine_step_layout(&p->step, &p->stage.setup, &c->refine, &c->distill.score, state, activations));
    train_state_network(&p->stage.saved, "student", &p->step.student);
    train_state_source(&p->stage.saved, "student", "refine.student", c->refine.student, "student");
    train_state_network(&p->stage.saved, "discriminator", &p->step.judge);
    train_state_integer(&p->stage.saved, "heads_warmed", &p->warmed);
    train_state_integer(&p->stage.saved, "judge_updates", &p->judge_updates);
    train_state_integer(&p->stage.saved, "critic_updates", &p->critic_updates);
    if (c->refine.distill_share > 0) TRY(matching_save_with(&p->step.matching, &p->stage.saved));
    struct arena_fork fork;
    arena_fork(activations, &fork);
    TRY(refine_step_acts_layout(&p->step, activations));
    arena_alternative(activations, &fork);
    TRY(student_show_layout(&p->show, &p->stage, activations));
    arena_join(activations, &fork);
    return OK;
}

static void work(const void *self, struct step_work *to) {
    refine_step_work(&((const struct program *)self)->step, to);
}

static int report(void *self, long step) {
    struct program *p = self;
    struct optimiser_report account, judge;
    struct refine_report figures;
    optimiser_report(&p->step.student, step, &account);
    optimiser_report(&p->step.judge, (long)p->judge_updates - 1, &judge);
    if (!refine_step_report(&p->step, step, &figures))
        return error_set(ERR_DEVICE, "figures of step %ld are lost", step);
    const struct metric list[] = {{"judge_loss", judge.loss},
                                  {"judge_norm", judge.norm},
                                  {"margin_local", figures.local_margin},
                                  {"margin_global", figures.global_margin},
                                  {"r1_local", figures.r1[BRANCH_LOCAL]},
                                  {"r1_global", figures.r1[BRANCH_GLOBAL]},
                                  {"r2_local", figures.r2[BRANCH_LOCAL]},
                                  {"r2_global", figures.r2[BRANCH_GLOBAL]}};
    if (judge.skipped_in_row > account.skipped_in_row) account.skipped_in_row = judge.skipped_in_row;
    return stage_report(&p->stage, step, &account, list, sizeof list / sizeof *list);
}

static uint64_t round_of(const struct program *p) { return (uint64_t)(p->warmed + p->stage.step); }

static int next_pair(struct program *p, int index) {
    TRY(stage_next_batch(&p->stage));
    return refine_rollout(&p->step, p->stage.clips, &p->stage.condition, round_of(p), index);
}

static int judge_update(struct program *p, int index, int heads_only) {
    return refine_discriminator_update(&p->step, p->stage.clips, &p->stage.condition, round_of(p), index,
                                       (long)p->judge_updates++, heads_only);
}

static int warm_up_heads(void *self) {
    struct program *p = self;
    long updates = p->stage.config.refine.head_warmup;
    while (p->warmed < updates && !stage_stopped(&p->stage)) {
        TRY(next_pair(p, 0));
        TRY(judge_update(p, 0, 1));
        p->warmed++;
        if (p->warmed == updates) refine_heads_warm(&p->step);
        TRY(stage_warmed(&p->stage, "warm-up of the heads", &p->step.judge, (long)p->warmed, updates));
    }
    return OK;
}

static int one_step(void *self) {
    struct program *p = self;
    const struct refine_config *c = &p->stage.config.refine;
    const struct score_config *score = &p->stage.config.distill.score;
    struct stage *s = &p->stage;
    uint64_t round = round_of(p);
    TRY(stage_next_batch(s));
    TRY(refine_generator_update(&p->step, s->clips, &s->condition, round, (long)s->step));
    for (int j = 0; j < c->ratio; j++) {
        if (j) TRY(next_pair(p, j));
        TRY(judge_update(p, j, 0));
    }
    for (int j = 0; c->distill_share > 0 && j < score->critic_ratio; j++)
        TRY(matching_critic_update(&p->step.matching, round, j, (long)p->critic_updates++));
    return refine_step_end(&p->step, (long)s->step);
}

static int show(void *self) {
    struct program *p = self;
    return student_show_run(&p->show, &p->stage, "refined", &p->step.student);
}

/* The trunk is the teacher's average; the heads are new. With a share of the distillation loss its critic goes on from
   the student's own stage. */
static int load(void *self, int resumed) {
    struct program *p = self;
    struct stage *s = &p->stage;
    struct refine_step *r = &p->step;
    const struct refine_config *c = &s->config.refine;
    struct frozen_weights *frozen = refine_frozen_teacher(r);
    int share = c->distill_share > 0;
    refine_step_prepare(r);
    if (frozen) TRY(stage_load_frozen(s, c->teacher, "teacher", "teacher", frozen));
    if (resumed && optimiser_adapted(&r->judge)) TRY(train_state_check_base(&r->judge, "discriminator"));
    if (resumed && share) TRY(train_state_check_base(&r->matching.critic, "critic"));
    if (resumed) return OK;
    refine_step_new_heads(r);
    TRY(stage_load_master(s, c->teacher, "teacher", "teacher", WEIGHTS_AVERAGE, &r->judge));
    TRY(stage_load_master(s, c->student, "distill", "student", WEIGHTS_AVERAGE, &r->student));
    if (share) TRY(stage_load_master(s, c->student, "distill", "critic", WEIGHTS_RAW, &r->matching.critic));
    refine_step_fresh(r);
    return OK;
}

static void free_all(void *self) {
    struct program *p = self;
    refine_step_free(&p->step);
    student_show_free(&p->show);
}

static const struct stage_program program = STAGE_PROGRAM(refine, refine, .work = work, .warm_up = warm_up_heads);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
