/* refine_step.c: see refine_step.h. */
#include "train/method/refine_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "train/method/pass_reduction.h"

/* ---- settings ---- */

#define FIELDS_OF struct refine_config
static const struct config_field fields[] = {
    STAGE_KEYS("refine", stage, "100", "8"),
    OPTIMISER_KEYS("refine.optimiser", stage.optimiser, "3e-5", "0", "0.99", "0", "1", "0", "0", "0.97"),
    TEXT("refine.student", student, "", "Where the student starts: a stage's folder or a state; empty: RUN/distill."),
    TEXT("refine.teacher", teacher, "",
         "Where the discriminator's trunk starts: a stage's folder or a state; empty: RUN/teacher."),
    CHOICE(
        "refine.exit", exit, exit_names, "last",
        "Pass of each chunk whose prediction is judged and trained: the last, or one drawn at random for each update."),
    INT("refine.frames", frames, 0, 65536, "0",
        "Largest number of latent frames of a rollout, the reference and whole chunks. Beyond `frames` the clip that "
        "is judged is the reference and the last chunks, after an even draw of others; 0: as many as `frames`."),
    INT("refine.passes", passes, 0, ROLLOUT_STEPS_MAX, "0",
        "Passes of a chunk that the student ends with. It begins with those of rollout.sigma and loses them one by "
        "one, each number having an equal share of the steps; its levels are some of rollout.sigma's. 0: it loses "
        "none."),
    SPOIL_KEYS("refine.history_spoil", spoil),
    SPOIL_ROLLED_KEY("refine.history_spoil", spoil),
    CHOICE("refine.discriminator.scope", discriminator.scope, discriminator_scope_names, "clip",
           "What the trunk sees at once. clip: the whole clip with its reference, as the method has it; frame: every "
           "frame by itself, an ordinary GAN of frames, for which the global branch is left out."),
    INT("refine.discriminator.tap0", discriminator.taps[0], -1, 1000, "-1",
        "First of the three trunk blocks whose outputs the heads read; all -1: chosen by the trunk's depth."),
    INT("refine.discriminator.tap1", discriminator.taps[1], -1, 1000, "-1",
        "Second of the three trunk blocks whose outputs the heads read."),
    INT("refine.discriminator.tap2", discriminator.taps[2], -1, 1000, "-1",
        "Third of the three trunk blocks whose outputs the heads read; the trunk ends there."),
    INT("refine.discriminator.queries", discriminator.queries, 1, 64, "1",
        "Number of learned queries with which a head reads each frame at each tap."),
    INT("refine.discriminator.heads", discriminator.heads, 0, 1024, "0",
        "Number of attention heads of the readers; 0: as many as the trunk has."),
    INT("refine.discriminator.ffn_dim", discriminator.ffn_dim, 0, 262144, "0",
        "Hidden width of the readers; 0: the trunk's."),
    OPTIMISER_KEYS("refine.discriminator.optimiser", discriminator_optimiser, "2e-4", "0", "0.99", "0", "1", "0", "0",
                   "0"),
    LEVEL_KEYS("refine.level", level, "shifted_uniform", "1", "0.02", "0.6"),
    LONG("refine.head_warmup", head_warmup, 0, 1e9, "25",
         "Number of discriminator updates that train its heads alone, before all else."),
    LONG("refine.warmup", warmup, 0, 1e9, "0",
         "Largest number of updates of the whole discriminator, heads and trunk, before the generator moves; they end "
         "earlier once the margin is above refine.warmup_margin. The margin is a running mean of D(real) - D(fake)."),
    REAL("refine.warmup_margin", warmup_margin, -1e6, 1e6, "0.5",
         "Margin that ends the whole discriminator's warm-up."),
    REAL("refine.hold_margin", hold_margin, -1e6, 1e6, "0",
         "The generator is held still in steps before which the margin is at or below this; -1e6: never."),
    INT("refine.ratio", ratio, 1, 100, "1", "Number of discriminator updates after each update of the generator."),
    REAL("refine.local_weight", local_weight, 0, 1e6, "1",
         "Weight of the local branch, one logit a frame: of its losses and of its penalties."),
    REAL("refine.global_weight", global_weight, 0, 1e6, "1",
         "Weight of the global branch, one logit a clip: of its losses and of its penalties."),
    REAL("refine.r1", r1, 0, 1e6, "0.05",
         "Weight of the gradient penalty on real clips: a mean for each branch, times the branch's weight."),
    REAL("refine.r2", r2, 0, 1e6, "0.05", "Weight of the gradient penalty on generated clips, which is made alike."),
    REAL("refine.fd_step", fd_step, 1e-6, 10, "0.1",
         "Step h of the finite differences that the penalties are made of."),
    REAL("refine.distill_share", distill_share, 0, 1e6, "0",
         "Weight of the loss of distill, with its settings, beside the adversarial loss; 0: none."),
};

static int check(const void *settings) {
    const FIELDS_OF *c = settings;
    TRY(level_check("refine.level", &c->level));
    if (c->local_weight > 0 || (c->global_weight > 0 && c->discriminator.scope == SCOPE_CLIP)) return OK;
    return error_set(ERR_USAGE, "refine.local_weight, refine.global_weight: no branch has a weight, so that nothing is "
                                "judged (scope frame has no global branch)");
}

SECTION(refine, "Refines the student against real clips with the Consistency-Aware Discriminator.",
        "negative lora rollout distill", check, TRAINS("student", stage.optimiser),
        TRAINS("discriminator", discriminator_optimiser));

/* ---- memory ---- */

struct frozen_weights *refine_frozen_teacher(struct refine_step *r) {
    return r->discriminator.frozen;
}

static int layout_networks(struct refine_step *r, const struct step_setup *setup, const struct score_config *score,
                           struct arena *state, struct arena *activations) {
    const struct refine_config *c = &r->config;
    struct frozen_weights *teacher = c->distill_share > 0 ? &r->matching.teacher : NULL;
    long updates = c->head_warmup + c->warmup + c->stage.steps * c->ratio;
    r->critic_ratio = score->critic_ratio;
    TRY(optimiser_layout(&r->student, "student", &r->net->table, &c->stage.optimiser, c->stage.steps, setup->shards,
                         state));
    TRY(self_forcing_layout(&r->rollout, r->net, setup->rollout, &r->split, r->F, c->frames, activations));
    TRY(self_forcing_spoil_layout(&r->rollout, "refine.history_spoil", &c->spoil, activations));
    if (teacher)
        TRY(distribution_matching_layout(&r->matching, setup, score, &r->split, c->stage.steps * r->critic_ratio, state,
                                         activations));
    return discriminator_step_layout(&r->discriminator, setup, c, updates, teacher, state, activations);
}

int refine_step_layout(struct refine_step *r, const struct step_setup *setup, const struct refine_config *config,
                       const struct score_config *score, struct arena *state, struct arena *activations) {
    r->net = setup->net;
    r->config = *config;
    r->seed = setup->seed;
    TRY(sharding_batch_split(setup->shards, &r->split, config->stage.batch, config->stage.accumulate));
    r->B = r->split.largest;
    r->F = setup->F;
    r->levels = *setup->rollout;
    TRY(layout_networks(r, setup, score, state, activations));
    band_energy_layout(&r->energy, r->B, r->F, r->net->config.in_channels, r->rollout.size, activations);
    size_t all = (size_t)(r->B * r->rollout.clip);
    r->g = ARENA_TAKE(activations, "gradient by the clips", real, all);
    r->g_matching = ARENA_TAKE(activations, "its distillation share", real, r->config.distill_share > 0 ? all : 0);
    r->part_loss = ARENA_TAKE(activations, "figures", real, 1);
    return OK;
}

int refine_step_acts_layout(struct refine_step *r, struct arena *arena) {
    enum dit_memory kind = r->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    struct arena_fork fork;
    arena_fork(arena, &fork);
    TRY(discriminator_step_acts_layout(&r->discriminator, arena));
    if (r->config.distill_share > 0) {
        arena_alternative(arena, &fork);
        TRY(distribution_matching_acts_layout(&r->matching, kind, arena));
    }
    arena_alternative(arena, &fork);
    TRY(self_forcing_acts_layout(&r->rollout, kind, arena));
    arena_join(arena, &fork);
    return OK;
}

void refine_step_free(struct refine_step *r) {
    discriminator_step_free(&r->discriminator);
    self_forcing_free(&r->rollout);
    distribution_matching_free(&r->matching);
    optimiser_free(&r->student);
    memset(r, 0, sizeof *r);
}

int refine_step_prepare(struct refine_step *r) {
    discriminator_step_prepare(&r->discriminator);
    if (r->config.distill_share > 0) distribution_matching_prepare(&r->matching);
    return band_energy_prepare(&r->energy, r->split.batch);
}

void refine_step_fresh(struct refine_step *r) {
    optimiser_start(&r->student);
    optimiser_start(&r->discriminator.optimiser);
    if (r->config.distill_share > 0) distribution_matching_fresh(&r->matching);
}

void refine_schedule(struct refine_step *r, long heads, long whole, long held) {
    const struct refine_config *c = &r->config;
    discriminator_schedule(&r->discriminator, heads, c->head_warmup + whole + c->stage.steps * c->ratio);
    r->student.idle = held;
}

int refine_passes(struct refine_step *r, long step) {
    const struct refine_config *c = &r->config;
    struct rollout_config *config = &r->rollout.rollout.config;
    *config = r->levels;
    reduce_passes_at(config, c->passes, step, c->stage.steps);
    return config->steps;
}

/* ---- the discriminator ---- */

int refine_discriminator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                                uint64_t round, int index, long update, int heads_only) {
    const struct judged_clips real_clips = {clips, condition}, rollouts = {r->rollout.x, condition};
    return discriminator_update(&r->discriminator, &real_clips, &rollouts, round, index, update, heads_only);
}

/* ---- the generator ---- */

static int roll_out(struct refine_step *r, const struct batch_part *b, uint64_t round, int index) {
    struct params student = optimiser_frozen(&r->student);
    struct rollout_noise noise = {
        .seed = r->seed, .step = round, .purpose = RANDOM_ROLLOUT, .sample0 = (long)index * r->split.batch};
    int exit = self_forcing_exit(r->config.exit, r->rollout.rollout.config.steps, r->seed, round);
    TRY(self_forcing_rollout(&r->rollout, &student, &b->part, b->clips, r->rollout.clip, &b->condition, &noise, exit,
                             self_forcing_before(&r->rollout, r->seed, round, index)));
    if (r->config.distill_share > 0)
        distribution_matching_show(&r->matching, &b->part, self_forcing_clips(&r->rollout), &b->condition);
    return OK;
}

void refine_references(const struct refine_step *r, real *clips, const real *far, uint64_t round, int index) {
    size_t frame = sizeof(real) * (size_t)r->rollout.size;
    if (self_forcing_before(&r->rollout, r->seed, round, index))
        mem_copy_rows(clips, sizeof(real) * (size_t)r->rollout.clip, far, frame, frame, (size_t)r->split.count);
}

int refine_rollout(struct refine_step *r, const real *clips, const struct condition_batch *condition, uint64_t round,
                   int index) {
    struct batch_part b;
    for (int i = 0; i < r->split.parts; i++) {
        batch_part(&b, &r->split, i, clips, r->rollout.clip, condition);
        TRY(roll_out(r, &b, round, index));
    }
    return OK;
}

/* Adds the distillation gradient, times its share, to g. Its loss is not added, because it has another scale. */
static int add_distillation(struct refine_step *r, const struct batch_part *b, uint64_t round) {
    TRY(distribution_matching_gradient(&r->matching, &b->part, r->g_matching, r->part_loss,
                                       self_forcing_clips(&r->rollout), &b->condition, round));
    real_axpby(r->g, (real)r->config.distill_share, r->g_matching, 1, b->part.count * r->rollout.clip);
    return OK;
}

/* Adds the energies of a part's rollouts and real clips to the figures. */
static void measure(struct refine_step *r, const struct batch_part *b) {
    band_energy_measure(&r->energy, r->discriminator.figures + FIGURE_MADE, self_forcing_clips(&r->rollout),
                        b->part.count);
    band_energy_measure(&r->energy, r->discriminator.figures + FIGURE_TRUTH, b->clips, b->part.count);
}

/* The rollouts of a part, with the conditions that they were made from. */
static struct batch_part rollout_part(const struct refine_step *r, const struct batch_part *b) {
    struct batch_part made = *b;
    made.clips = self_forcing_clips(&r->rollout);
    return made;
}

static void begin_generator(struct refine_step *r) {
    optimiser_begin(&r->student);
    mem_zero(r->discriminator.figures + FIGURE_MADE, sizeof(real) * 2 * ENERGY_BANDS);
}

int refine_generator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                            uint64_t round, long step) {
    struct params frozen = optimiser_frozen(&r->discriminator.optimiser), student = optimiser_params(&r->student);
    struct batch_part b, made;
    begin_generator(r);
    for (int i = 0; i < r->split.parts; i++) {
        batch_part(&b, &r->split, i, clips, r->rollout.clip, condition);
        student.last = b.part.last;
        TRY(roll_out(r, &b, round, 0));
        made = rollout_part(r, &b);
        TRY(discriminator_generator_gradient(&r->discriminator, &frozen, &b, &made, round, r->g, r->student.loss));
        if (r->config.distill_share > 0) TRY(add_distillation(r, &b, round));
        TRY(self_forcing_backward(&r->rollout, &student, &b.condition, r->g));
        measure(r, &b);
    }
    return optimiser_step(&r->student, step, 0);
}

int refine_generator_hold(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                          uint64_t round, long step) {
    struct params frozen = optimiser_frozen(&r->discriminator.optimiser);
    struct batch_part b, made;
    begin_generator(r);
    for (int i = 0; i < r->split.parts; i++) {
        batch_part(&b, &r->split, i, clips, r->rollout.clip, condition);
        TRY(roll_out(r, &b, round, 0));
        made = rollout_part(r, &b);
        TRY(discriminator_generator_loss(&r->discriminator, &frozen, &b, &made, round, r->student.loss));
        measure(r, &b);
    }
    return optimiser_hold(&r->student, step);
}

/* ---- figures ---- */

int refine_step_end(struct refine_step *r, uint64_t round) { return discriminator_step_end(&r->discriminator, round); }

int refine_step_report(struct refine_step *r, uint64_t round, struct discriminator_report *report) {
    return discriminator_step_report(&r->discriminator, round, report);
}

void refine_step_work(const struct refine_step *r, struct step_work *work) {
    const struct refine_config *c = &r->config;
    const struct discriminator_step *d = &r->discriminator;
    struct network_work *student = step_work_trained(work, "student", &r->student);
    int inputs = discriminator_inputs(d);
    student->updates = 1;
    step_work_rollout(work, student, &r->rollout, &r->split, c->ratio);
    step_work_rollout_backward(work, student, &r->rollout, &r->split, c->stage.recompute);
    discriminator_step_work(d, WORK_FORWARD, 2 + 2.0 * inputs * c->ratio, work);
    discriminator_step_work(d, WORK_BACKWARD_INPUT, 1, work);
    discriminator_step_work(d, WORK_BACKWARD, (double)inputs * c->ratio, work);
    step_work_trained(work, "discriminator", &d->optimiser)->updates = c->ratio;
    if (c->distill_share == 0) return;
    distribution_matching_work_gradient(&r->matching, c->stage.recompute, work);
    distribution_matching_work_critic(&r->matching, c->stage.recompute, r->critic_ratio, work);
}
