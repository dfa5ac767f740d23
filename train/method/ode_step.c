/* ode_step.c: see ode_step.h. */
#include "train/method/ode_step.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/permutation.h"
#include "base/philox.h"
#include "base/schedule.h"
#include "kernels/device.h"

/* ---- settings ---- */

static const char *const loss_names[] = {"trajectories", "consistency", NULL};
static const char *const history_names[] = {"own", "last", NULL};
#define FIELDS_OF struct ode_init_config
static const struct config_field fields[] = {
    STAGE_KEYS("ode_init", stage, "100", "8"),
    OPTIMISER_KEYS("ode_init.optimiser", stage.optimiser, "5e-4", "0.9", "0.99", "0.01", "1", "10", "30", "0.99"),
    TEXT("ode_init.teacher", teacher, "", "The teacher: a stage's folder or a state; empty: RUN/teacher."),
    CHOICE("ode_init.loss", loss, loss_names, "trajectories",
           "What the student learns from. trajectories: the ends of recorded trajectories of the teacher; consistency: "
           "its own average's answer after one step of the teacher's solver from noised clips, without recordings."),
    INT("ode_init.trajectories", trajectories, 1, 100000000, "320",
        "Number of clips that the teacher samples and whose trajectories are recorded."),
    SAMPLER_KEYS("ode_init.sampler", sampler, "12", "3", "2"),
    CHOICE("ode_init.history", history, history_names, "last",
           "What earlier chunks show to a chunk. last: their keys and values at the last noise level, or with "
           "rollout.clean_pass clean, as in streaming; own: at the level that each was drawn."),
    SPOIL_KEYS("ode_init.history_spoil", spoil),
};
SECTION(ode_init,
        "Trains the causal student on trajectories of the teacher that it records, or by consistency along them.",
        "negative lora rollout", NULL, TRAINS("student", stage.optimiser));

static int own_frames(const struct ode_step *s, int chunk) { return causal_own(&s->levels.causal, chunk); }
static int first_frame(const struct ode_step *s, int chunk) { return causal_first(&s->levels.causal, chunk); }

static int learns_consistency(const struct ode_step *s) { return s->config.loss == ODE_LOSS_CONSISTENCY; }

/* 1: the pass that writes a chunk's history is another than the one that is at the level drawn. */
static int has_history_pass(const struct ode_step *s) {
    if (s->config.history == ODE_HISTORY_OWN) return 0;
    return learns_consistency(s) || s->levels.clean_pass || s->levels.steps > 1;
}

/* Level at which the cache is written in streaming. */
static double history_level(const struct ode_step *s) {
    return s->levels.clean_pass ? 0 : s->levels.sigma[s->levels.steps - 1];
}

/* A history of pure noise tells of a trajectory, whose start it is, but of a noised clip nothing. */
static int check_history(const struct ode_step *s) {
    if (!learns_consistency(s)) return OK;
    if (s->config.spoil.probability > 0)
        return error_set(ERR_USAGE, "ode_init.history_spoil.probability: must be 0 with ode_init.loss `consistency`, "
                                    "which keeps no end of a clip to spoil");
    if (s->config.history == ODE_HISTORY_OWN || history_level(s) < 1) return OK;
    return error_set(ERR_USAGE, "ode_init.loss: `consistency` with rollout.sigma [1] needs rollout.clean_pass, because "
                                "a history written at level 1 shows nothing of the clip");
}

/* ---- memory ---- */

static int layout_consistency(struct ode_step *s, const struct step_setup *setup, struct arena *state,
                              struct arena *activations) {
    const struct sampler_config *c = &s->config.sampler;
    const struct dit_config *net = &s->net->config;
    if (c->steps > SAMPLER_STEPS_MAX)
        return error_set(ERR_USAGE, "ode_init.sampler.steps: expected at most %d", SAMPLER_STEPS_MAX);
    double timestep[SAMPLER_STEPS_MAX];
    TRY(schedule_sampler((enum schedule_kind)c->schedule, c->steps, c->shift, s->solver, timestep));
    TRY(shard_layout_frozen(&s->average, "student's average", &s->net->table, setup->shards, state));
    TRY(consistency_layout(&s->pairs, net, &s->split, s->F, activations));
    s->pairs.seed = s->seed;
    s->pairs.history = history_level(s);
    band_energy_layout(&s->energy, s->split.largest, s->F, net->in_channels, s->size, activations);
    s->figures = ARENA_TAKE(activations, "figures", struct ode_figures, 1);
    mailbox_layout(&s->mail, sizeof *s->figures, activations);
    return OK;
}

int ode_step_layout(struct ode_step *s, const struct step_setup *setup, const struct ode_init_config *config,
                    struct arena *state, struct arena *activations) {
    const struct dit *net = setup->net;
    const struct stage_config *c = &config->stage;
    const int C = setup->rollout->causal.chunk;
    s->net = net;
    s->config = *config;
    s->levels = *setup->rollout;
    s->seed = setup->seed;
    s->F = setup->F;
    TRY(sharding_batch_split(setup->shards, &s->split, c->batch, c->accumulate));
    TRY(check_history(s));
    s->chunks = causal_chunks(&s->levels.causal, s->F);
    s->size = (long)net->config.in_channels * net->config.height * net->config.width;
    s->clip = s->size * s->F;
    TRY(optimiser_layout(&s->student, "student", &net->table, &c->optimiser, c->steps, setup->shards, state));

    TRY(history_spoil_layout(&s->spoil, "ode_init.history_spoil", &config->spoil, &net->config, &s->levels.causal,
                             s->split.largest, s->chunks, activations));

    size_t groups = (size_t)s->split.largest * C, chunk = groups * s->size;
    int states = learns_consistency(s) ? CONSISTENCY_STATES : s->levels.steps + 1;
    s->states = ARENA_TAKE(activations, "clips' states", real, (size_t)states * s->split.count * s->clip);
    if (learns_consistency(s)) TRY(layout_consistency(s, setup, state, activations));
    s->input = ARENA_TAKE(activations, "chunk's input", real, chunk);
    s->target = ARENA_TAKE(activations, "chunk's target velocity", real, chunk);
    s->velocity = ARENA_TAKE(activations, "chunk's velocity", real, chunk);
    s->slope = ARENA_TAKE(activations, "chunk's velocity gradient", real, chunk);
    real **small[4] = {&s->t, &s->of_input, &s->of_other, &s->weight};
    for (int i = 0; i < 4; i++) *small[i] = ARENA_TAKE(activations, "chunk's levels", real, groups);
    free(s->host);
    s->host = malloc(4 * groups * sizeof(real));
    return s->host ? OK : error_set(ERR_DEVICE, "ode_init: out of memory");
}

int ode_step_acts_layout(struct ode_step *s, struct arena *arena) {
    enum dit_memory kind = s->config.stage.recompute == RECOMPUTE_BLOCK ? DIT_SAVE_BLOCKS : DIT_SAVE_ALL;
    kv_cache_free(s->cache);
    TRY(kv_cache_layout(&s->cache, s->net, &s->levels.causal, s->split.largest, s->F, arena));
    TRY(kv_cache_grads_layout(s->cache, arena));
    if (s->acts) dit_acts_free(s->acts);
    return dit_acts_layout(&s->acts, s->net, s->split.largest, s->levels.causal.chunk, kind, arena);
}

void ode_step_free(struct ode_step *s) {
    if (s->acts) dit_acts_free(s->acts);
    kv_cache_free(s->cache);
    history_spoil_free(&s->spoil);
    optimiser_free(&s->student);
    shard_free(&s->average);
    consistency_free(&s->pairs);
    mailbox_free(&s->mail);
    free(s->host);
    memset(s, 0, sizeof *s);
}

int ode_step_prepare(struct ode_step *s) {
    return learns_consistency(s) ? band_energy_prepare(&s->energy, s->split.batch) : OK;
}

/* ---- one pass over one chunk ---- */

/* Kinds of passes: one that writes the history; one that only reads it; the average's, which makes a target. */
enum pass_kind { PASS_CONTEXT, PASS_CURRENT, PASS_TARGET };
struct pass {
    int state;    /* number of the state that it is over */
    double sigma; /* its level */
    int trained;  /* 1: it has a loss */
};

static int trained_passes(const struct ode_step *s) {
    return !learns_consistency(s) && has_history_pass(s) && !s->levels.clean_pass ? 2 : 1;
}

static struct pass trajectory_pass(const struct ode_step *s, enum pass_kind kind, int chunk, int sample, long step) {
    struct random_address address = {.seed = s->seed,
                                     .step = (uint64_t)step,
                                     .purpose = RANDOM_TIMESTEP,
                                     .sample = (uint32_t)(s->part.sample0 + sample),
                                     .frame = (uint32_t)chunk};
    int N = s->levels.steps, history = has_history_pass(s), clean = s->levels.clean_pass;
    if (history && kind == PASS_CONTEXT)
        return clean ? (struct pass){N, 0, 0} : (struct pass){N - 1, s->levels.sigma[N - 1], 1};
    int level = (int)random_below(&address, 0, history && !clean ? N - 1 : N);
    return (struct pass){level, s->levels.sigma[level], 1};
}

static struct pass consistency_pass(const struct ode_step *s, enum pass_kind kind, int sample, long step) {
    int n = consistency_step(s->seed, step, s->part.sample0 + sample, s->config.sampler.steps);
    if (kind == PASS_TARGET) return (struct pass){STATE_LOWER, s->solver[n + 1], 0};
    if (kind == PASS_CONTEXT && has_history_pass(s)) return (struct pass){STATE_HISTORY, history_level(s), 0};
    return (struct pass){STATE_DRAWN, s->solver[n], 1};
}

/* The pass over a chunk of a sample, counted in the part. */
static struct pass pass_of(const struct ode_step *s, enum pass_kind kind, int chunk, int sample, long step) {
    return learns_consistency(s) ? consistency_pass(s, kind, sample, step)
                                 : trajectory_pass(s, kind, chunk, sample, step);
}

/* A state of the part's clips, from frame `first` on. */
static real *state_at(const struct ode_step *s, int state, int first) {
    return s->states + ((long)state * s->split.count + s->part.first) * s->clip + first * s->size;
}

static void copy_chunk(const struct ode_step *s, real *to, int sample, int chunk, int state) {
    long values = own_frames(s, chunk) * s->size;
    mem_copy(to + sample * values, state_at(s, state, first_frame(s, chunk)) + sample * s->clip,
             sizeof(real) * (size_t)values);
}

/* Sets a pass's input, its timesteps, and the factors of what is wanted of it. Of a pass that is trained that is the
   target velocity (x - end) / sigma, whose weight sigma^2 turns the mean square of the velocities into that of x0; of
   the average's, the prediction x - sigma v. A pass for its history alone has weight 0. */
static void prepare_pass(struct ode_step *s, enum pass_kind kind, int chunk, long step) {
    int C = own_frames(s, chunk);
    size_t groups = (size_t)s->part.count * C;
    double share = 1.0 / ((double)s->split.batch * (s->F - 1) * trained_passes(s));
    for (int b = 0; b < s->part.count; b++) {
        struct pass p = pass_of(s, kind, chunk, b, step);
        double inverse = p.trained ? 1 / p.sigma : 0;
        copy_chunk(s, s->input, b, chunk, p.state);
        for (int f = 0; f < C; f++) {
            size_t g = (size_t)b * C + f;
            s->host[g] = (real)schedule_timestep(p.sigma);
            s->host[groups + g] = (real)(kind == PASS_TARGET ? 1 : inverse);
            s->host[2 * groups + g] = (real)(kind == PASS_TARGET ? -p.sigma : -inverse);
            s->host[3 * groups + g] = (real)(p.trained ? p.sigma * p.sigma * share : 0);
        }
    }
    real *small[4] = {s->t, s->of_input, s->of_other, s->weight};
    for (int i = 0; i < 4; i++) mem_upload(small[i], s->host + i * groups, groups * sizeof(real));
}

static void prepare_target(struct ode_step *s, int chunk) {
    int end = learns_consistency(s) ? STATE_TARGET : s->levels.steps;
    long frames = (long)s->part.count * own_frames(s, chunk);
    for (int b = 0; b < s->part.count; b++) copy_chunk(s, s->target, b, chunk, end);
    real_group_combine(s->target, s->of_input, s->input, s->of_other, s->target, frames, s->size);
}

static struct dit_input chunk_input(const struct ode_step *s, const struct condition_batch *condition, int first,
                                    int frames, const int *positions, const struct dit_history *history) {
    struct rollout_condition c = condition_batch_rollout(condition);
    struct dit_input in = {.batch = s->part.count,
                           .frames = frames,
                           .first_frame = first,
                           .positions = positions,
                           .latents = s->input,
                           .latent_stride = frames * s->size,
                           .reference = state_at(s, 0, 0),
                           .reference_stride = s->clip,
                           .t = s->t,
                           .text = c.text,
                           .audio_stride = c.audio_stride,
                           .history = history};
    for (int a = 0; a < AUDIO_STREAMS; a++)
        in.audio[a] = c.audio[a] + (long)first * AUDIO_WINDOW * s->net->config.audio_dim;
    return in;
}

/* ---- the spoiled history ---- */

static struct spoil_address spoil_address(const struct ode_step *s, long step) {
    return (struct spoil_address){.seed = s->seed, .step = (uint64_t)step, .purpose = RANDOM_TIMESTEP};
}

static int is_spoiled(const struct ode_step *s, int chunk) {
    return s->spoil.config.probability > 0 && chunk == history_spoil_first(&s->levels.causal);
}

/* Spoils the input of the pass that leaves a chunk in the cache. */
static void spoil_input(struct ode_step *s, int chunk, long step) {
    struct spoil_address address = spoil_address(s, step);
    for (int b = 0; b < s->part.count; b++) {
        s->spoil.clean[b] = 1 - pass_of(s, PASS_CONTEXT, chunk, b, step).sigma;
        copy_chunk(s, s->velocity, b, chunk, s->levels.steps);
    }
    history_spoil_apply(&s->spoil, s->input, s->velocity, &address, s->part.sample0, s->part.count,
                        first_frame(s, chunk), own_frames(s, chunk));
}

/* Forgets the gradients that later chunks left for a spoiled entry: no pass that is trained made it. */
static void drop_spoiled_gradients(struct ode_step *s, int chunk, long step) {
    struct spoil_address address = spoil_address(s, step);
    for (int b = 0; b < s->part.count; b++)
        if (history_spoil_draw(&s->spoil.config, &address, s->part.sample0 + b).spoiled)
            kv_cache_grads_drop(s->cache, first_frame(s, chunk), own_frames(s, chunk), b);
}

/* Runs a pass for its velocity and, where it writes, for its keys and values. */
static int forward_pass(struct ode_step *s, const struct params *params, const struct condition_batch *condition,
                        enum pass_kind kind, int chunk, long step, int writes) {
    int C = own_frames(s, chunk), first = first_frame(s, chunk);
    struct causal_view view;
    causal_view(&view, &s->levels.causal, chunk);
    const struct dit_history *history = kv_cache_history(s->cache, &view);
    if (!history) return ERR_USAGE;
    prepare_pass(s, kind, chunk, step);
    if (kind == PASS_CONTEXT && is_spoiled(s, chunk)) spoil_input(s, chunk, step);
    struct dit_input in = chunk_input(s, condition, first, C, view.current, history);
    if (writes) in.kv_output = kv_cache_output(s->cache, first, C);
    dit_condition_reset(s->acts, 0, 1);
    return dit_forward(s->net, params, s->acts, &in, s->velocity, C * s->size);
}

/* Runs a pass again, saving, adds its loss, and goes back through it into weights and history. */
static int backward_pass(struct ode_step *s, const struct params *params, const struct condition_batch *condition,
                         enum pass_kind kind, int chunk, long step) {
    int C = own_frames(s, chunk), first = first_frame(s, chunk);
    struct causal_view view;
    causal_view(&view, &s->levels.causal, chunk);
    const struct dit_history *history = kv_cache_history_with_grads(s->cache, &view);
    if (!history) return ERR_USAGE;
    prepare_pass(s, kind, chunk, step);
    prepare_target(s, chunk);
    struct dit_input in = chunk_input(s, condition, first, C, view.current, history);
    dit_condition_reset(s->acts, 0, 1);
    TRY(dit_forward(s->net, params, s->acts, &in, s->velocity, C * s->size));
    mse_loss(s->student.loss, s->slope, s->velocity, s->target, s->weight, (long)s->part.count * C, s->size);
    struct dit_gradients gradients = {.dvelocity = s->slope, .dvelocity_stride = C * s->size};
    if (kind == PASS_CONTEXT && is_spoiled(s, chunk)) drop_spoiled_gradients(s, chunk, step);
    if (kind == PASS_CONTEXT)
        kv_cache_grads_own(s->cache, first, &gradients.dk_own, &gradients.dv_own, &gradients.kv_stride);
    TRY(dit_backward(s->net, params, s->acts, &in, &gradients));
    kv_cache_grads_collect(s->cache, &view);
    return OK;
}

/* ---- the reference: chunk 0, clean, without a loss of its own ---- */

static const int reference_position[1] = {0};

static struct dit_input reference_input(struct ode_step *s, const struct condition_batch *condition) {
    size_t bytes = sizeof(real) * (size_t)s->size;
    mem_copy_rows(s->input, bytes, state_at(s, 0, 0), sizeof(real) * (size_t)s->clip, bytes, (size_t)s->part.count);
    real_fill(s->t, 0, s->part.count);
    dit_condition_reset(s->acts, 0, 1);
    return chunk_input(s, condition, 0, 1, reference_position, NULL);
}

static int forward_reference(struct ode_step *s, const struct params *params, const struct condition_batch *condition) {
    struct dit_input in = reference_input(s, condition);
    in.kv_output = kv_cache_output(s->cache, 0, 1);
    return dit_forward(s->net, params, s->acts, &in, s->velocity, s->size);
}

static int backward_reference(struct ode_step *s, const struct params *params,
                              const struct condition_batch *condition) {
    struct dit_input in = reference_input(s, condition);
    TRY(dit_forward(s->net, params, s->acts, &in, s->velocity, s->size));
    mem_zero(s->slope, sizeof(real) * (size_t)(s->part.count * s->size));
    struct dit_gradients gradients = {.dvelocity = s->slope, .dvelocity_stride = s->size};
    kv_cache_grads_own(s->cache, 0, &gradients.dk_own, &gradients.dv_own, &gradients.kv_stride);
    return dit_backward(s->net, params, s->acts, &in, &gradients);
}

/* ---- the average's answers ---- */

/* Runs the average over a chunk's lower state and keeps its prediction. */
static int make_target(struct ode_step *s, const struct params *average, const struct condition_batch *condition,
                       int chunk, long step) {
    int C = own_frames(s, chunk), first = first_frame(s, chunk);
    size_t bytes = sizeof(real) * (size_t)(C * s->size);
    TRY(forward_pass(s, average, condition, PASS_TARGET, chunk, step, !has_history_pass(s)));
    real_group_combine(s->velocity, s->of_input, s->input, s->of_other, s->velocity, (long)s->part.count * C, s->size);
    mem_copy_rows(state_at(s, STATE_TARGET, first), sizeof(real) * (size_t)s->clip, s->velocity, bytes, bytes,
                  (size_t)s->part.count);
    if (!has_history_pass(s)) return OK;
    return forward_pass(s, average, condition, PASS_CONTEXT, chunk, step, 1);
}

static int make_targets(struct ode_step *s, const struct condition_batch *condition, long step) {
    struct params average = shard_frozen(&s->average);
    dit_condition_reset(s->acts, 1, 1);
    TRY(forward_reference(s, &average, condition));
    for (int i = 1; i <= s->chunks; i++) TRY(make_target(s, &average, condition, i, step));
    band_energy_measure(&s->energy, s->figures->made, state_at(s, STATE_TARGET, 0), s->part.count);
    return OK;
}

int ode_step_pairs(struct ode_step *s, struct sampler *sampler, const struct params *teacher, const real *clips,
                   const struct condition_batch *condition, long step) {
    struct batch_part b;
    mem_zero(s->figures, sizeof *s->figures);
    for (int i = 0; i < s->split.parts; i++) {
        batch_part(&b, &s->split, i, clips, s->clip, condition);
        s->part = b.part;
        TRY(consistency_pair(&s->pairs, sampler, teacher, &b, step, state_at(s, STATE_DRAWN, 0),
                             state_at(s, STATE_LOWER, 0), state_at(s, STATE_HISTORY, 0)));
        band_energy_measure(&s->energy, s->figures->truth, b.clips, b.part.count);
    }
    return OK;
}

/* ---- the step ---- */

static int part_gradient(struct ode_step *s, const struct condition_batch *condition, long step) {
    struct params params = optimiser_params(&s->student), last = params;
    params.last = 0;
    last.last = s->part.last;
    kv_cache_batch(s->cache, s->part.count);
    kv_cache_grads_clear(s->cache);
    if (learns_consistency(s)) TRY(make_targets(s, condition, step));
    dit_condition_reset(s->acts, 1, 1);
    TRY(forward_reference(s, &params, condition));
    for (int i = 1; i <= s->chunks; i++) TRY(forward_pass(s, &params, condition, PASS_CONTEXT, i, step, 1));
    for (int i = s->chunks; i >= 1; i--) {
        if (has_history_pass(s)) TRY(backward_pass(s, &params, condition, PASS_CURRENT, i, step));
        TRY(backward_pass(s, &params, condition, PASS_CONTEXT, i, step));
    }
    return backward_reference(s, &last, condition);
}

int ode_step_gradient(struct ode_step *s, const struct condition_batch *condition, long step) {
    struct condition_batch c;
    for (int i = 0; i < s->split.parts; i++) {
        s->part = batch_split_part(&s->split, i);
        condition_batch_part(&c, condition, s->part.first, s->part.count);
        TRY(part_gradient(s, &c, step));
    }
    return OK;
}

int ode_step_run(struct ode_step *s, const struct condition_batch *condition, long step) {
    optimiser_begin(&s->student);
    if (learns_consistency(s)) optimiser_average(&s->student, &s->average);
    TRY(ode_step_gradient(s, condition, step));
    if (learns_consistency(s)) {
        TRY(sharding_add(s->student.shard.all, s->figures->made, 2 * ENERGY_BANDS));
        mailbox_post(&s->mail, step, s->figures);
    }
    return optimiser_step(&s->student, step, 0);
}

/* Arithmetic of a pass over a chunk with the history that the cache shows it. */
static double chunk_flops(const struct ode_step *s, int chunk) {
    struct causal_view view;
    causal_view(&view, &s->levels.causal, chunk);
    return dit_flops(&s->net->config, s->split.count, view.own, view.count);
}

long ode_step_clip(const struct ode_step *s, long step, int sample, long rollbacks, long clips) {
    return permuted_turn(s->seed + (uint64_t)rollbacks, (uint64_t)step * (uint64_t)s->split.batch + (uint64_t)sample,
                         clips);
}

/* Counts the teacher's solver step and the average's passes. */
static void consistency_work(const struct ode_step *s, const struct sampler *sampler, struct step_work *work) {
    const struct dit_config *c = &s->net->config;
    struct network_work *average = step_work_network(work, "student's average", &s->net->table);
    int passes = 1 + has_history_pass(s);
    step_work_clips(work, step_work_network(work, "teacher", &s->net->table), c, &s->split, s->F, WORK_FORWARD, 0,
                    sampler_passes(sampler));
    average->forwards += s->split.parts * (1.0 + s->chunks * passes);
    work->flops += dit_flops(c, s->split.count, 1, 0);
    for (int i = 1; i <= s->chunks; i++) work->flops += passes * chunk_flops(s, i);
    step_work_exchanges(work, c, s->split.count, 1, WORK_FORWARD, 0, 1);
    step_work_exchanges(work, c, s->split.count, s->F - 1, WORK_FORWARD, 0, passes);
}

void ode_step_work(const struct ode_step *s, const struct sampler *sampler, struct step_work *work) {
    struct network_work *n = step_work_trained(work, "student", &s->student);
    int passes = 1 + has_history_pass(s), again = s->config.stage.recompute != RECOMPUTE_NONE;
    double backward = 1 + 2 + again; /* one forward before it, two for itself, one for recomputing */
    n->updates = 1;
    n->forwards = s->split.parts * (2.0 + s->chunks * (1.0 + passes));
    n->backwards = s->split.parts * (1.0 + s->chunks * (double)passes);
    work->flops += (1 + backward) * dit_flops(&s->net->config, s->split.count, 1, 0);
    for (int i = 1; i <= s->chunks; i++) work->flops += (1 + passes * backward) * chunk_flops(s, i);
    const struct dit_config *c = &s->net->config;
    step_work_exchanges(work, c, s->split.count, 1, WORK_FORWARD, 0, 2);
    step_work_exchanges(work, c, s->split.count, 1, WORK_BACKWARD, again, 1);
    step_work_exchanges(work, c, s->split.count, s->F - 1, WORK_FORWARD, 0, 1.0 + passes);
    step_work_exchanges(work, c, s->split.count, s->F - 1, WORK_BACKWARD, again, passes);
    if (learns_consistency(s)) consistency_work(s, sampler, work);
}
