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

static const char *const history_names[] = {"own", "last", NULL};
#define FIELDS_OF struct ode_init_config
static const struct config_field fields[] = {
    STAGE_KEYS("ode_init", stage, "100", "8"),
    OPTIMISER_KEYS("ode_init.optimiser", stage.optimiser, "5e-4", "0.9", "0.99", "0.01", "1", "10", "30", "0.99"),
    TEXT("ode_init.teacher", teacher, "", "The teacher: a stage's folder or a state; empty: RUN/teacher."),
    INT("ode_init.trajectories", trajectories, 1, 100000000, "320",
        "Number of clips that the teacher samples and whose trajectories are recorded."),
    SAMPLER_KEYS("ode_init.sampler", sampler, "12", "3", "2"),
    CHOICE("ode_init.history", history, history_names, "last",
           "What earlier chunks show to a chunk. last: their keys and values at the last noise level, as in streaming; "
           "own: at the level that each was drawn."),
    SPOIL_KEYS("ode_init.history_spoil", spoil),
};
SECTION(ode_init, "Records trajectories of the teacher and trains the causal student on them.", "negative lora rollout",
        NULL, TRAINS("student", stage.optimiser));

/* ---- memory ---- */

int ode_step_layout(struct ode_step *s, const struct step_setup *setup, const struct ode_init_config *config,
                    struct arena *state, struct arena *activations) {
    const struct dit *net = setup->net;
    const struct stage_config *c = &config->stage;
    const int C = setup->rollout->causal.chunk;
    if (config->history == ODE_HISTORY_LAST && setup->rollout->steps < 2)
        return error_set(ERR_USAGE, "ode_init.history: `last` needs more than one level in rollout.sigma");
    s->net = net;
    s->config = *config;
    s->levels = *setup->rollout;
    s->seed = setup->seed;
    s->F = setup->F;
    TRY(sharding_batch_split(setup->shards, &s->split, c->batch, c->accumulate));
    s->chunks = (s->F - 1) / C;
    s->size = (long)net->config.in_channels * net->config.height * net->config.width;
    s->clip = s->size * s->F;
    TRY(optimiser_layout(&s->student, "student", &net->table, &c->optimiser, c->steps, setup->shards, state));

    TRY(history_spoil_layout(&s->spoil, "ode_init.history_spoil", &config->spoil, &net->config, &s->levels.causal,
                             s->split.largest, s->chunks, activations));

    size_t groups = (size_t)s->split.largest * C, chunk = groups * s->size;
    s->states = ARENA_TAKE(activations, "trajectories", real, (size_t)(s->levels.steps + 1) * s->split.count * s->clip);
    s->input = ARENA_TAKE(activations, "chunk's input", real, chunk);
    s->target = ARENA_TAKE(activations, "chunk's target velocity", real, chunk);
    s->velocity = ARENA_TAKE(activations, "chunk's velocity", real, chunk);
    s->slope = ARENA_TAKE(activations, "chunk's velocity gradient", real, chunk);
    real **small[4] = {&s->t, &s->inverse, &s->minus_inverse, &s->weight};
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
    free(s->host);
    memset(s, 0, sizeof *s);
}

/* ---- one pass over one chunk ---- */

enum pass_kind { PASS_CONTEXT, PASS_CURRENT }; /* writes the history; only reads it */

static int passes_per_chunk(const struct ode_step *s) { return s->config.history == ODE_HISTORY_LAST ? 2 : 1; }

/* Number of the level at which a chunk of a sample, counted in the part, is passed over. */
static int level_of(const struct ode_step *s, enum pass_kind kind, int chunk, int sample, long step) {
    struct random_address address = {.seed = s->seed,
                                     .step = (uint64_t)step,
                                     .purpose = RANDOM_TIMESTEP,
                                     .sample = (uint32_t)(s->part.sample0 + sample),
                                     .frame = (uint32_t)chunk};
    int N = s->levels.steps;
    if (s->config.history == ODE_HISTORY_OWN) return (int)random_below(&address, 0, N);
    return kind == PASS_CONTEXT ? N - 1 : (int)random_below(&address, 0, N - 1);
}

static void copy_chunk(const struct ode_step *s, real *to, int sample, int first, int level) {
    int C = s->levels.causal.chunk;
    long row = (long)level * s->split.count + s->part.first + sample;
    const real *state = s->states + row * s->clip + first * s->size;
    mem_copy(to + (long)sample * C * s->size, state, sizeof(real) * (size_t)(C * s->size));
}

/* Sets a pass's input, target velocity (x - end) / sigma, timesteps, and weights sigma^2, which turn the mean square of
   the velocities into that of x0. */
static void prepare_pass(struct ode_step *s, enum pass_kind kind, int chunk, long step) {
    int C = s->levels.causal.chunk, first = 1 + (chunk - 1) * C;
    size_t groups = (size_t)s->part.count * C;
    double share = 1.0 / ((double)s->split.batch * (s->F - 1) * passes_per_chunk(s));
    for (int b = 0; b < s->part.count; b++) {
        int level = level_of(s, kind, chunk, b, step);
        double sigma = s->levels.sigma[level];
        copy_chunk(s, s->input, b, first, level);
        copy_chunk(s, s->target, b, first, s->levels.steps);
        for (int f = 0; f < C; f++) {
            size_t g = (size_t)b * C + f;
            s->host[g] = (real)schedule_timestep(sigma);
            s->host[groups + g] = (real)(1 / sigma);
            s->host[2 * groups + g] = (real)(-1 / sigma);
            s->host[3 * groups + g] = (real)(sigma * sigma * share);
        }
    }
    real *small[4] = {s->t, s->inverse, s->minus_inverse, s->weight};
    for (int i = 0; i < 4; i++) mem_upload(small[i], s->host + i * groups, groups * sizeof(real));
    real_group_combine(s->target, s->inverse, s->input, s->minus_inverse, s->target, (long)groups, s->size);
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
    int first = 1 + (chunk - 1) * s->levels.causal.chunk;
    struct spoil_address address = spoil_address(s, step);
    for (int b = 0; b < s->part.count; b++) {
        s->spoil.clean[b] = 1 - s->levels.sigma[level_of(s, PASS_CONTEXT, chunk, b, step)];
        copy_chunk(s, s->velocity, b, first, s->levels.steps);
    }
    history_spoil_apply(&s->spoil, s->input, s->velocity, &address, s->part.sample0, s->part.count, first);
}

/* Forgets the gradients that later chunks left for a spoiled entry: no pass that is trained made it. */
static void drop_spoiled_gradients(struct ode_step *s, int chunk, long step) {
    int C = s->levels.causal.chunk;
    struct spoil_address address = spoil_address(s, step);
    for (int b = 0; b < s->part.count; b++)
        if (history_spoil_draw(&s->spoil.config, &address, s->part.sample0 + b).spoiled)
            kv_cache_grads_drop(s->cache, 1 + (chunk - 1) * C, C, b);
}

static int forward_context(struct ode_step *s, const struct params *params, const struct condition_batch *condition,
                           int chunk, long step) {
    int C = s->levels.causal.chunk, first = 1 + (chunk - 1) * C;
    struct causal_view view;
    causal_view(&view, &s->levels.causal, chunk);
    const struct dit_history *history = kv_cache_history(s->cache, &view);
    if (!history) return ERR_USAGE;
    prepare_pass(s, PASS_CONTEXT, chunk, step);
    if (is_spoiled(s, chunk)) spoil_input(s, chunk, step);
    struct dit_input in = chunk_input(s, condition, first, C, view.current, history);
    in.kv_output = kv_cache_output(s->cache, first, C);
    dit_condition_reset(s->acts, 0, 1);
    return dit_forward(s->net, params, s->acts, &in, s->velocity, C * s->size);
}

/* Runs a pass again, saving, adds its loss, and goes back through it into weights and history. */
static int backward_pass(struct ode_step *s, const struct params *params, const struct condition_batch *condition,
                         enum pass_kind kind, int chunk, long step) {
    int C = s->levels.causal.chunk, first = 1 + (chunk - 1) * C;
    struct causal_view view;
    causal_view(&view, &s->levels.causal, chunk);
    const struct dit_history *history = kv_cache_history_with_grads(s->cache, &view);
    if (!history) return ERR_USAGE;
    prepare_pass(s, kind, chunk, step);
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
    mem_copy_rows(s->input, bytes, s->states + s->part.first * s->clip, sizeof(real) * (size_t)s->clip, bytes,
                  (size_t)s->part.count);
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

/* ---- the step ---- */

static int part_gradient(struct ode_step *s, const struct condition_batch *condition, long step) {
    struct params params = optimiser_params(&s->student), last = params;
    params.last = 0;
    last.last = s->part.last;
    kv_cache_batch(s->cache, s->part.count);
    kv_cache_grads_clear(s->cache);
    dit_condition_reset(s->acts, 1, 1);
    TRY(forward_reference(s, &params, condition));
    for (int i = 1; i <= s->chunks; i++) TRY(forward_context(s, &params, condition, i, step));
    for (int i = s->chunks; i >= 1; i--) {
        if (s->config.history == ODE_HISTORY_LAST) TRY(backward_pass(s, &params, condition, PASS_CURRENT, i, step));
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
    TRY(ode_step_gradient(s, condition, step));
    return optimiser_step(&s->student, step, 0);
}

/* Arithmetic of a pass over a chunk with the history that the cache shows it. */
static double chunk_flops(const struct ode_step *s, int chunk) {
    struct causal_view view;
    causal_view(&view, &s->levels.causal, chunk);
    return dit_flops(&s->net->config, s->split.count, s->levels.causal.chunk, view.count);
}

long ode_step_clip(const struct ode_step *s, long step, int sample, long rollbacks, long clips) {
    return permuted_turn(s->seed + (uint64_t)rollbacks, (uint64_t)step * (uint64_t)s->split.batch + (uint64_t)sample,
                         clips);
}

void ode_step_work(const struct ode_step *s, struct step_work *work) {
    struct network_work *n = step_work_trained(work, "student", &s->student);
    int passes = passes_per_chunk(s), again = s->config.stage.recompute != RECOMPUTE_NONE;
    double backward = 1 + 2 + again; /* one forward before it, two for itself, one for recomputing */
    n->updates = 1;
    n->forwards = s->split.parts * (2.0 + s->chunks * (1.0 + passes));
    n->backwards = s->split.parts * (1.0 + s->chunks * (double)passes);
    work->flops += (1 + backward) * dit_flops(&s->net->config, s->split.count, 1, 0);
    for (int i = 1; i <= s->chunks; i++) work->flops += (1 + passes * backward) * chunk_flops(s, i);
    const struct dit_config *c = &s->net->config;
    int C = s->levels.causal.chunk;
    step_work_exchanges(work, c, s->split.count, 1, WORK_FORWARD, 0, 2);
    step_work_exchanges(work, c, s->split.count, 1, WORK_BACKWARD, again, 1);
    step_work_exchanges(work, c, s->split.count, C, WORK_FORWARD, 0, s->chunks * (1.0 + passes));
    step_work_exchanges(work, c, s->split.count, C, WORK_BACKWARD, again, s->chunks * (double)passes);
}
