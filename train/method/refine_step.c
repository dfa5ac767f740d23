/* refine_step.c: see refine_step.h. */
#include "train/method/refine_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

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

/* Numbers of the draws of level and noise: the generator's, then those of the discriminator's updates. Draws from 0 on
   are the critic's (distribution_matching.c), whose levels have the same purpose. */
enum { GENERATOR_PASS = 129, JUDGE_PASS = 130 };

/* 1 where the trunk sees every frame by itself. Such a GAN of frames has no logit of the clip. */
static int frames_alone(const struct refine_step *r) { return r->config.discriminator.scope == SCOPE_FRAME; }
static long local_count(const struct refine_step *r) { return (long)r->B * (r->F - 1); }
static long logit_count(const struct refine_step *r) { return (long)r->B * r->F; }
static long value_count(const struct refine_step *r) { return r->B * r->rollout.clip; }
static size_t figure_count(const struct refine_step *r) {
    return FIGURE_LOGITS + 2 * (size_t)r->split.batch * (size_t)r->F;
}

struct frozen_weights *refine_frozen_teacher(struct refine_step *r) {
    if (r->config.distill_share > 0) return &r->matching.teacher;
    return r->config.discriminator_optimiser.lora.rank ? &r->trunk : NULL;
}

/* Lays out the discriminator's optimiser. With adapters the frozen teacher is under its trunk, and its heads are
   trained whole. */
static int layout_discriminator(struct refine_step *r, const struct optimiser_config *config, long updates,
                                struct sharding *shards, struct arena *state) {
    struct optimiser_config c = *config;
    struct frozen_weights *teacher = refine_frozen_teacher(r);
    c.lora.first_whole_slice = r->discriminator.head_slice;
    if (teacher == &r->trunk) TRY(shard_layout_frozen(&teacher->shard, "teacher", &r->net->table, shards, state));
    optimiser_share(&r->discriminator_optimiser, teacher);
    return optimiser_layout(&r->discriminator_optimiser, "discriminator", &r->discriminator.trunk.table, &c, updates,
                            shards, state);
}

static int layout_networks(struct refine_step *r, const struct step_setup *setup, const struct score_config *score,
                           struct arena *state, struct arena *activations) {
    const struct refine_config *c = &r->config;
    struct sharding *shards = setup->shards;
    long updates = c->head_warmup + c->warmup + c->stage.steps * c->ratio;
    if (!r->discriminator.heads) TRY(discriminator_create(&r->discriminator, &r->net->config, &c->discriminator));
    TRY(dit_divide(&r->discriminator.trunk, r->net->sequence));
    TRY(sharding_divide(shards, &r->discriminator.trunk.table));
    const struct param_table *judged = &r->discriminator.trunk.table;
    if (judged->slice_offset[r->discriminator.head_slice] != r->net->table.total)
        return error_set(ERR_USAGE, "refine: the discriminator's trunk has not the parameters of the teacher");
    r->critic_ratio = score->critic_ratio;
    TRY(optimiser_layout(&r->student, "student", &r->net->table, &c->stage.optimiser, c->stage.steps, shards, state));
    TRY(self_forcing_layout(&r->rollout, r->net, setup->rollout, &r->split, r->F, c->frames, activations));
    if (c->distill_share > 0)
        TRY(distribution_matching_layout(&r->matching, setup, score, &r->split, c->stage.steps * r->critic_ratio, state,
                                         activations));
    return layout_discriminator(r, &c->discriminator_optimiser, updates, shards, state);
}

int refine_step_layout(struct refine_step *r, const struct step_setup *setup, const struct refine_config *config,
                       const struct score_config *score, struct arena *state, struct arena *activations) {
    r->net = setup->net;
    r->config = *config;
    if (frames_alone(r)) r->config.global_weight = 0;
    r->seed = setup->seed;
    TRY(sharding_batch_split(setup->shards, &r->split, config->stage.batch, config->stage.accumulate));
    r->B = r->split.largest;
    r->F = setup->F;
    TRY(layout_networks(r, setup, score, state, activations));
    TRY(levels_layout(&r->levels, r->B, r->F, activations));
    band_energy_layout(&r->energy, r->B, r->F, r->net->config.in_channels, r->rollout.size, activations);
    size_t all = (size_t)value_count(r), logits = (size_t)logit_count(r), figures = figure_count(r);
    r->noise = ARENA_TAKE(activations, "noise of real and fake", real, all);
    r->eta = ARENA_TAKE(activations, "direction of the penalty", real, all);
    r->input = ARENA_TAKE(activations, "discriminator's input", real, all);
    r->by_input = ARENA_TAKE(activations, "gradient by the input", real, all);
    r->g = ARENA_TAKE(activations, "gradient by the clips", real, all);
    r->g_matching = ARENA_TAKE(activations, "its distillation share", real, r->config.distill_share > 0 ? all : 0);
    r->step_size = ARENA_TAKE(activations, "penalty's step", real, (size_t)r->B * r->F);
    for (int i = 0; i < REFINE_INPUTS; i++) {
        r->logits[i] = ARENA_TAKE(activations, "logits", real, logits);
        r->slopes[i] = ARENA_TAKE(activations, "gradients of logits", real, logits);
    }
    r->figures = ARENA_TAKE(activations, "figures", real, figures);
    r->part_loss = ARENA_TAKE(activations, "figures", real, 1);
    mailbox_layout(&r->mail, figures * sizeof(real), activations);
    free(r->host);
    r->host = malloc(figures * sizeof(real));
    return r->host ? OK : error_set(ERR_DEVICE, "refine: out of memory");
}

int refine_step_acts_layout(struct refine_step *r, struct arena *arena) {
    enum dit_memory kind = r->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    struct arena_fork fork;
    arena_fork(arena, &fork);
    if (r->acts) discriminator_acts_free(r->acts);
    TRY(discriminator_acts_layout(&r->acts, &r->discriminator, r->split.largest, r->F, kind, arena));
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
    discriminator_acts_free(r->acts);
    self_forcing_free(&r->rollout);
    distribution_matching_free(&r->matching);
    levels_free(&r->levels);
    optimiser_free(&r->student);
    optimiser_free(&r->discriminator_optimiser);
    shard_free(&r->trunk.shard);
    mailbox_free(&r->mail);
    if (r->discriminator.heads) discriminator_destroy(&r->discriminator);
    free(r->host);
    memset(r, 0, sizeof *r);
}

int refine_step_prepare(struct refine_step *r) {
    levels_fill(&r->levels, r->step_size, r->config.fd_step);
    mem_zero(r->figures, figure_count(r) * sizeof(real));
    if (r->config.distill_share > 0) distribution_matching_prepare(&r->matching);
    return band_energy_prepare(&r->energy, r->split.batch);
}

void refine_step_new_heads(struct refine_step *r) { optimiser_initialise(&r->discriminator_optimiser, r->seed); }

void refine_step_fresh(struct refine_step *r) {
    optimiser_start(&r->student);
    optimiser_start(&r->discriminator_optimiser);
    if (r->config.distill_share > 0) distribution_matching_fresh(&r->matching);
}

void refine_heads_warm(struct refine_step *r) { optimiser_start(&r->discriminator_optimiser); }

void refine_schedule(struct refine_step *r, long heads, long whole, long held) {
    const struct refine_config *c = &r->config;
    r->discriminator_optimiser.idle = heads >= c->head_warmup ? c->head_warmup : 0;
    r->discriminator_optimiser.steps = c->head_warmup + whole + c->stage.steps * c->ratio;
    r->student.idle = held;
}

/* ---- what the discriminator sees ---- */

/* Draws one level and one noise for each pair of a part, which is at work from here on. */
static void draw_level(struct refine_step *r, const struct part *part, uint64_t round, int pass) {
    struct step_random random = {.seed = r->seed, .step = round, .pass = pass, .level_pass = pass};
    r->B = part->count;
    levels_draw(&r->levels, r->noise, &r->config.level, &random, RANDOM_DISCRIMINATOR, part, r->rollout.size);
}

/* Fills r->input. The eta of a moved input is drawn by its address, so that it is the same each time. */
static void make_input(struct refine_step *r, enum refine_input kind, const struct batch_part *b,
                       const real *fake_clips, uint64_t round, int index) {
    int moved = kind == INPUT_REAL_MOVED || kind == INPUT_FAKE_MOVED;
    int is_real = kind == INPUT_REAL || kind == INPUT_REAL_MOVED;
    long size = r->rollout.size, groups = (long)r->B * r->F;
    levels_noise(&r->levels, r->input, is_real ? b->clips : fake_clips, r->noise, size);
    if (!moved) return;
    random_normal(r->eta, r->seed, round, RANDOM_PERTURB, 2 * index + is_real, b->part.sample0, r->B, 0, r->F, size);
    real_group_combine(r->input, r->levels.one, r->input, r->step_size, r->eta, groups, size);
}

/* Computes the logits of r->input. */
static int discriminate(struct refine_step *r, const struct params *params, const struct condition_batch *condition,
                        enum refine_input kind, struct dit_input *in) {
    *in = condition_batch_clip(condition, 0, r->input, r->rollout.clip, r->levels.t);
    discriminator_condition_reset(r->acts);
    return discriminator_forward(&r->discriminator, params, r->acts, in, r->logits[kind],
                                 r->logits[kind] + local_count(r));
}

static int wanted(const struct refine_step *r, enum refine_input kind) {
    if (kind == INPUT_REAL_MOVED) return r->config.r1 > 0;
    if (kind == INPUT_FAKE_MOVED) return r->config.r2 > 0;
    return 1;
}

/* ---- losses on logits ---- */

/* Weight of a part's mean in the batch's. */
static double share_of_batch(const struct refine_step *r) { return (double)r->B / r->split.batch; }

/* Adds softplus(-(D(a) - D(b))), averaged over frames and over clips apart, to the loss; sets the slopes of a, and
   those of b when slope_of_b is not 0. */
static void pair_losses(struct refine_step *r, real *loss, enum refine_input a, enum refine_input b, int slope_of_b) {
    long local = local_count(r);
    double share = share_of_batch(r);
    const real *la = r->logits[a], *lb = r->logits[b];
    real *sa = r->slopes[a], *sb = slope_of_b ? r->slopes[b] : NULL;
    relativistic_loss(loss, sa, sb, la, lb, (real)(share * r->config.local_weight), local);
    relativistic_loss(loss, sa + local, sb ? sb + local : NULL, la + local, lb + local,
                      (real)(share * r->config.global_weight), r->B);
}

/* Adds one branch's penalty, on the n logits from `at` on: weighted to loss and slopes, plain to the figure. */
static void branch_penalty(struct refine_step *r, real *loss, enum refine_input still, enum refine_input moved, long at,
                           long n, double weight, real *figure) {
    real h = (real)r->config.fd_step;
    double share = share_of_batch(r);
    finite_difference_penalty(loss, r->slopes[moved] + at, r->slopes[still] + at, r->logits[moved] + at,
                              r->logits[still] + at, h, (real)(share * weight), n);
    finite_difference_penalty(figure, NULL, NULL, r->logits[moved] + at, r->logits[still] + at, h, (real)share, n);
}

/* Adds both branches' penalties on one kind of clips. figures: [BRANCHES]. */
static void penalty(struct refine_step *r, real *loss, enum refine_input still, enum refine_input moved, double weight,
                    real *figures) {
    long local = local_count(r);
    mem_zero(r->slopes[moved], sizeof(real) * (size_t)logit_count(r));
    if (weight == 0) return;
    branch_penalty(r, loss, still, moved, 0, local, weight * r->config.local_weight, figures + BRANCH_LOCAL);
    branch_penalty(r, loss, still, moved, local, r->B, weight * r->config.global_weight, figures + BRANCH_GLOBAL);
}

/* Copies a part's logits to their places among the batch's: frames' [batch, F - 1], then clips' [batch]. */
static void keep_logits(const struct refine_step *r, const struct part *part, enum refine_input kind, real *figures) {
    long local = local_count(r), frames = r->F - 1;
    mem_copy(figures + part->sample0 * frames, r->logits[kind], sizeof(real) * (size_t)local);
    mem_copy(figures + part->batch * frames + part->sample0, r->logits[kind] + local, sizeof(real) * (size_t)r->B);
}

/* ---- the discriminator ---- */

int refine_discriminator_gradient(struct refine_step *r, const struct params *params, const struct batch_part *b,
                                  const real *fake_clips, uint64_t round, int index, int heads_only, real *loss) {
    struct dit_input in;
    struct params pass = *params;
    int last_input = wanted(r, INPUT_FAKE_MOVED)   ? INPUT_FAKE_MOVED
                     : wanted(r, INPUT_REAL_MOVED) ? INPUT_REAL_MOVED
                                                   : INPUT_FAKE;
    draw_level(r, &b->part, round, JUDGE_PASS + index);
    for (int i = 0; i < REFINE_INPUTS; i++) {
        if (!wanted(r, i)) continue;
        make_input(r, i, b, fake_clips, round, index);
        TRY(discriminate(r, params, &b->condition, i, &in));
    }
    pair_losses(r, loss, INPUT_REAL, INPUT_FAKE, 1);
    penalty(r, loss, INPUT_REAL, INPUT_REAL_MOVED, r->config.r1, r->figures + FIGURE_R1);
    penalty(r, loss, INPUT_FAKE, INPUT_FAKE_MOVED, r->config.r2, r->figures + FIGURE_R2);
    keep_logits(r, &b->part, INPUT_REAL, r->figures + FIGURE_LOGITS);
    keep_logits(r, &b->part, INPUT_FAKE, r->figures + FIGURE_LOGITS + (long)b->part.batch * r->F);
    for (int i = 0; i < REFINE_INPUTS; i++) {
        if (!wanted(r, i)) continue;
        pass.last = params->last && i == last_input;
        make_input(r, i, b, fake_clips, round, index);
        TRY(discriminate(r, params, &b->condition, i, &in));
        TRY(discriminator_backward(&r->discriminator, &pass, r->acts, &in, r->slopes[i], r->slopes[i] + local_count(r),
                                   NULL, 0, heads_only));
    }
    return OK;
}

int refine_discriminator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                                uint64_t round, int index, long update, int heads_only) {
    struct params params = optimiser_params(&r->discriminator_optimiser);
    struct batch_part b;
    optimiser_begin(&r->discriminator_optimiser);
    mem_zero(r->figures, sizeof(real) * FIGURE_MADE);
    mem_zero(r->figures + FIGURE_LOGITS, sizeof(real) * (figure_count(r) - FIGURE_LOGITS));
    for (int i = 0; i < r->split.parts; i++) {
        batch_part(&b, &r->split, i, clips, r->rollout.clip, condition);
        params.last = b.part.last;
        TRY(refine_discriminator_gradient(r, &params, &b, r->rollout.x + b.part.first * r->rollout.clip, round, index,
                                          heads_only, r->discriminator_optimiser.loss));
    }
    return optimiser_step(&r->discriminator_optimiser, update, heads_only ? r->discriminator.head_slice : 0);
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

/* Adds the generator's adversarial loss to loss [1]. `in` is the input with the fake clips; it comes last, so that the
   activations are its. */
static int generator_loss(struct refine_step *r, const struct params *params, const struct batch_part *b,
                          const real *fake_clips, uint64_t round, real *loss, struct dit_input *in) {
    draw_level(r, &b->part, round, GENERATOR_PASS);
    make_input(r, INPUT_REAL, b, fake_clips, round, 0);
    TRY(discriminate(r, params, &b->condition, INPUT_REAL, in));
    make_input(r, INPUT_FAKE, b, fake_clips, round, 0);
    TRY(discriminate(r, params, &b->condition, INPUT_FAKE, in));
    pair_losses(r, loss, INPUT_FAKE, INPUT_REAL, 0);
    return OK;
}

int refine_generator_gradient(struct refine_step *r, const struct params *params, const struct batch_part *b,
                              const real *fake_clips, uint64_t round, real *g, real *loss) {
    struct dit_input in;
    TRY(generator_loss(r, params, b, fake_clips, round, loss, &in));
    mem_zero(r->by_input, sizeof(real) * (size_t)value_count(r));
    TRY(discriminator_backward(&r->discriminator, params, r->acts, &in, r->slopes[INPUT_FAKE],
                               r->slopes[INPUT_FAKE] + local_count(r), r->by_input, r->rollout.clip, 0));
    real_group_combine(g, r->levels.through_noise, r->by_input, r->levels.zero, r->by_input, (long)r->B * r->F,
                       r->rollout.size);
    return OK;
}

/* Adds the distillation gradient, times its share, to g. Its loss is not added, because it has another scale. */
static int add_distillation(struct refine_step *r, const struct batch_part *b, uint64_t round) {
    TRY(distribution_matching_gradient(&r->matching, &b->part, r->g_matching, r->part_loss,
                                       self_forcing_clips(&r->rollout), &b->condition, round));
    real_axpby(r->g, (real)r->config.distill_share, r->g_matching, 1, value_count(r));
    return OK;
}

/* Adds the energies of a part's rollouts and real clips to the figures. */
static void measure(struct refine_step *r, const struct batch_part *b) {
    band_energy_measure(&r->energy, r->figures + FIGURE_MADE, self_forcing_clips(&r->rollout), b->part.count);
    band_energy_measure(&r->energy, r->figures + FIGURE_TRUTH, b->clips, b->part.count);
}

static void begin_generator(struct refine_step *r) {
    optimiser_begin(&r->student);
    mem_zero(r->figures + FIGURE_MADE, sizeof(real) * 2 * ENERGY_BANDS);
}

int refine_generator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                            uint64_t round, long step) {
    struct params frozen = optimiser_frozen(&r->discriminator_optimiser), student = optimiser_params(&r->student);
    struct batch_part b;
    begin_generator(r);
    for (int i = 0; i < r->split.parts; i++) {
        batch_part(&b, &r->split, i, clips, r->rollout.clip, condition);
        student.last = b.part.last;
        TRY(roll_out(r, &b, round, 0));
        TRY(refine_generator_gradient(r, &frozen, &b, self_forcing_clips(&r->rollout), round, r->g, r->student.loss));
        if (r->config.distill_share > 0) TRY(add_distillation(r, &b, round));
        TRY(self_forcing_backward(&r->rollout, &student, &b.condition, r->g));
        measure(r, &b);
    }
    return optimiser_step(&r->student, step, 0);
}

int refine_generator_hold(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                          uint64_t round, long step) {
    struct params frozen = optimiser_frozen(&r->discriminator_optimiser);
    struct batch_part b;
    struct dit_input in;
    begin_generator(r);
    for (int i = 0; i < r->split.parts; i++) {
        batch_part(&b, &r->split, i, clips, r->rollout.clip, condition);
        TRY(roll_out(r, &b, round, 0));
        TRY(generator_loss(r, &frozen, &b, self_forcing_clips(&r->rollout), round, r->student.loss, &in));
        measure(r, &b);
    }
    return optimiser_hold(&r->student, step);
}

/* ---- figures ---- */

int refine_step_end(struct refine_step *r, uint64_t round) {
    TRY(sharding_add(r->student.shard.all, r->figures, (long)figure_count(r)));
    mailbox_post(&r->mail, (long)round, r->figures);
    return OK;
}

static double mean_difference(const real *a, const real *b, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)a[i] - (double)b[i];
    return sum / (double)n;
}

int refine_step_report(struct refine_step *r, uint64_t round, struct refine_report *report) {
    const struct refine_config *c = &r->config;
    long local = (long)r->split.batch * (r->F - 1), all = (long)r->split.batch * r->F;
    const real *real_logits = r->host + FIGURE_LOGITS, *fake_logits = real_logits + all;
    if (!mailbox_read(&r->mail, (long)round, r->host)) return 0;
    for (int i = 0; i < BRANCHES; i++) {
        report->r1[i] = (double)r->host[FIGURE_R1 + i];
        report->r2[i] = (double)r->host[FIGURE_R2 + i];
    }
    for (int i = 0; i < ENERGY_BANDS; i++) {
        double truth = (double)r->host[FIGURE_TRUTH + i];
        report->energy[i] = truth > 0 ? (double)r->host[FIGURE_MADE + i] / truth : 0;
    }
    double *margin = report->branch_margin;
    margin[BRANCH_LOCAL] = mean_difference(real_logits, fake_logits, local);
    margin[BRANCH_GLOBAL] = mean_difference(real_logits + local, fake_logits + local, r->split.batch);
    report->margin = (c->local_weight * margin[BRANCH_LOCAL] + c->global_weight * margin[BRANCH_GLOBAL]) /
                     (c->local_weight + c->global_weight);
    return 1;
}

/* Counts n passes of the discriminator: the trunk up to the last tap. The heads, small beside it, are left out. */
static void discriminator_work(const struct refine_step *r, enum work_pass kind, double n, struct step_work *work) {
    struct network_work *discriminator = step_work_trained(work, "discriminator", &r->discriminator_optimiser);
    struct dit_config trunk = r->net->config;
    struct batch_split split = r->split;
    int F = frames_alone(r) ? 1 : r->F;
    split.count *= r->F / F;
    trunk.layers = r->discriminator.config.taps[2] + 1;
    step_work_clips(work, discriminator, &trunk, &split, F, kind, r->config.stage.recompute, n);
}

void refine_step_work(const struct refine_step *r, struct step_work *work) {
    const struct refine_config *c = &r->config;
    struct network_work *student = step_work_trained(work, "student", &r->student);
    int inputs = 2 + (c->r1 > 0) + (c->r2 > 0);
    student->updates = 1;
    step_work_rollout(work, student, &r->rollout, &r->split, c->ratio);
    step_work_rollout_backward(work, student, &r->rollout, &r->split, c->stage.recompute);
    discriminator_work(r, WORK_FORWARD, 2 + 2.0 * inputs * c->ratio, work);
    discriminator_work(r, WORK_BACKWARD_INPUT, 1, work);
    discriminator_work(r, WORK_BACKWARD, (double)inputs * c->ratio, work);
    step_work_trained(work, "discriminator", &r->discriminator_optimiser)->updates = c->ratio;
    if (c->distill_share == 0) return;
    distribution_matching_work_gradient(&r->matching, c->stage.recompute, work);
    distribution_matching_work_critic(&r->matching, c->stage.recompute, r->critic_ratio, work);
}
