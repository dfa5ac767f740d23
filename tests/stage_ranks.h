/* stage_ranks.h: every stage's step on a tiny network in N processes, for the tests of data parallelism and sharding.
   A job runs some updates on a global batch that is the same whatever the number of ranks and leaves in shared memory,
   for every network that trains, the gradients of its first update and the master weights after the last. */
#ifndef TESTS_STAGE_RANKS_H
#define TESTS_STAGE_RANKS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model/params/transfer.h"
#include "tests/random_condition.h"
#include "tests/score_loss.h"
#include "tests/unit/ranks.h"
#include "train/config/run_config.h"

enum job_stage { JOB_TEACHER, JOB_ODE, JOB_DISTILL_SID, JOB_DISTILL_DMD, JOB_REFINE, JOB_CONSISTENCY, JOB_STAGES };
static const char *const job_stage_names[JOB_STAGES] = {"teacher",     "ode_init", "distill sid",
                                                        "distill dmd", "refine",   "ode_init by consistency"};
enum { JOB_NETWORKS = 3, JOB_VALUES = 1 << 19, JOB_STATES = 3, JOB_TENSORS = 512, JOB_LOSSES = 64 };

/* What a job leaves behind. */
struct job_result {
    int networks;
    size_t count[JOB_NETWORKS]; /* values, padding left out */
    int tensors[JOB_NETWORKS];
    size_t end[JOB_NETWORKS][JOB_TENSORS]; /* where each tensor ends in those values */
    double first[JOB_NETWORKS][JOB_VALUES], last[JOB_NETWORKS][JOB_VALUES];
    double losses[JOB_LOSSES]; /* the loss of every update */
};

/* How a job is cut: whatever it is, only the order of sums depends on it. */
struct job_cut {
    int ranks, zero, accumulate;
    int sequence; /* ranks that divide the clips' tokens between them; 0: 1 */
    int offload, recompute;
};
static const struct job_cut job_whole = {.ranks = 1, .accumulate = 1};

struct job {
    enum job_stage stage;
    struct job_cut cut;
    int batch, updates;
    int heads;                 /* heads of a network with seven tokens a frame; 0: one head and two tokens */
    int wide;                  /* 1: a network of sizes that a GPU's libraries take */
    int lora;                  /* rank of the adapters that all networks are trained through; 0: whole */
    struct job_result *result; /* shared */
};

/* For a line about it. */
static inline const char *job_text(const struct job *j) {
    static char text[160];
    const struct job_cut *c = &j->cut;
    snprintf(text, sizeof text, "%s, %d ranks, tokens by %d, zero %d, %d parts%s", job_stage_names[j->stage], c->ranks,
             c->sequence, c->zero, c->accumulate, c->offload ? ", offloaded" : "");
    return text;
}

static inline struct job_result *job_result_new(void) {
    void *p = mmap(NULL, sizeof(struct job_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
}
static inline void job_result_free(struct job_result *r) { munmap(r, sizeof *r); }

/* Where tensor i of a network begins in its values; it ends at end[network][i]. */
static inline size_t job_start(const struct job_result *r, int network, int i) {
    return i ? r->end[network][i - 1] : 0;
}
/* |x - y| over values [from, to); y NULL: |x|. */
static inline double job_norm(const double *x, const double *y, size_t from, size_t to) {
    double sum = 0;
    for (size_t i = from; i < to; i++) sum += (x[i] - (y ? y[i] : 0)) * (x[i] - (y ? y[i] : 0));
    return sqrt(sum);
}

/* One rank's world. */
struct job_world {
    const struct job *job;
    struct comm comm;
    struct sequence sequence;
    struct sharding shards;
    struct dit net;
    struct run_config config;
    struct arena state, activations, host, batch;
    struct teacher_step teacher;
    struct ode_step ode;
    struct sampler sampler; /* Solver of the teacher, for ode_init by consistency; its weights. */
    struct sharded solver;
    struct distill_step distill;
    struct refine_step refine;
    struct batch_split split;
    struct optimiser *networks[JOB_NETWORKS];
    struct condition_batch all; /* conditions of the global batch */
    real *clips;                /* [batch, F, C, H, W] */
    real *states;               /* [JOB_STATES][batch, F, C, H, W] */
};

/* The logits' biases cancel in the relativistic loss: their gradient is rounding alone, which AdamW divides by eps. */
static inline struct run_config job_config(const struct job *j) {
    struct optimiser_config o = {
        .lr = 1e-3, .beta1 = 0.5, .beta2 = 0.9, .eps = 1e-5, .decay = 0.01, .clip = 0.5, .ema = 0.9, .ema_warmup = 4};
    if (j->lora)
        o.lora = (struct lora_config){
            .rank = j->lora, .alpha = 2, .targets = "self_attn,cross_attn,ffn.0", .whole = "head.head,norm3"};
    struct stage_config stage = {
        .steps = 10, .batch = j->batch, .accumulate = j->cut.accumulate, .optimiser = o, .recompute = j->cut.recompute};
    struct level_config level = {LEVEL_SHIFTED_UNIFORM, 1, 0, 1, 0.2, 0.7};
    struct run_config c = {.seed = 7, .frames = 5};
    c.model = (struct dit_config){.dim = 12,
                                  .ffn_dim = 10,
                                  .heads = 1,
                                  .layers = 3,
                                  .in_channels = 2,
                                  .out_channels = 2,
                                  .height = 2,
                                  .width = 4,
                                  .freq_dim = 6,
                                  .text_len = 2,
                                  .text_dim = 3,
                                  .audio_dim = 3,
                                  .audio_tokens = 2,
                                  .audio_width = 4,
                                  .audio_hidden = 5,
                                  .audio_every = 2,
                                  .rope_theta_t = 100,
                                  .rope_theta_hw = 10,
                                  .eps = 1e-6};
    if (j->heads) {
        c.model.heads = j->heads, c.model.dim = 6 * j->heads;
        c.model.width = 14;
    }
    if (j->wide) {
        c.model.dim = 64, c.model.heads = 2, c.model.ffn_dim = 128;
        c.model.height = 4, c.model.width = 8, c.model.in_channels = c.model.out_channels = 4;
        c.model.freq_dim = 32, c.model.text_len = 8, c.model.text_dim = 16;
        c.model.audio_dim = 8, c.model.audio_width = 16, c.model.audio_hidden = 24;
    }
    c.rollout = (struct rollout_config){
        .causal = {.chunk = 2, .sink = 3, .ring = 2, .rapr = RAPR_END, .rapr_cap = 4, .audio_lookahead = AUDIO_MARGIN},
        .steps = 2,
        .sigma = {1, 0.6}};
    c.teacher = (struct teacher_config){.stage = stage, .level = level};
    c.ode_init = (struct ode_init_config){.stage = stage, .history = ODE_HISTORY_LAST};
    c.ode_init.loss = j->stage == JOB_CONSISTENCY ? ODE_LOSS_CONSISTENCY : ODE_LOSS_TRAJECTORIES;
    c.ode_init.sampler =
        (struct sampler_config){.steps = 4, .shift = 3, .guidance = 2, .text_guidance = 1, .listen_guidance = -1};
    c.distill = (struct distill_config){.stage = stage,
                                        .score = {.loss = score_loss_of(j->stage == JOB_DISTILL_DMD ? "dmd" : "sid"),
                                                  .guidance = 2,
                                                  .alpha = 1.2,
                                                  .level = level,
                                                  .critic = o,
                                                  .critic_ratio = 2,
                                                  .critic_replay = 2}};
    c.refine = (struct refine_config){
        .stage = stage,
        .discriminator = {.taps = {0, 1, 2}, .queries = 1, .heads = j->wide ? 2 : 3, .ffn_dim = j->wide ? 64 : 8},
        .discriminator_optimiser = o,
        .level = level,
        .ratio = 2,
        .local_weight = 0.7,
        .global_weight = 1.3,
        .r1 = 0.05,
        .r2 = 0.05,
        .fd_step = 0.1,
        .distill_share = 0.5};
    return c;
}

static inline void job_layout(struct job_world *w) {
    struct run_config *c = &w->config;
    struct arena *s = &w->state, *a = &w->activations;
    const struct step_setup setup = {
        .net = &w->net, .rollout = &c->rollout, .F = c->frames, .seed = 7, .shards = &w->shards};
    switch (w->job->stage) {
    case JOB_TEACHER:
        CHECK(!teacher_step_layout(&w->teacher, &setup, &c->teacher, s, a));
        CHECK(!teacher_step_acts_layout(&w->teacher, a));
        w->networks[0] = &w->teacher.optimiser;
        break;
    case JOB_CONSISTENCY:
    case JOB_ODE:
        CHECK(!shard_layout_frozen(&w->solver, "teacher", &w->net.table, &w->shards, s));
        CHECK(!sampler_layout(&w->sampler, &w->net, &c->ode_init.sampler, w->split.largest, c->frames, a));
        CHECK(!ode_step_layout(&w->ode, &setup, &c->ode_init, s, a));
        CHECK(!ode_step_acts_layout(&w->ode, a));
        w->networks[0] = &w->ode.student;
        break;
    case JOB_REFINE:
        CHECK(!refine_step_layout(&w->refine, &setup, &c->refine, &c->distill.score, s, a));
        CHECK(!refine_step_acts_layout(&w->refine, a));
        w->networks[0] = &w->refine.student;
        w->networks[1] = &w->refine.discriminator.optimiser;
        w->networks[2] = &w->refine.matching.critic;
        break;
    default:
        CHECK(!distill_step_layout(&w->distill, &setup, &c->distill, s, a));
        CHECK(!distill_step_acts_layout(&w->distill, a));
        w->networks[0] = &w->distill.student;
        w->networks[1] = &w->distill.matching.critic;
    }
    sharding_layout(&w->shards, s);
    condition_batch_layout(&w->all, &w->net.config, NULL, w->job->batch, c->frames, &w->batch);
    long clip = (long)c->frames * w->net.config.in_channels * w->net.config.height * w->net.config.width;
    w->clips = ARENA_TAKE(&w->batch, "clips", real, w->job->batch * clip);
    w->states = ARENA_TAKE(&w->batch, "states", real, JOB_STATES * w->job->batch * clip);
}

/* A slice of rough weights, host: the same for any number of ranks. */
static inline float *job_weights(const struct param_table *t, int slice, uint64_t seed) {
    long n = (long)(t->slice_offset[slice + 1] - t->slice_offset[slice]);
    real *device = device_alloc(2 * (size_t)n * sizeof *device);
    float *host = malloc((size_t)n * sizeof *host);
    CHECK(device && host);
    params_initialise_slice(device, t, slice, seed);
    mem_zero(device + n, (size_t)n * sizeof *device);
    for (int i = 0; i < t->count; i++)
        if (t->list[i].slice == slice)
            random_init(device + n + t->list[i].offset, seed + 1, i, (real)0.2, (long)t->list[i].count);
    real_axpby(device, 1, device + n, 1, n);
    transfer_from_real(host, device, n);
    device_free(device);
    return host;
}

static inline void job_fill_frozen(struct sharded *frozen, uint64_t seed) {
    for (int s = 0; s < frozen->table->slices; s++) {
        struct shard_piece p = shard_weight_piece(frozen, s);
        float *values = job_weights(frozen->table, s, seed);
        transfer_to_elem(frozen->weights + p.at, values + p.from, (long)p.count);
        free(values);
    }
}

static inline void job_fill(struct job_world *w) {
    struct condition_batch *c = &w->all;
    random_condition(c);
    long clip = (long)w->config.frames * w->net.config.in_channels * w->net.config.height * w->net.config.width;
    random_init(w->clips, 2, 1, 1, c->B * clip);
    random_init(w->states, 2, 2, 1, JOB_STATES * c->B * clip);
    for (int n = 0; n < JOB_NETWORKS && w->networks[n]; n++) {
        w->networks[n]->keep_gradients = 1;
        if (optimiser_adapted(w->networks[n]) && !w->networks[n]->shared)
            job_fill_frozen(&w->networks[n]->own_base.shard, 20 + (uint64_t)n);
        for (int s = 0; s < w->networks[n]->table->slices; s++) {
            if (!shard_piece(&w->networks[n]->shard, s).count) continue; /* no adapters in it */
            float *values = job_weights(w->networks[n]->table, s, 10 + 2 * (uint64_t)n);
            optimiser_write(w->networks[n], OPTIMISER_MASTER, s, values);
            free(values);
        }
        optimiser_start(w->networks[n]);
    }
    if (w->job->stage == JOB_CONSISTENCY) job_fill_frozen(&w->solver, 30);
    struct distribution_matching *m = w->job->stage == JOB_REFINE ? &w->refine.matching : &w->distill.matching;
    if (!m->net) return;
    replay_clear(&m->replay);
    job_fill_frozen(&m->teacher.shard, 30);
}

static inline void job_open(struct job_world *w, const struct job *job) {
    memset(w, 0, sizeof *w);
    w->job = job;
    w->config = job_config(job);
    CHECK(!device_init(1));
    CHECK(!comm_open(&w->comm, &(struct comm_options){.timeout = 20}));
    CHECK(!sharding_open(&w->shards, &w->comm, w->comm.size, job->cut.zero));
    if (job->cut.offload) w->shards.host = &w->host;
    CHECK(!dit_create(&w->net, &w->config.model, 0));
    CHECK(!sequence_open(&w->sequence, w->comm.size, w->comm.rank, job->cut.sequence ? job->cut.sequence : 1));
    CHECK(!sequence_join(&w->sequence, &w->comm));
    CHECK(!dit_divide(&w->net, &w->sequence));
    w->shards.together = w->sequence.ranks;
    CHECK(!sharding_divide(&w->shards, &w->net.table));
    CHECK(!sharding_batch_split(&w->shards, &w->split, job->batch, job->cut.accumulate));
    arena_begin(&w->state, "state");
    arena_begin(&w->activations, "activations");
    arena_begin(&w->batch, "batch");
    arena_begin_host(&w->host, "host");
    job_layout(w);
    CHECK(!device_sync());
    CHECK(!arena_commit(&w->state) && !arena_commit(&w->activations) && !arena_commit(&w->batch) &&
          !arena_commit(&w->host));
    job_layout(w);
    CHECK(!device_sync());
    if (job->stage == JOB_TEACHER) teacher_step_prepare(&w->teacher);
    if (job->stage == JOB_CONSISTENCY) CHECK(!ode_step_prepare(&w->ode));
    if (job->stage == JOB_REFINE) CHECK(!refine_step_prepare(&w->refine));
    if (job->stage == JOB_DISTILL_SID || job->stage == JOB_DISTILL_DMD) CHECK(!distill_step_prepare(&w->distill));
    job_fill(w);
    CHECK(!device_sync());
}

static inline void job_close(struct job_world *w) {
    teacher_step_free(&w->teacher);
    ode_step_free(&w->ode);
    sampler_free(&w->sampler);
    shard_free(&w->solver);
    distill_step_free(&w->distill);
    refine_step_free(&w->refine);
    arena_free(&w->state);
    arena_free(&w->activations);
    arena_free(&w->batch);
    arena_free(&w->host);
    dit_destroy(&w->net);
    sharding_close(&w->shards);
    CHECK(!comm_barrier(&w->comm));
    sequence_close(&w->sequence);
    comm_close(&w->comm);
}

/* One update of every network of the stage. */
static inline void job_update(struct job_world *w, long step) {
    struct condition_batch mine;
    const struct run_config *c = &w->config;
    long clip = (long)c->frames * w->net.config.in_channels * w->net.config.height * w->net.config.width;
    real *clips = w->clips + w->split.first * clip;
    uint64_t round = (uint64_t)step;
    condition_batch_part(&mine, &w->all, w->split.first, w->split.count);
    switch (w->job->stage) {
    case JOB_TEACHER:
        CHECK(!teacher_step_run(&w->teacher, clips, &mine, step));
        break;
    case JOB_ODE:
        for (int i = 0; i < JOB_STATES; i++)
            mem_copy(w->ode.states + i * w->split.count * clip, w->states + (i * w->job->batch + w->split.first) * clip,
                     sizeof(real) * (size_t)(w->split.count * clip));
        CHECK(!ode_step_run(&w->ode, &mine, step));
        break;
    case JOB_CONSISTENCY: {
        const struct params teacher = shard_frozen(&w->solver);
        CHECK(!ode_step_pairs(&w->ode, &w->sampler, &teacher, clips, &mine, step));
        CHECK(!ode_step_run(&w->ode, &mine, step));
        break;
    }
    case JOB_REFINE:
        CHECK(!refine_generator_update(&w->refine, clips, &mine, round, step));
        CHECK(!refine_discriminator_update(&w->refine, clips, &mine, round, 0, 2 * step, 0));
        CHECK(!refine_rollout(&w->refine, clips, &mine, round, 1));
        CHECK(!refine_discriminator_update(&w->refine, clips, &mine, round, 1, 2 * step + 1, step == 3));
        CHECK(!distribution_matching_critic_update(&w->refine.matching, round, 0, step));
        CHECK(!refine_step_end(&w->refine, round));
        break;
    default:
        CHECK(!distill_critic_rollout(&w->distill, clips, &mine, round, 1));
        CHECK(!distill_generator_update(&w->distill, clips, &mine, round, step));
        CHECK(!distill_critic_update(&w->distill, round, 0, 2 * step));
        CHECK(!distill_critic_update(&w->distill, round, 1, 2 * step + 1));
        CHECK(!distill_step_end(&w->distill, step));
    }
    CHECK(!device_sync());
}

/* values, padding left out: a network's array, of which ranks may have pieces, put together. */
static inline size_t job_gather(struct job_world *w, struct optimiser *o, int gradients, double *values) {
    const struct param_table *t = o->table;
    size_t n = 0;
    CHECK(t->values <= JOB_VALUES);
    for (int s = 0; s < t->slices; s++) {
        struct shard_piece p = shard_piece(&o->shard, s);
        size_t size = t->slice_offset[s + 1] - t->slice_offset[s];
        if (!size) continue;
        real *whole = device_alloc(size * sizeof *whole), *host = malloc(size * sizeof *host);
        const real *piece = gradients ? shard_grads(&o->shard, s) : o->master + p.at;
        CHECK(whole && host);
        if (gradients || !o->staging_size)
            mem_copy(whole + p.from, piece, p.count * sizeof(real));
        else
            mem_upload(whole + p.from, piece, p.count * sizeof(real));
        if (p.count < size) CHECK(!sharding_collect(&w->shards, whole, whole + p.from, p.count * sizeof(real)));
        mem_download(host, whole, size * sizeof(real));
        for (int i = 0; i < t->count; i++)
            for (size_t k = 0; t->list[i].slice == s && k < t->list[i].count; k++)
                values[n++] = (double)host[t->list[i].offset + k];
        device_free(whole);
        free(host);
    }
    return n;
}

static inline void job_tensors(const struct param_table *t, struct job_result *r, int network) {
    size_t n = 0;
    CHECK(t->count <= JOB_TENSORS);
    for (int i = 0; i < t->count; i++) r->end[network][i] = n += t->list[i].count;
    r->tensors[network] = t->count;
}

static inline int job_rank(int rank, int size, void *context) {
    const struct job *job = context;
    static struct job_world w;
    static double values[JOB_VALUES];
    struct optimiser_report report;
    (void)size;
    CHECK(job->updates <= JOB_LOSSES);
    job_open(&w, job);
    for (int step = 0; step < job->updates; step++) {
        job_update(&w, step);
        optimiser_report(w.networks[0], step, &report);
        if (!rank) job->result->losses[step] = report.loss;
        for (int n = 0; n < JOB_NETWORKS && w.networks[n] && (step == 0 || step + 1 == job->updates); n++) {
            if (step == 0) { /* where a network is updated several times a step: the last one's */
                size_t count = job_gather(&w, w.networks[n], 1, values);
                if (!rank) memcpy(job->result->first[n], values, count * sizeof *values);
            }
            size_t count = job_gather(&w, w.networks[n], 0, values);
            if (rank) continue;
            memcpy(job->result->last[n], values, count * sizeof *values);
            job->result->count[n] = count;
            job->result->networks = n + 1;
            job_tensors(w.networks[n]->table, job->result, n);
        }
    }
    CHECK(report.step == job->updates - 1 && !report.skipped);
    job_close(&w);
    return 0;
}

static inline void job_run(struct job *job) {
    memset(job->result, 0, sizeof *job->result);
    if (ranks_run(job->cut.ranks, job_rank, job)) fail_msg("%s: a rank failed", job_text(job));
}

#endif
