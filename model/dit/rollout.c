/* rollout.c: see rollout.h. */
#include "model/dit/rollout.h"

#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

/* Elements of a sample's chunk: of the largest, and of one of `frames` frames. */
static long size_of(const struct rollout *r, int frames) { return frames * dit_frame(&r->net->config); }
static long chunk_size(const struct rollout *r) { return size_of(r, r->config.causal.chunk); }

/* Elements of a chunk's audio windows. */
static long silence_size(const struct rollout *r) {
    return (long)r->config.causal.chunk * AUDIO_WINDOW * r->net->config.audio_dim;
}

/* Copies [B][size]; the strides are elements between samples. */
static void copy_samples(real *to, long to_stride, const real *from, long from_stride, int B, long size) {
    mem_copy_rows(to, sizeof(real) * (size_t)to_stride, from, sizeof(real) * (size_t)from_stride,
                  sizeof(real) * (size_t)size, (size_t)B);
}

static int check(const struct rollout_config *config, const struct dit_config *net) {
    if (config->steps < 1 || config->steps > ROLLOUT_STEPS_MAX)
        return error_set(ERR_USAGE, "rollout: %d steps, expected 1 to %d", config->steps, ROLLOUT_STEPS_MAX);
    for (int s = 0; s < config->steps; s++) {
        double before = s ? config->sigma[s - 1] : 1, sigma = config->sigma[s];
        if (!(sigma > 0 && (s ? sigma < before : sigma <= before)))
            return error_set(ERR_USAGE, "rollout: sigma %g of step %d, expected falling values in (0, 1]", sigma, s);
    }
    if (net->in_channels != net->out_channels)
        return error_set(ERR_USAGE, "rollout: %d latent channels in, %d out", net->in_channels, net->out_channels);
    return OK;
}

static int start(struct rollout *r, const struct dit *net, const struct rollout_config *config, int batch) {
    memset(r, 0, sizeof *r);
    TRY(check(config, &net->config));
    r->net = net;
    r->config = *config;
    for (int s = 0; s < AUDIO_STREAMS; s++) r->guidance[s] = 1;
    r->batch = batch;
    return OK;
}

static int lay_out_work(struct rollout *r, struct arena *arena) {
    TRY(dit_acts_layout(&r->acts, r->net, r->batch, r->config.causal.chunk, DIT_FORWARD_ONLY, arena));
    long levels = (long)r->batch * r->config.causal.chunk;
    r->x = ARENA_TAKE(arena, "rollout input", real, r->batch * chunk_size(r));
    r->x0 = ARENA_TAKE(arena, "rollout x0", real, r->batch * chunk_size(r));
    r->t = ARENA_TAKE(arena, "rollout levels", real, (r->config.steps + 1) * levels);
    return OK;
}

static void take_reference(struct rollout *r, struct arena *arena) {
    size_t numbers = r->net->config.reference_gate ? (size_t)r->batch * (size_t)dit_frame(&r->net->config) : 0;
    r->reference = ARENA_TAKE(arena, "rollout reference", real, numbers);
}

int rollout_layout(struct rollout *r, const struct dit *net, const struct rollout_config *config, int batch,
                   int capacity, struct arena *arena) {
    TRY(start(r, net, config, batch));
    TRY(kv_cache_layout(&r->cache, net, &config->causal, batch, capacity, arena));
    take_reference(r, arena);
    int code = lay_out_work(r, arena);
    if (code) rollout_free(r);
    return code;
}

int rollout_layout_work(struct rollout *work, const struct dit *net, const struct rollout_config *config, int batch,
                        enum kv_type type, struct arena *arena) {
    TRY(start(work, net, config, batch));
    TRY(lay_out_work(work, arena));
    work->type = type;
    if (type == KV_FP8) TRY(kv_layer_layout(&work->layer, net, &config->causal, batch, arena));
    work->sum = ARENA_TAKE(arena, "rollout guided x0", real, batch * chunk_size(work));
    work->silence = ARENA_TAKE(arena, "rollout silence", elem, batch * silence_size(work));
    return OK;
}

int rollout_layout_stream(struct rollout *r, const struct rollout *work, struct arena *arena) {
    const struct causal_config *causal = &work->config.causal;
    *r = *work;
    r->borrows = 1;
    take_reference(r, arena);
    if (work->type == KV_FP8) return kv_cache_layout_fp8(&r->cache, r->net, causal, r->batch, &work->layer, arena);
    return kv_cache_layout(&r->cache, r->net, causal, r->batch, KV_STREAM, arena);
}

/* Fills in the timesteps of all levels, the clean one last. Done at every clip, because others may use the memory
   between clips. */
static void fill_levels(struct rollout *r) {
    long levels = (long)r->batch * r->config.causal.chunk;
    for (int s = 0; s <= r->config.steps; s++)
        real_fill(r->t + s * levels, s < r->config.steps ? (real)(1000 * r->config.sigma[s]) : 0, levels);
}

void rollout_free(struct rollout *r) {
    kv_cache_free(r->cache);
    if (r->acts && !r->borrows) dit_acts_free(r->acts);
    recorded_passes_close(r->recorded);
    memset(r, 0, sizeof *r);
}

/* The network's input for `frames` frames of a clip, from `first` on, at noise level `level` (N: clean). positions and
   history must outlive it. */
static struct dit_input input_of(const struct rollout *r, const struct rollout_condition *condition, int first,
                                 int frames, int level, const int *positions, const struct dit_history *history) {
    struct dit_input in = {.batch = r->batch,
                           .frames = frames,
                           .first_frame = first,
                           .positions = positions,
                           .t = r->t + (long)level * r->batch * r->config.causal.chunk,
                           .reference = r->reference,
                           .reference_stride = dit_frame(&r->net->config),
                           .text = condition->text,
                           .audio_stride = condition->audio_stride,
                           .history = history};
    long window = (long)AUDIO_WINDOW * r->net->config.audio_dim;
    for (int s = 0; s < AUDIO_STREAMS; s++)
        if (condition->audio[s]) in.audio[s] = condition->audio[s] + (first - condition->window_first) * window;
    return in;
}

/* Refuses windows that begin behind the first frame to be made: its own would lie before them in memory. */
static int check_windows(const struct rollout_condition *condition, int first) {
    if (condition->window_first <= first) return OK;
    return error_set(ERR_USAGE, "rollout: the audio windows begin at latent frame %d, behind frame %d",
                     condition->window_first, first);
}

void rollout_rewind(struct rollout *r) { r->next_chunk = 1; }

void rollout_batch(struct rollout *r, int batch) {
    r->batch = batch;
    kv_cache_batch(r->cache, batch);
}

void rollout_guide(struct rollout *r, double talk, double listen) {
    r->guidance[AUDIO_TALK] = talk;
    r->guidance[AUDIO_LISTEN] = listen;
}

int rollout_begin(struct rollout *r, const struct params *params, const real *reference, long stride,
                  const struct rollout_condition *condition) {
    kv_cache_clear(r->cache);
    fill_levels(r);
    TRY(rollout_change_reference(r, params, reference, stride, condition));
    rollout_rewind(r);
    return OK;
}

/* The caller's memory may serve other latents before the next chunk is made. */
static void keep_reference(struct rollout *r, const real *reference, long stride) {
    size_t row = (size_t)dit_frame(&r->net->config) * sizeof *reference;
    if (!r->net->config.reference_gate) return;
    mem_copy_rows(r->reference, row, reference, (size_t)stride * sizeof *reference, row, (size_t)r->batch);
}

int rollout_change_reference(struct rollout *r, const struct params *params, const real *reference, long stride,
                             const struct rollout_condition *condition) {
    static const int position[1] = {0};
    TRY(check_windows(condition, 0));
    dit_condition_reset(r->acts, 1, 1);
    struct dit_input in = input_of(r, condition, 0, 1, r->config.steps, position, NULL);
    in.latents = reference;
    in.latent_stride = stride;
    in.kv_output = kv_cache_output(r->cache, 0, 1);
    keep_reference(r, reference, stride);
    return dit_forward(r->net, params, r->acts, &in, r->x0, dit_frame(&r->net->config));
}

/* Computes x0 = x - sigma v in place of v; both are packed, with `size` elements a sample. */
static void x0_from_velocity(const struct rollout *r, real *velocity, const real *x, int step, long size) {
    real_axpby(velocity, 1, x, (real)-r->config.sigma[step], r->batch * size);
}

/* One network pass of a chunk; step N: the clean one, whose result is not used. */
struct chunk_pass {
    const struct rollout *r;
    struct network_pass pass;
};

static int queue_pass(void *user) {
    const struct chunk_pass *p = user;
    const struct rollout *r = p->r;
    long size = size_of(r, p->pass.in->frames);
    TRY(dit_forward(r->net, p->pass.params, r->acts, p->pass.in, p->pass.result, size));
    if (p->pass.step < r->config.steps) x0_from_velocity(r, p->pass.result, r->x, p->pass.step, size);
    return OK;
}

static int run_pass(const struct rollout *r, const struct params *params, const struct dit_input *in, real *result,
                    int step) {
    struct chunk_pass chunk = {r, {r->net, params, r->acts, in, result, step}};
    return recorded_pass_run(r->recorded, &chunk.pass, queue_pass, &chunk);
}

int rollout_record(struct rollout *r) { return r->recorded ? OK : recorded_passes_open(&r->recorded, r->net); }

void rollout_direct(struct rollout *r) {
    recorded_passes_close(r->recorded);
    r->recorded = NULL;
}

int rollout_chunk_kinds(const struct causal_config *c) {
    int chunk = c->chunk, growing = (c->sink + c->ring + chunk - 1) / chunk; /* chunks until the history is full */
    int shorter = causal_own(c, 1) < chunk; /* a kind of its own, after which the history grows later */
    return shorter + growing + (c->ring + chunk - 1) / chunk + 1;
}

struct recording_counts rollout_recordings(const struct rollout *r) {
    return recorded_passes_counts(r->recorded);
}

/* ---- guidance ---- */

/* A pass that does not hear some parties, and its weight in the guided velocity. */
struct term {
    int mute; /* bit of each party that is not heard */
    double weight;
};
enum { TERMS_MAX = 3, MUTE_ALL = (1 << AUDIO_STREAMS) - 1 };

int rollout_guided_passes(double talk, double listen) { return 1 + (talk != 1) + (talk != listen); }

/* Lists the passes of a step, the one that hears everybody last, so that what it writes stays in the cache. */
static int list_terms(const struct rollout *r, struct term *terms) {
    double talk = r->guidance[AUDIO_TALK], listen = r->guidance[AUDIO_LISTEN];
    int count = 0;
    if (talk != 1) terms[count++] = (struct term){MUTE_ALL, 1 - talk};
    if (talk != listen) terms[count++] = (struct term){1 << AUDIO_LISTEN, talk - listen};
    terms[count++] = (struct term){0, listen};
    return count;
}

/* Runs the passes of one step and leaves the guided x0 in r->x0. Keys of the audio are worked out for every pass. */
static int run_guided(const struct rollout *r, const struct params *params, const struct dit_input *in, int step,
                      const struct term *terms, int count) {
    long size = r->batch * size_of(r, in->frames);
    mem_zero(r->sum, sizeof(real) * (size_t)size);
    mem_zero(r->silence, sizeof(elem) * (size_t)(r->batch * silence_size(r)));
    for (int i = 0; i < count; i++) {
        struct dit_input heard = *in;
        if (terms[i].mute) heard.kv_output = NULL;
        for (int s = 0; s < AUDIO_STREAMS; s++)
            if (terms[i].mute >> s & 1) heard.audio[s] = r->silence;
        dit_condition_reset(r->acts, 0, 1);
        TRY(run_pass(r, params, &heard, r->x0, step));
        real_axpby(r->sum, (real)terms[i].weight, r->x0, 1, size);
    }
    real_axpby(r->x0, 1, r->sum, 0, size);
    return OK;
}

static int run_step(const struct rollout *r, const struct params *params, const struct dit_input *in, int step) {
    struct term terms[TERMS_MAX];
    int count = list_terms(r, terms);
    return count == 1 ? run_pass(r, params, in, r->x0, step) : run_guided(r, params, in, step, terms, count);
}

/* ---- chunks ---- */

int rollout_chunk(struct rollout *r, const struct params *params, const struct rollout_condition *condition,
                  const struct rollout_noise *noise, int exit, real *out, long out_stride, real *exit_input,
                  long exit_stride) {
    int C = causal_own(&r->config.causal, r->next_chunk), N = r->config.steps, first = rollout_next_frame(r);
    long size = size_of(r, C);
    if (exit < 0 || exit >= N) return error_set(ERR_USAGE, "rollout: exit step %d of %d", exit, N);
    TRY(check_windows(condition, first));
    struct causal_view view;
    causal_view(&view, &r->config.causal, r->next_chunk);
    const struct dit_history *history = kv_cache_history(r->cache, &view);
    if (!history) return ERR_USAGE;
    dit_condition_reset(r->acts, 0, 1);

    for (int step = 0; step < N; step++) {
        random_normal(r->x, noise->seed, noise->step, noise->purpose, step, noise->sample0, r->batch, first, C,
                      size / C);
        if (step) /* the prediction so far, noised again */
            real_axpby(r->x, (real)(1 - r->config.sigma[step]), r->x0, (real)r->config.sigma[step], r->batch * size);
        struct dit_input in = input_of(r, condition, first, C, step, view.current, history);
        in.latents = r->x;
        in.latent_stride = size;
        if (step == N - 1 && !r->config.clean_pass) in.kv_output = kv_cache_output(r->cache, first, C);
        TRY(run_step(r, params, &in, step));
        if (step != exit) continue;
        copy_samples(out, out_stride, r->x0, size, r->batch, size);
        if (exit_input) copy_samples(exit_input, exit_stride, r->x, size, r->batch, size);
    }
    if (r->config.clean_pass) {
        struct dit_input in = input_of(r, condition, first, C, N, view.current, history);
        in.latents = r->x0;
        in.latent_stride = size;
        in.kv_output = kv_cache_output(r->cache, first, C);
        TRY(run_pass(r, params, &in, r->x, N));
    }
    r->next_chunk++;
    return OK;
}

/* Number of the pass whose keys and values the cache keeps. */
static int entry_pass(const struct rollout *r) { return r->config.steps - (r->config.clean_pass ? 0 : 1); }

/* Latent frames of the chunk just made. */
static int last_own(const struct rollout *r) { return causal_own(&r->config.causal, r->next_chunk - 1); }

struct rollout_entry rollout_entry(struct rollout *r) {
    int clean = r->config.clean_pass;
    if (clean) mem_copy(r->x, r->x0, sizeof(real) * (size_t)(r->batch * size_of(r, last_own(r))));
    return (struct rollout_entry){r->x, r->x0, clean ? 0 : r->config.sigma[r->config.steps - 1]};
}

int rollout_replace_entry(struct rollout *r, const struct params *params, const struct rollout_condition *condition) {
    int C = last_own(r), first = rollout_next_frame(r) - C;
    struct causal_view view;
    causal_view(&view, &r->config.causal, r->next_chunk - 1);
    const struct dit_history *history = kv_cache_history(r->cache, &view);
    if (!history) return ERR_USAGE;
    struct dit_input in = input_of(r, condition, first, C, entry_pass(r), view.current, history);
    in.latents = r->x;
    in.latent_stride = size_of(r, C);
    in.kv_output = kv_cache_output(r->cache, first, C);
    dit_condition_reset(r->acts, 0, 1);
    return dit_forward(r->net, params, r->acts, &in, r->x0, size_of(r, C));
}

/* Fills `in` for the pass `exit` of a chunk; view must outlive it. */
static int exit_pass(struct rollout *r, struct causal_view *view, struct dit_input *in,
                     const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                     long exit_stride) {
    causal_view(view, &r->config.causal, chunk);
    const struct dit_history *history = kv_cache_history(r->cache, view);
    if (!history) return ERR_USAGE;
    *in = input_of(r, condition, view->first, view->own, exit, view->current, history);
    in->latents = exit_input;
    in->latent_stride = exit_stride;
    return OK;
}

int rollout_rerun(struct rollout *r, const struct params *params, struct dit_acts *acts,
                  const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                  long exit_stride, real *out, long out_stride) {
    struct causal_view view;
    struct dit_input in;
    TRY(exit_pass(r, &view, &in, condition, chunk, exit, exit_input, exit_stride));
    dit_condition_reset(acts, 1, 1);
    long size = size_of(r, in.frames);
    TRY(dit_forward(r->net, params, acts, &in, r->x0, size));
    if (!out) return OK;
    copy_samples(r->x, size, exit_input, exit_stride, r->batch, size);
    x0_from_velocity(r, r->x0, r->x, exit, size);
    copy_samples(out, out_stride, r->x0, size, r->batch, size);
    return OK;
}

int rollout_rerun_backward(struct rollout *r, const struct params *params, struct dit_acts *acts,
                           const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                           long exit_stride, const real *dx0, long dx0_stride) {
    struct causal_view view;
    struct dit_input in;
    TRY(exit_pass(r, &view, &in, condition, chunk, exit, exit_input, exit_stride));
    long size = size_of(r, in.frames);
    copy_samples(r->x, size, dx0, dx0_stride, r->batch, size);
    mem_zero(r->x0, sizeof(real) * (size_t)(r->batch * size));
    real_axpby(r->x0, (real)-r->config.sigma[exit], r->x, 1, r->batch * size); /* dv = -sigma dx0 */
    struct dit_gradients gradients = {.dvelocity = r->x0, .dvelocity_stride = size};
    return dit_backward(r->net, params, acts, &in, &gradients);
}
