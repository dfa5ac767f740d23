/* refine.c: adversarial refinement of the student against real clips.
   usage: refine CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/refine. Metrics: loss (generator, adversarial), grad_norm, lr, ms, skipped, held (1: the generator was
   held still), passes (of a chunk), discriminator_loss (with penalties), discriminator_norm, margin_local,
   margin_global (mean D(real) - D(fake)), margin (the running mean that the generator waits for), r1_local,
   r1_global, r2_local, r2_global (penalties without weights), energy_0 .. energy_3 (latent energy, generated over
   real, coarse to fine). */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "train/method/margin.h"
#include "train/method/refine_step.h"
#include "train/stage/student_show.h"

struct program {
    struct stage stage;
    struct refine_step step;
    struct student_show show;
    /* Integers of the state. */
    int64_t heads_warmed, whole_warmed; /* warm-up updates of the heads alone, then of the whole discriminator */
    int64_t discriminator_updates, critic_updates; /* updates made in all */
    int64_t held;                                  /* steps in which the generator was held still */
    struct margin margin;

    uint64_t began;  /* round with which this process began */
    int passes;      /* number of passes of a chunk in the present step; 0: none was made */
    int at_chance;   /* steps in a row in which the margin was that of guessing */
    int said_chance; /* 1: that was warned of */
};

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(refine_step_layout(&p->step, &p->stage.setup, &c->refine, &c->distill.score, state, activations));
    train_state_network(&p->stage.saved, "student", &p->step.student);
    train_state_source(&p->stage.saved, "student", "refine.student", c->refine.student, "student");
    train_state_network(&p->stage.saved, "discriminator", &p->step.discriminator.optimiser);
    train_state_integer(&p->stage.saved, "heads_warmed", &p->heads_warmed);
    train_state_newer_integer(&p->stage.saved, "discriminator_warmed", &p->whole_warmed);
    train_state_newer_integer(&p->stage.saved, "generator_held", &p->held);
    train_state_newer_integer(&p->stage.saved, "margin_even", &p->margin.after[0]);
    train_state_newer_integer(&p->stage.saved, "margin_odd", &p->margin.after[1]);
    train_state_integer(&p->stage.saved, "discriminator_updates", &p->discriminator_updates);
    train_state_integer(&p->stage.saved, "critic_updates", &p->critic_updates);
    if (c->refine.distill_share > 0) TRY(distribution_matching_save_with(&p->step.matching, &p->stage.saved));
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

static uint64_t round_at(const struct program *p, long step) {
    return (uint64_t)(p->heads_warmed + p->whole_warmed + step);
}
static uint64_t round_of(const struct program *p) { return round_at(p, (long)p->stage.step); }

/* Reads the figures of a round and takes its margin into the running mean, by which later rounds decide. */
static int read_figures(struct program *p, uint64_t round, struct discriminator_report *figures) {
    if (!refine_step_report(&p->step, round, figures))
        return error_set(ERR_DEVICE, "figures of round %llu are lost", (unsigned long long)round);
    margin_hear(&p->margin, round, figures->margin);
    return OK;
}

static void log_held(const struct program *p, long step) {
    if (step + 1 < p->stage.settings->steps || !p->held) return;
    log_line("%sthe generator was held still in %ld of %ld steps: the discriminator's margin was not above "
             "refine.hold_margin (%g); a larger refine.ratio or discriminator learning rate raises it",
             2 * p->held > step + 1 ? "warning: " : "", (long)p->held, step + 1, p->stage.config.refine.hold_margin);
}

/* Logs once that the discriminator has told nothing for a while: below that margin what the generator learns is noise.
   A margin below 0 says that the generator has outrun it. */
static void watch_margin(struct program *p, long step, double margin) {
    enum { LONG = 20 };
    const double guessing = 0.05;
    p->at_chance = margin < guessing ? p->at_chance + 1 : 0;
    if (p->said_chance || p->at_chance < LONG) return;
    p->said_chance = 1;
    log_line(
        "warning: step %ld: the discriminator's margin has been below %g for %d steps (%.3g now): it tells nothing; "
        "a larger refine.ratio or discriminator learning rate, or a longer refine.warmup, raises it "
        "(docs/troubleshooting.md)",
        step + 1, guessing, LONG, margin);
}

static int report(void *self, long step) {
    struct program *p = self;
    struct optimiser_report account, discriminator;
    struct discriminator_report figures;
    uint64_t round = round_at(p, step);
    optimiser_report(&p->step.student, step, &account);
    optimiser_report(&p->step.discriminator.optimiser, (long)p->discriminator_updates - 1, &discriminator);
    TRY(read_figures(p, round, &figures));
    enum { OWN = 11 };
    int passes = run_config_rollout(&p->stage.config, refine_section.name, step).steps;
    struct metric list[OWN + ENERGY_BANDS] = {{"held", p->step.student.held[step & 1]},
                                              {"passes", passes},
                                              {"discriminator_loss", discriminator.loss},
                                              {"discriminator_norm", discriminator.norm},
                                              {"margin_local", figures.branch_margin[BRANCH_LOCAL]},
                                              {"margin_global", figures.branch_margin[BRANCH_GLOBAL]},
                                              {"margin", margin_known(&p->margin, round + 2)},
                                              {"r1_local", figures.r1[BRANCH_LOCAL]},
                                              {"r1_global", figures.r1[BRANCH_GLOBAL]},
                                              {"r2_local", figures.r2[BRANCH_LOCAL]},
                                              {"r2_global", figures.r2[BRANCH_GLOBAL]}};
    for (int i = 0; i < p->step.energy.bands; i++)
        list[OWN + i] = (struct metric){band_energy_names[i], figures.energy[i]};
    if (discriminator.skipped_in_row > account.skipped_in_row) account.skipped_in_row = discriminator.skipped_in_row;
    watch_margin(p, step, margin_known(&p->margin, round + 2));
    log_held(p, step);
    return stage_report(&p->stage, step, &account, list, OWN + p->step.energy.bands);
}

static int next_batch(struct program *p, int index) {
    TRY(stage_next_batch(&p->stage));
    refine_references(&p->step, p->stage.clips, p->stage.far, round_of(p), index);
    return OK;
}

static int next_pair(struct program *p, int index) {
    TRY(next_batch(p, index));
    return refine_rollout(&p->step, p->stage.clips, &p->stage.condition, round_of(p), index);
}

static int update_discriminator(struct program *p, int index, int heads_only) {
    return refine_discriminator_update(&p->step, p->stage.clips, &p->stage.condition, round_of(p), index,
                                       (long)p->discriminator_updates++, heads_only);
}

/* ---- warm-ups ---- */

static void schedule(struct program *p, long whole) {
    refine_schedule(&p->step, (long)p->heads_warmed, whole, (long)p->held);
}

/* Makes one warm-up update, counts it in `warmed` and reads the figures of the round before it. */
static int warm_round(struct program *p, int heads_only, int64_t *warmed, const char *what, long all) {
    struct discriminator_report figures;
    uint64_t round = round_of(p);
    TRY(next_pair(p, 0));
    TRY(update_discriminator(p, 0, heads_only));
    TRY(refine_step_end(&p->step, round));
    if (round > p->began) TRY(read_figures(p, round - 1, &figures));
    ++*warmed;
    return stage_warmed(&p->stage, what, &p->step.discriminator.optimiser, (long)p->discriminator_updates,
                        (long)*warmed, all);
}

static int warm_up_heads(struct program *p) {
    long updates = p->stage.config.refine.head_warmup;
    while (p->heads_warmed < updates && !stage_stopped(&p->stage)) {
        TRY(warm_round(p, 1, &p->heads_warmed, "warm-up of the heads", updates));
        if (p->heads_warmed == updates) discriminator_heads_warm(&p->step.discriminator);
    }
    return OK;
}

static int margin_wanted(const struct program *p) {
    const struct refine_config *c = &p->stage.config.refine;
    return p->whole_warmed < c->warmup && margin_known(&p->margin, round_of(p)) <= c->warmup_margin;
}

static int warm_up_whole(struct program *p) {
    const struct refine_config *c = &p->stage.config.refine;
    schedule(p, c->warmup);
    while (margin_wanted(p) && !stage_stopped(&p->stage))
        TRY(warm_round(p, 0, &p->whole_warmed, "warm-up of the discriminator", c->warmup));
    double margin = margin_known(&p->margin, round_of(p));
    if (p->whole_warmed)
        log_line("%sthe discriminator's margin is %.3f after a warm-up of %ld updates; refine.warmup_margin is %g",
                 margin > c->warmup_margin ? "" : "warning: ", margin, (long)p->whole_warmed, c->warmup_margin);
    return OK;
}

/* Makes the warm-ups that are left; a run that has begun its steps has none. The figures of their last round are read
   here, before a state is saved. */
static int warm_up(void *self) {
    struct program *p = self;
    struct discriminator_report figures;
    p->began = round_of(p);
    refine_passes(&p->step, (long)p->stage.step);
    if (!p->stage.step) {
        TRY(warm_up_heads(p));
        TRY(warm_up_whole(p));
        if (round_of(p) > p->began) TRY(read_figures(p, round_of(p) - 1, &figures));
    }
    schedule(p, (long)p->whole_warmed);
    return OK;
}

/* ---- steps ---- */

static int generator_update(struct program *p) {
    struct stage *s = &p->stage;
    uint64_t round = round_of(p);
    schedule(p, (long)p->whole_warmed); /* anew for each step: a rollback sets the number of held steps back */
    if (margin_known(&p->margin, round) > s->config.refine.hold_margin)
        return refine_generator_update(&p->step, s->clips, &s->condition, round, (long)s->step);
    TRY(refine_generator_hold(&p->step, s->clips, &s->condition, round, (long)s->step));
    p->held++;
    return OK;
}

/* Sets the passes of this step, and logs when there are fewer from here on. */
static void set_passes(struct program *p) {
    const struct rollout_config *c = &p->step.rollout.rollout.config;
    int before = p->passes;
    p->passes = refine_passes(&p->step, (long)p->stage.step);
    if (before && p->passes != before)
        log_line("step %ld: passes of a chunk from here on: %d, the last at level %.3g", (long)p->stage.step + 1,
                 p->passes, c->sigma[p->passes - 1]);
}

static int one_step(void *self) {
    struct program *p = self;
    set_passes(p);
    const struct refine_config *c = &p->stage.config.refine;
    const struct score_config *score = &p->stage.config.distill.score;
    uint64_t round = round_of(p);
    TRY(next_batch(p, 0));
    TRY(generator_update(p));
    for (int j = 0; j < c->ratio; j++) {
        if (j) TRY(next_pair(p, j));
        TRY(update_discriminator(p, j, 0));
    }
    for (int j = 0; c->distill_share > 0 && j < score->critic_ratio; j++)
        TRY(distribution_matching_critic_update(&p->step.matching, round, j, (long)p->critic_updates++));
    return refine_step_end(&p->step, round);
}

static int show(void *self) {
    struct program *p = self;
    return student_show_run(&p->show, &p->stage, "refined", &p->step.student);
}

static int measure(void *self, double *value) {
    struct program *p = self;
    return student_show_measure(&p->show, &p->stage, &p->step.student, value);
}

/* Loads the weights. At the first start the discriminator's trunk is the teacher's average and its heads are new; with
   a share of the distillation loss the critic goes on from the stage that the student comes from. */
static int load(void *self, int resumed) {
    struct program *p = self;
    struct stage *s = &p->stage;
    struct refine_step *r = &p->step;
    const struct refine_config *c = &s->config.refine;
    struct frozen_weights *frozen = refine_frozen_teacher(r);
    int share = c->distill_share > 0;
    s->far_references = r->rollout.room > 0;
    if (share && r->rollout.room && s->config.teacher.far_reference == 0)
        log_line("warning: refine.frames with refine.distill_share: the teacher judges clips that do not follow their "
                 "reference, but has seen none; train it with teacher.far_reference above 0");
    TRY(refine_step_prepare(r));
    if (frozen) TRY(stage_load_frozen(s, c->teacher, "teacher", "teacher", frozen));
    if (resumed && optimiser_adapted(&r->discriminator.optimiser))
        TRY(train_state_check_base(&r->discriminator.optimiser, "discriminator"));
    if (resumed && share) TRY(train_state_check_base(&r->matching.critic, "critic"));
    if (resumed) return OK;
    discriminator_step_new_heads(&r->discriminator);
    TRY(stage_load_master(s, c->teacher, "teacher", "teacher", WEIGHTS_AVERAGE, &r->discriminator.optimiser));
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

static const struct stage_program program =
    STAGE_PROGRAM(refine, refine, .work = work, .measure = measure, .warm_up = warm_up);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
