/* discriminator_step.c: see discriminator_step.h. */
#include "train/method/discriminator_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

/* Numbers of the draws of level and noise: the generator's and those of clips that are only judged, then those of the
   updates. Draws from 0 on are the critic's (distribution_matching.c), whose levels have the same purpose. */
enum { GENERATOR_PASS = 129, UPDATE_PASS = 130 };

/* 1 where the trunk sees every frame by itself. Such a GAN of frames has no logit of the clip. */
static int frames_alone(const struct discriminator_step *d) { return d->config.discriminator.scope == SCOPE_FRAME; }
static long local_count(const struct discriminator_step *d) { return (long)d->B * (d->F - 1); }
static long logit_count(const struct discriminator_step *d) { return (long)d->B * d->F; }
static size_t figure_count(const struct discriminator_step *d) {
    return FIGURE_LOGITS + 2 * (size_t)d->split.batch * (size_t)d->F;
}

/* ---- memory ---- */

/* Lays out the optimiser. With adapters the frozen teacher is under the trunk, and the heads are trained whole. */
static int layout_optimiser(struct discriminator_step *d, long updates, struct frozen_weights *teacher,
                            struct sharding *shards, struct arena *state) {
    struct optimiser_config c = d->config.discriminator_optimiser;
    c.lora.first_whole_slice = d->network.head_slice;
    d->frozen = teacher ? teacher : c.lora.rank ? &d->own : NULL;
    if (d->frozen == &d->own) TRY(shard_layout_frozen(&d->own.shard, "teacher", &d->net->table, shards, state));
    optimiser_share(&d->optimiser, d->frozen);
    return optimiser_layout(&d->optimiser, "discriminator", &d->network.trunk.table, &c, updates, shards, state);
}

static int layout_network(struct discriminator_step *d, struct sharding *shards) {
    if (!d->network.heads) TRY(discriminator_create(&d->network, &d->net->config, &d->config.discriminator));
    TRY(dit_divide(&d->network.trunk, d->net->sequence));
    TRY(sharding_divide(shards, &d->network.trunk.table));
    if (d->network.trunk.table.slice_offset[d->network.head_slice] == d->net->table.total) return OK;
    return error_set(ERR_USAGE, "refine: the discriminator's trunk has not the parameters of the teacher");
}

int discriminator_step_layout(struct discriminator_step *d, const struct step_setup *setup,
                              const struct refine_config *config, long updates, struct frozen_weights *teacher,
                              struct arena *state, struct arena *activations) {
    const struct dit_config *c = &setup->net->config;
    d->net = setup->net;
    d->config = *config;
    if (frames_alone(d)) d->config.global_weight = 0;
    d->seed = setup->seed;
    TRY(sharding_batch_split(setup->shards, &d->split, config->stage.batch, config->stage.accumulate));
    d->B = d->split.largest;
    d->F = setup->F;
    d->size = (long)c->in_channels * c->height * c->width;
    d->clip = d->F * d->size;
    TRY(layout_network(d, setup->shards));
    TRY(layout_optimiser(d, updates, teacher, setup->shards, state));
    TRY(levels_layout(&d->levels, d->B, d->F, activations));
    size_t all = (size_t)(d->B * d->clip), logits = (size_t)logit_count(d), figures = figure_count(d);
    d->noise = ARENA_TAKE(activations, "noise of real and fake", real, all);
    d->eta = ARENA_TAKE(activations, "direction of the penalty", real, all);
    d->input = ARENA_TAKE(activations, "discriminator's input", real, all);
    d->by_input = ARENA_TAKE(activations, "gradient by the input", real, all);
    d->step_size = ARENA_TAKE(activations, "penalty's step", real, (size_t)d->B * d->F);
    for (int i = 0; i < JUDGED_INPUTS; i++) {
        d->logits[i] = ARENA_TAKE(activations, "logits", real, logits);
        d->slopes[i] = ARENA_TAKE(activations, "gradients of logits", real, logits);
    }
    d->figures = ARENA_TAKE(activations, "figures", real, figures);
    mailbox_layout(&d->mail, figures * sizeof(real), activations);
    free(d->host);
    d->host = malloc(figures * sizeof(real));
    return d->host ? OK : error_set(ERR_DEVICE, "discriminator: out of memory");
}

int discriminator_step_acts_layout(struct discriminator_step *d, struct arena *arena) {
    enum dit_memory kind = d->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    if (d->acts) discriminator_acts_free(d->acts);
    return discriminator_acts_layout(&d->acts, &d->network, d->split.largest, d->F, kind, arena);
}

void discriminator_step_free(struct discriminator_step *d) {
    discriminator_acts_free(d->acts);
    levels_free(&d->levels);
    optimiser_free(&d->optimiser);
    shard_free(&d->own.shard);
    mailbox_free(&d->mail);
    if (d->network.heads) discriminator_destroy(&d->network);
    free(d->host);
    memset(d, 0, sizeof *d);
}

void discriminator_step_prepare(struct discriminator_step *d) {
    levels_fill(&d->levels, d->step_size, d->config.fd_step);
    mem_zero(d->figures, figure_count(d) * sizeof(real));
}

void discriminator_step_new_heads(struct discriminator_step *d) { optimiser_initialise(&d->optimiser, d->seed); }

void discriminator_heads_warm(struct discriminator_step *d) { optimiser_start(&d->optimiser); }

void discriminator_schedule(struct discriminator_step *d, long heads, long updates) {
    d->optimiser.idle = heads >= d->config.head_warmup ? d->config.head_warmup : 0;
    d->optimiser.steps = updates;
}

/* ---- what the discriminator sees ---- */

/* Draws one level and one noise for each pair of a part, which is at work from here on. */
static void draw_level(struct discriminator_step *d, const struct part *part, uint64_t round, int pass) {
    struct step_random random = {.seed = d->seed, .step = round, .pass = pass, .level_pass = pass};
    d->B = part->count;
    levels_draw(&d->levels, d->noise, &d->config.level, &random, RANDOM_DISCRIMINATOR, part, d->size);
}

static int is_real(enum judged_input kind) { return kind == INPUT_REAL || kind == INPUT_REAL_MOVED; }

/* Fills d->input. The eta of a moved input is drawn by its address, so that it is the same each time. */
static void make_input(struct discriminator_step *d, enum judged_input kind, const struct batch_part *b, uint64_t round,
                       int index) {
    long groups = logit_count(d);
    levels_noise(&d->levels, d->input, b->clips, d->noise, d->size);
    if (kind == INPUT_REAL || kind == INPUT_FAKE) return;
    random_normal(d->eta, d->seed, round, RANDOM_PERTURB, 2 * index + is_real(kind), b->part.sample0, d->B, 0, d->F,
                  d->size);
    real_group_combine(d->input, d->levels.one, d->input, d->step_size, d->eta, groups, d->size);
}

/* Makes an input and computes its logits. */
static int discriminate(struct discriminator_step *d, const struct params *params, const struct batch_part *b,
                        enum judged_input kind, uint64_t round, int index, struct dit_input *in) {
    make_input(d, kind, b, round, index);
    *in = condition_batch_clip(&b->condition, 0, d->input, d->clip, d->levels.t);
    discriminator_condition_reset(d->acts);
    return discriminator_forward(&d->network, params, d->acts, in, d->logits[kind], d->logits[kind] + local_count(d));
}

static int wanted(const struct discriminator_step *d, enum judged_input kind) {
    if (kind == INPUT_REAL_MOVED) return d->config.r1 > 0;
    if (kind == INPUT_FAKE_MOVED) return d->config.r2 > 0;
    return 1;
}

int discriminator_inputs(const struct discriminator_step *d) {
    int count = 0;
    for (int i = 0; i < JUDGED_INPUTS; i++) count += wanted(d, i);
    return count;
}

/* ---- losses on logits ---- */

/* Weight of a part's mean in the batch's. */
static double share_of_batch(const struct discriminator_step *d) { return (double)d->B / d->split.batch; }

/* Adds softplus(-(D(a) - D(b))), averaged over frames and over clips apart, to the loss; sets the slopes of a, and
   those of b when slope_of_b is not 0. */
static void pair_losses(struct discriminator_step *d, real *loss, enum judged_input a, enum judged_input b,
                        int slope_of_b) {
    long local = local_count(d);
    double share = share_of_batch(d);
    const real *la = d->logits[a], *lb = d->logits[b];
    real *sa = d->slopes[a], *sb = slope_of_b ? d->slopes[b] : NULL;
    relativistic_loss(loss, sa, sb, la, lb, (real)(share * d->config.local_weight), local);
    relativistic_loss(loss, sa + local, sb ? sb + local : NULL, la + local, lb + local,
                      (real)(share * d->config.global_weight), d->B);
}

/* Adds one branch's penalty, on the n logits from `at` on: weighted to loss and slopes, plain to the figure. */
static void branch_penalty(struct discriminator_step *d, real *loss, enum judged_input still, enum judged_input moved,
                           long at, long n, double weight, real *figure) {
    real h = (real)d->config.fd_step;
    double share = share_of_batch(d);
    finite_difference_penalty(loss, d->slopes[moved] + at, d->slopes[still] + at, d->logits[moved] + at,
                              d->logits[still] + at, h, (real)(share * weight), n);
    finite_difference_penalty(figure, NULL, NULL, d->logits[moved] + at, d->logits[still] + at, h, (real)share, n);
}

/* Adds both branches' penalties on one kind of clips. figures: [BRANCHES]. */
static void penalty(struct discriminator_step *d, real *loss, enum judged_input still, enum judged_input moved,
                    double weight, real *figures) {
    long local = local_count(d);
    mem_zero(d->slopes[moved], sizeof(real) * (size_t)logit_count(d));
    if (weight == 0) return;
    branch_penalty(d, loss, still, moved, 0, local, weight * d->config.local_weight, figures + BRANCH_LOCAL);
    branch_penalty(d, loss, still, moved, local, d->B, weight * d->config.global_weight, figures + BRANCH_GLOBAL);
}

/* Copies a part's logits to their places among the batch's: frames' [batch, F - 1], then clips' [batch]. */
static void keep_logits(const struct discriminator_step *d, const struct part *part, enum judged_input kind) {
    long local = local_count(d), frames = d->F - 1;
    real *figures = d->figures + FIGURE_LOGITS + (is_real(kind) ? 0 : (long)part->batch * d->F);
    mem_copy(figures + part->sample0 * frames, d->logits[kind], sizeof(real) * (size_t)local);
    mem_copy(figures + part->batch * frames + part->sample0, d->logits[kind] + local, sizeof(real) * (size_t)d->B);
}

/* ---- updates ---- */

static void forget_logits(struct discriminator_step *d) {
    mem_zero(d->figures + FIGURE_LOGITS, sizeof(real) * (figure_count(d) - FIGURE_LOGITS));
}

int discriminator_gradient(struct discriminator_step *d, const struct params *params,
                           const struct batch_part *real_part, const struct batch_part *fake_part, uint64_t round,
                           int index, int heads_only, real *loss) {
    struct dit_input in;
    struct params pass = *params;
    int last_input = wanted(d, INPUT_FAKE_MOVED)   ? INPUT_FAKE_MOVED
                     : wanted(d, INPUT_REAL_MOVED) ? INPUT_REAL_MOVED
                                                   : INPUT_FAKE;
    draw_level(d, &real_part->part, round, UPDATE_PASS + index);
    for (int i = 0; i < JUDGED_INPUTS; i++)
        if (wanted(d, i)) TRY(discriminate(d, params, is_real(i) ? real_part : fake_part, i, round, index, &in));
    pair_losses(d, loss, INPUT_REAL, INPUT_FAKE, 1);
    penalty(d, loss, INPUT_REAL, INPUT_REAL_MOVED, d->config.r1, d->figures + FIGURE_R1);
    penalty(d, loss, INPUT_FAKE, INPUT_FAKE_MOVED, d->config.r2, d->figures + FIGURE_R2);
    keep_logits(d, &real_part->part, INPUT_REAL);
    keep_logits(d, &real_part->part, INPUT_FAKE);
    for (int i = 0; i < JUDGED_INPUTS; i++) {
        if (!wanted(d, i)) continue;
        pass.last = params->last && i == last_input;
        TRY(discriminate(d, params, is_real(i) ? real_part : fake_part, i, round, index, &in));
        TRY(discriminator_backward(&d->network, &pass, d->acts, &in, d->slopes[i], d->slopes[i] + local_count(d), NULL,
                                   0, heads_only));
    }
    return OK;
}

/* Points at part i of the pairs. */
static void pair_part(const struct discriminator_step *d, int i, const struct judged_clips *real_clips,
                      const struct judged_clips *fake_clips, struct batch_part *real_part,
                      struct batch_part *fake_part) {
    batch_part(real_part, &d->split, i, real_clips->clips, d->clip, real_clips->condition);
    batch_part(fake_part, &d->split, i, fake_clips->clips, d->clip, fake_clips->condition);
}

int discriminator_update(struct discriminator_step *d, const struct judged_clips *real_clips,
                         const struct judged_clips *fake_clips, uint64_t round, int index, long update,
                         int heads_only) {
    struct params params = optimiser_params(&d->optimiser);
    struct batch_part real_part, fake_part;
    optimiser_begin(&d->optimiser);
    mem_zero(d->figures, sizeof(real) * FIGURE_MADE);
    forget_logits(d);
    for (int i = 0; i < d->split.parts; i++) {
        pair_part(d, i, real_clips, fake_clips, &real_part, &fake_part);
        params.last = real_part.part.last;
        TRY(discriminator_gradient(d, &params, &real_part, &fake_part, round, index, heads_only, d->optimiser.loss));
    }
    return optimiser_step(&d->optimiser, update, heads_only ? d->network.head_slice : 0);
}

/* Computes the logits of a part's pairs. The fake clips come last, so that the activations are theirs. */
static int judge_part(struct discriminator_step *d, const struct params *params, const struct batch_part *real_part,
                      const struct batch_part *fake_part, uint64_t round, struct dit_input *in) {
    draw_level(d, &real_part->part, round, GENERATOR_PASS);
    TRY(discriminate(d, params, real_part, INPUT_REAL, round, 0, in));
    return discriminate(d, params, fake_part, INPUT_FAKE, round, 0, in);
}

int discriminator_judge(struct discriminator_step *d, const struct judged_clips *real_clips,
                        const struct judged_clips *fake_clips, uint64_t round) {
    struct params frozen = optimiser_frozen(&d->optimiser);
    struct batch_part real_part, fake_part;
    struct dit_input in;
    forget_logits(d);
    for (int i = 0; i < d->split.parts; i++) {
        pair_part(d, i, real_clips, fake_clips, &real_part, &fake_part);
        TRY(judge_part(d, &frozen, &real_part, &fake_part, round, &in));
        keep_logits(d, &real_part.part, INPUT_REAL);
        keep_logits(d, &real_part.part, INPUT_FAKE);
    }
    return OK;
}

/* ---- the generator's loss ---- */

static int generator_loss(struct discriminator_step *d, const struct params *params, const struct batch_part *real_part,
                          const struct batch_part *fake_part, uint64_t round, real *loss, struct dit_input *in) {
    TRY(judge_part(d, params, real_part, fake_part, round, in));
    pair_losses(d, loss, INPUT_FAKE, INPUT_REAL, 0);
    return OK;
}

int discriminator_generator_loss(struct discriminator_step *d, const struct params *params,
                                 const struct batch_part *real_part, const struct batch_part *fake_part, uint64_t round,
                                 real *loss) {
    struct dit_input in;
    return generator_loss(d, params, real_part, fake_part, round, loss, &in);
}

int discriminator_generator_gradient(struct discriminator_step *d, const struct params *params,
                                     const struct batch_part *real_part, const struct batch_part *fake_part,
                                     uint64_t round, real *g, real *loss) {
    struct dit_input in;
    TRY(generator_loss(d, params, real_part, fake_part, round, loss, &in));
    mem_zero(d->by_input, sizeof(real) * (size_t)(d->B * d->clip));
    TRY(discriminator_backward(&d->network, params, d->acts, &in, d->slopes[INPUT_FAKE],
                               d->slopes[INPUT_FAKE] + local_count(d), d->by_input, d->clip, 0));
    real_group_combine(g, d->levels.through_noise, d->by_input, d->levels.zero, d->by_input, logit_count(d), d->size);
    return OK;
}

/* ---- figures ---- */

int discriminator_step_end(struct discriminator_step *d, uint64_t round) {
    TRY(sharding_add(d->optimiser.shard.all, d->figures, (long)figure_count(d)));
    mailbox_post(&d->mail, (long)round, d->figures);
    return OK;
}

static double mean_difference(const real *a, const real *b, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++) sum += (double)a[i] - (double)b[i];
    return sum / (double)n;
}

int discriminator_step_report(struct discriminator_step *d, uint64_t round, struct discriminator_report *report) {
    const struct refine_config *c = &d->config;
    long local = (long)d->split.batch * (d->F - 1), all = (long)d->split.batch * d->F;
    const real *real_logits = d->host + FIGURE_LOGITS, *fake_logits = real_logits + all;
    if (!mailbox_read(&d->mail, (long)round, d->host)) return 0;
    for (int i = 0; i < BRANCHES; i++) {
        report->r1[i] = (double)d->host[FIGURE_R1 + i];
        report->r2[i] = (double)d->host[FIGURE_R2 + i];
    }
    for (int i = 0; i < ENERGY_BANDS; i++) {
        double truth = (double)d->host[FIGURE_TRUTH + i];
        report->energy[i] = truth > 0 ? (double)d->host[FIGURE_MADE + i] / truth : 0;
    }
    double *margin = report->branch_margin;
    margin[BRANCH_LOCAL] = mean_difference(real_logits, fake_logits, local);
    margin[BRANCH_GLOBAL] = mean_difference(real_logits + local, fake_logits + local, d->split.batch);
    report->margin = (c->local_weight * margin[BRANCH_LOCAL] + c->global_weight * margin[BRANCH_GLOBAL]) /
                     (c->local_weight + c->global_weight);
    return 1;
}

void discriminator_step_work(const struct discriminator_step *d, enum work_pass kind, double n,
                             struct step_work *work) {
    struct network_work *discriminator = step_work_trained(work, "discriminator", &d->optimiser);
    struct dit_config trunk = d->net->config;
    struct batch_split split = d->split;
    int F = frames_alone(d) ? 1 : d->F;
    split.count *= d->F / F;
    trunk.layers = d->network.config.taps[2] + 1;
    step_work_clips(work, discriminator, &trunk, &split, F, kind, d->config.stage.recompute, n);
}
