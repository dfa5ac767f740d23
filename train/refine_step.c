/* refine_step.c: see refine_step.h. */
#include "train/refine_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

/* Passes 0 .. are the critic's (matching.c), with which levels share their purpose; the generator's level and noise, then
   those of the discriminator's updates. */
enum { GENERATOR_PASS = 129, JUDGE_PASS = 130 };

static long local_count(const struct refine_step *r) { return (long)r->B * (r->F - 1); }
static long logit_count(const struct refine_step *r) { return (long)r->B * r->F; }
static long value_count(const struct refine_step *r) { return r->B * r->rollout.clip; }

/* ---- memory ---- */

static int layout_networks(struct refine_step *r, const struct run_config *config, struct arena *state,
                           struct arena *activations) {
    const struct refine_config *c = &config->refine;
    long updates = c->head_warmup + c->stage.steps * c->ratio;
    if (!r->discriminator.heads) TRY(discriminator_create(&r->discriminator, &r->net->config, &c->discriminator));
    const struct param_table *judged = &r->discriminator.trunk.table;
    if (judged->slice_offset[r->discriminator.head_slice] != r->net->table.total)
        return error_set(ERR_USAGE, "refine: the discriminator's trunk is not laid out like the teacher");
    TRY(optimiser_layout(&r->student, "student", &r->net->table, &c->stage.optimiser, c->stage.steps, state));
    TRY(optimiser_layout(&r->judge, "discriminator", judged, &c->critic, updates, state));
    TRY(self_forcing_layout(&r->rollout, r->net, &config->rollout, r->B, r->F, activations));
    if (c->distill_share == 0) return OK;
    return matching_layout(&r->matching, r->net, &config->distill.score, r->B, r->F, r->seed,
                           c->stage.steps * config->distill.score.critic_ratio, state, activations);
}

int refine_step_layout(struct refine_step *r, const struct dit *net, const struct run_config *config,
                       struct arena *state, struct arena *activations) {
    r->net = net;
    r->config = config->refine;
    r->seed = (uint64_t)config->seed;
    r->B = config->refine.stage.batch;
    r->F = config->frames;
    TRY(layout_networks(r, config, state, activations));
    TRY(levels_layout(&r->levels, r->B, r->F, activations));
    size_t all = (size_t)value_count(r), logits = (size_t)logit_count(r), figures = 2 + 2 * logits;
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
    TRY(discriminator_acts_layout(&r->acts, &r->discriminator, r->B, r->F, kind, arena));
    if (r->config.distill_share > 0) {
        arena_alternative(arena, &fork);
        TRY(matching_acts_layout(&r->matching, kind, arena));
    }
    arena_alternative(arena, &fork);
    TRY(self_forcing_acts_layout(&r->rollout, kind, arena));
    arena_join(arena, &fork);
    return OK;
}

void refine_step_free(struct refine_step *r) {
    discriminator_acts_free(r->acts);
    self_forcing_free(&r->rollout);
    matching_free(&r->matching);
    levels_free(&r->levels);
    optimiser_free(&r->student);
    optimiser_free(&r->judge);
    mailbox_free(&r->mail);
    if (r->discriminator.heads) discriminator_destroy(&r->discriminator);
    free(r->host);
    memset(r, 0, sizeof *r);
}

int refine_step_prepare(struct refine_step *r) {
    size_t groups = (size_t)r->B * r->F;
    real *host = malloc(groups * sizeof *host);
    if (!host) return error_set(ERR_DEVICE, "refine: out of memory");
    for (size_t g = 0; g < groups; g++) host[g] = g % r->F ? (real)r->config.fd_step : 0;
    mem_upload(r->step_size, host, groups * sizeof *host);
    free(host);
    mem_zero(r->figures, (2 + 2 * groups) * sizeof(real));
    if (r->config.distill_share > 0) matching_prepare(&r->matching);
    return OK;
}

void refine_step_new_heads(struct refine_step *r) {
    params_initialise(r->judge.master, &r->discriminator.trunk.table, r->seed);
}

void refine_step_fresh(struct refine_step *r) {
    optimiser_start(&r->student);
    optimiser_start(&r->judge);
    if (r->config.distill_share > 0) matching_fresh(&r->matching);
}

void refine_heads_warm(struct refine_step *r) { optimiser_start(&r->judge); }

/* ---- what the discriminator sees ---- */

/* One level a pair and one noise for both. */
static void draw_level(struct refine_step *r, uint64_t round, int pass) {
    struct random_address draw = {.seed = r->seed, .step = round, .purpose = RANDOM_TIMESTEP, .pass = pass};
    levels_draw(&r->levels, &r->config.level, &draw);
    random_normal(r->noise, r->seed, round, RANDOM_DISCRIMINATOR, pass, 0, r->B, 0, r->F, r->rollout.size);
}

/* Fills r->input. A moved input's eta has an address of its own, so it is the same each time. */
static void make_input(struct refine_step *r, enum refine_input kind, const real *real_clips, const real *fake_clips,
                       uint64_t round, int index) {
    int moved = kind == INPUT_REAL_MOVED || kind == INPUT_FAKE_MOVED;
    int is_real = kind == INPUT_REAL || kind == INPUT_REAL_MOVED;
    long size = r->rollout.size, groups = (long)r->B * r->F;
    levels_noise(&r->levels, r->input, is_real ? real_clips : fake_clips, r->noise, size);
    if (!moved) return;
    random_normal(r->eta, r->seed, round, RANDOM_PERTURB, 2 * index + is_real, 0, r->B, 0, r->F, size);
    real_group_combine(r->input, r->levels.one, r->input, r->step_size, r->eta, groups, size);
}

/* Logits of r->input. */
static int judge(struct refine_step *r, const struct params *params, const struct condition_batch *condition,
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

/* softplus(-(D(a) - D(b))), frames averaged, clips averaged; slopes of a, and of b when it is asked for. */
static void pair_losses(struct refine_step *r, real *loss, enum refine_input a, enum refine_input b, int slope_of_b) {
    long local = local_count(r);
    const real *la = r->logits[a], *lb = r->logits[b];
    real *sa = r->slopes[a], *sb = slope_of_b ? r->slopes[b] : NULL;
    relativistic_loss(loss, sa, sb, la, lb, (real)r->config.local_weight, local);
    relativistic_loss(loss, sa + local, sb ? sb + local : NULL, la + local, lb + local, (real)r->config.global_weight,
                      r->B);
}

/* The penalty's weighted loss and slopes, and its plain value as a figure. */
static void penalty(struct refine_step *r, real *loss, enum refine_input still, enum refine_input moved, double weight,
                    real *figure) {
    long n = logit_count(r);
    real h = (real)r->config.fd_step;
    mem_zero(r->slopes[moved], sizeof(real) * (size_t)n);
    mem_zero(figure, sizeof *figure);
    if (weight == 0) return;
    finite_difference_penalty(loss, r->slopes[moved], r->slopes[still], r->logits[moved], r->logits[still], h,
                              (real)weight, n);
    finite_difference_penalty(figure, NULL, NULL, r->logits[moved], r->logits[still], h, 1, n);
}

/* ---- the discriminator ---- */

int refine_discriminator_gradient(struct refine_step *r, const struct params *params, const real *real_clips,
                                  const real *fake_clips, const struct condition_batch *condition, uint64_t round,
                                  int index, int heads_only, real *loss) {
    struct dit_input in;
    draw_level(r, round, JUDGE_PASS + index);
    for (int i = 0; i < REFINE_INPUTS; i++) {
        if (!wanted(r, i)) continue;
        make_input(r, i, real_clips, fake_clips, round, index);
        TRY(judge(r, params, condition, i, &in));
    }
    pair_losses(r, loss, INPUT_REAL, INPUT_FAKE, 1);
    penalty(r, loss, INPUT_REAL, INPUT_REAL_MOVED, r->config.r1, r->figures);
    penalty(r, loss, INPUT_FAKE, INPUT_FAKE_MOVED, r->config.r2, r->figures + 1);
    mem_copy(r->figures + 2, r->logits[INPUT_REAL], sizeof(real) * (size_t)logit_count(r));
    mem_copy(r->figures + 2 + logit_count(r), r->logits[INPUT_FAKE], sizeof(real) * (size_t)logit_count(r));
    for (int i = 0; i < REFINE_INPUTS; i++) {
        if (!wanted(r, i)) continue;
        make_input(r, i, real_clips, fake_clips, round, index);
        TRY(judge(r, params, condition, i, &in));
        TRY(discriminator_backward(&r->discriminator, params, r->acts, &in, r->slopes[i], r->slopes[i] + local_count(r),
                                   NULL, 0, heads_only));
    }
    return OK;
}

int refine_discriminator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                                uint64_t round, int index, long update, int heads_only) {
    struct params params = optimiser_params(&r->judge);
    optimiser_begin(&r->judge);
    TRY(refine_discriminator_gradient(r, &params, clips, r->rollout.x, condition, round, index, heads_only,
                                      r->judge.loss));
    optimiser_step(&r->judge, update, heads_only ? r->discriminator.head_slice : 0);
    return OK;
}

/* ---- the generator ---- */

int refine_rollout(struct refine_step *r, const real *clips, const struct condition_batch *condition, uint64_t round,
                   int index) {
    struct params student = {.table = &r->net->table, .weights = r->student.weights};
    struct rollout_noise noise = {
        .seed = r->seed, .step = round, .purpose = RANDOM_ROLLOUT, .sample0 = (long)index * r->B};
    int exit = self_forcing_exit(r->config.exit, r->rollout.rollout.config.steps, r->seed, round);
    TRY(self_forcing_rollout(&r->rollout, &student, clips, r->rollout.clip, condition, &noise, exit));
    if (r->config.distill_share > 0) matching_show(&r->matching, r->rollout.x, condition);
    return OK;
}

int refine_generator_gradient(struct refine_step *r, const struct params *params, const real *real_clips,
                              const real *fake_clips, const struct condition_batch *condition, uint64_t round, real *g,
                              real *loss) {
    struct dit_input in;
    draw_level(r, round, GENERATOR_PASS);
    make_input(r, INPUT_REAL, real_clips, fake_clips, round, 0);
    TRY(judge(r, params, condition, INPUT_REAL, &in));
    make_input(r, INPUT_FAKE, real_clips, fake_clips, round, 0);
    TRY(judge(r, params, condition, INPUT_FAKE, &in));
    pair_losses(r, loss, INPUT_FAKE, INPUT_REAL, 0);
    mem_zero(r->by_input, sizeof(real) * (size_t)value_count(r));
    TRY(discriminator_backward(&r->discriminator, params, r->acts, &in, r->slopes[INPUT_FAKE],
                               r->slopes[INPUT_FAKE] + local_count(r), r->by_input, r->rollout.clip, 0));
    real_group_combine(g, r->levels.through_noise, r->by_input, r->levels.zero, r->by_input, (long)r->B * r->F,
                       r->rollout.size);
    return OK;
}

/* g += share times the distillation gradient; its loss is not added, for it has another scale. */
static int add_distillation(struct refine_step *r, const struct condition_batch *condition, uint64_t round) {
    TRY(matching_gradient(&r->matching, r->g_matching, r->figures, r->rollout.x, condition, round));
    real_axpby(r->g, (real)r->config.distill_share, r->g_matching, 1, value_count(r));
    return OK;
}

int refine_generator_update(struct refine_step *r, const real *clips, const struct condition_batch *condition,
                            uint64_t round, long step) {
    struct params frozen = {.table = &r->discriminator.trunk.table, .weights = r->judge.weights};
    struct params student = optimiser_params(&r->student);
    optimiser_begin(&r->student);
    TRY(refine_generator_gradient(r, &frozen, clips, r->rollout.x, condition, round, r->g, r->student.loss));
    if (r->config.distill_share > 0) TRY(add_distillation(r, condition, round));
    TRY(self_forcing_backward(&r->rollout, &student, condition, r->g));
    optimiser_step(&r->student, step, 0);
    return OK;
}

/* ---- figures ---- */

void refine_step_end(struct refine_step *r, long step) { mailbox_post(&r->mail, step, r->figures); }

static double mean_difference(const real *a, const real *b, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)a[i] - (double)b[i];
    return sum / (double)n;
}

int refine_step_report(struct refine_step *r, long step, struct refine_report *report) {
    long local = local_count(r);
    const real *real_logits = r->host + 2, *fake_logits = real_logits + logit_count(r);
    if (!mailbox_read(&r->mail, step, r->host)) return 0;
    report->r1 = (double)r->host[0];
    report->r2 = (double)r->host[1];
    report->local_margin = mean_difference(real_logits, fake_logits, local);
    report->global_margin = mean_difference(real_logits + local, fake_logits + local, r->B);
    return 1;
}
