/* stage.c: see stage.h. */
#include "train/stage/stage.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "base/process_memory.h"
#include "checkpoints/decoder_file.h"
#include "kernels/device.h"
#include "kernels/memory_plan.h"
#include "kernels/served.h"
#include "kernels/workspace.h"
#include "train/stage/negative_prompt.h"
#include "train/stage/set_codec.h"
#include "train/stage/thread_pace.h"

struct plan_settings {
    int ranks;
};
#define FIELDS_OF struct plan_settings
static const struct config_field plan_keys[] = {
    INT("ranks", ranks, 0, 65536, "0",
        "Number of processes that --plan plans for; the plan is the first one's. 0 is one alone."),
};

/* ---- command line, config, network ---- */

/* Sets the number of processes (of the job, or those that a plan is for; planned 0: not given), how networks are
   divided over them and which samples are this one's. */
static int open_ranks(struct stage *s, int planned) {
    const struct run_config *c = &s->config;
    if (planned && !s->plan) return error_set(ERR_USAGE, "ranks=%d: goes with --plan alone", planned);
    s->ranks = s->plan ? (planned ? planned : 1) : s->comm.size;
    TRY(sequence_open(&s->sequence, s->ranks, s->plan ? 0 : s->comm.rank,
                      s->program->own_clips ? 1 : c->comm.sequence));
    TRY(dit_divide(&s->net, &s->sequence));
    TRY(sharding_open(&s->shards, s->plan ? NULL : &s->comm, s->ranks, c->shard.zero));
    s->shards.together = s->sequence.ranks;
    if (c->shard.offload) s->shards.host = &s->offload_memory;
    TRY(sharding_divide(&s->shards, &s->net.table));
    return sharding_batch_split(&s->shards, &s->split, s->settings->batch, s->settings->accumulate);
}

/* Reads command line and config. *go_on: 0 when help or version was printed and the program ends. */
static int open_stage(struct stage *s, int argc, char **argv, int *go_on) {
    *go_on = 0;
    struct command command = {.name = s->program->section->name,
                              .does = s->program->section->does,
                              .words = "CONFIG.yaml",
                              .min_words = 1,
                              .max_words = 1,
                              .keys = plan_keys,
                              .key_count = 1,
                              .section = s->program->section->name,
                              .describe = run_config_describe,
                              .plans = 1};
    struct plan_settings asked;
    struct args args;
    command.config = run_config_fields(&command.config_count);
    TRY(args_parse(&args, &command, &asked, argc, argv));
    if (args.done) return OK;
    s->plan = args.plan;
    TRY(run_config_load(&s->config, args.words[0], args.overrides, args.override_count));
    TRY(run_config_text(&s->config, &s->config_text));
    s->settings = (const struct stage_config *)((const char *)&s->config + s->program->settings);
    TRY(stage_best_check(s));
    TRY(stage_join(s));
    TRY(dit_create(&s->net, &s->config.model, 0));
    s->table = &s->net.table;
    s->setup = (struct step_setup){.net = &s->net,
                                   .rollout = &s->config.rollout,
                                   .F = s->config.frames,
                                   .seed = run_config_seed(&s->config, command.name),
                                   .shards = &s->shards};
    TRY(stage_agree(s, open_ranks(s, asked.ranks)));
    if (!s->plan) TRY(sequence_join(&s->sequence, &s->comm));
    *go_on = 1;
    return OK;
}

int stage_load_master(const struct stage *s, const char *path, const char *stage, const char *network,
                      enum weights_choice source, struct optimiser *optimiser) {
    char from[FILE_PATH_MAX];
    TRY(run_config_source(&s->config, path, stage, from, sizeof from));
    return train_state_load_master(from, network, source, &s->net.table, optimiser);
}

int stage_load_frozen(const struct stage *s, const char *path, const char *stage, const char *network,
                      struct frozen_weights *weights) {
    char from[FILE_PATH_MAX];
    TRY(run_config_source(&s->config, path, stage, from, sizeof from));
    return train_state_load_frozen(from, network, weights);
}

/* ---- memory ---- */

static void use_batch(struct stage *s, const struct device_batch *batch) {
    s->clips = batch->clips;
    s->far = batch->far;
    s->condition = batch->condition;
}

static void layout_batch(struct stage *s, struct arena *arena) {
    const struct causal_config *causal = &s->config.rollout.causal;
    s->shown = s->config.samples;
    batch_feed_layout(&s->feed, &s->config.model, causal, s->split.count, s->config.frames, arena);
    device_batch_layout(&s->held_out, &s->config.model, causal, s->shown, s->config.frames, arena);
    if (stage_measures(s))
        device_batch_layout(&s->development, &s->config.model, causal, s->shown, s->config.frames, arena);
    use_batch(s, &s->feed.batch[s->feed.now]);
}

static size_t at_least(size_t bytes) { return bytes > WORKSPACE_LEAST ? bytes : WORKSPACE_LEAST; }

/* Bytes of scratch that passes over whole clips (a teacher's) and over chunks (a student's) want, with backward. */
static size_t workspace_wanted(const struct stage *s) {
    const struct causal_config *causal = &s->config.rollout.causal;
    const struct dit_config *c = &s->config.model;
    if (s->program->workspace) return at_least(s->program->workspace(s->self));
    size_t clips = dit_workspace(c, s->split.largest, s->config.frames, 0, 1);
    size_t chunks = dit_workspace(c, s->split.largest, causal->chunk, causal->sink + causal->ring, 1);
    return clips > chunks ? clips : chunks;
}

/* Bytes of scratch that are laid out: as many as are wanted, at most workspace_mib. */
static size_t workspace_size(const struct stage *s) {
    size_t wanted = workspace_wanted(s), cap = (size_t)s->config.workspace_mib << 20;
    if (!cap || wanted <= cap) return wanted;
    if (!s->workspace.base && s->shards.rank == 0 && wanted > WORKSPACE_LEAST)
        log_line(
            "workspace_mib: %d, but the fastest kernels want %.1f: where those do not fit slower ones do the work; "
            "0 gives them all",
            s->config.workspace_mib, (double)wanted / 1048576);
    return cap;
}

static int layout_all(struct stage *s) {
    train_state_begin(&s->saved, &s->shards, &s->split);
    train_state_integer(&s->saved, "step", &s->step);
    train_state_integer(&s->saved, "batches", &s->batches);
    train_state_integer(&s->saved, "rollbacks", &s->rollbacks);
    train_state_newer_integer(&s->saved, "data_sum", &s->data_sum);
    train_state_newer_integer(&s->saved, "best_step", &s->best_step);
    train_state_newer_integer(&s->saved, "best_value", &s->best_value);
    train_state_newer_integer(&s->saved, "best_waited", &s->best_waited);
    TRY(s->program->layout(s->self, &s->state_memory, &s->activation_memory));
    sharding_layout(&s->shards, &s->state_memory);
    train_state_layout(&s->saved, &s->staging_memory);
    layout_batch(s, &s->batch_memory);
    arena_take(&s->workspace, "workspace of kernels", workspace_size(s));
    return device_sync(); /* returns the error of a layout that differs from its plan */
}

enum { DEVICE_ARENAS = 4, ARENAS = 6 };

static struct dataset_shape wanted_shape(const struct stage *s) {
    const struct dit_config *c = &s->config.model;
    return (struct dataset_shape){.F = s->config.frames,
                                  .C = c->in_channels,
                                  .H = c->height,
                                  .W = c->width,
                                  .D = c->audio_dim,
                                  .text_len = c->text_len,
                                  .text_dim = c->text_dim};
}

static size_t buffer_memory(const struct stage *s) {
    struct dataset_shape shape = wanted_shape(s);
    shape.T = (int)video_frames(shape.F);
    shape.pixel_height = s->pictures.height;
    shape.pixel_width = s->pictures.width;
    return loader_memory(&shape, s->split.count, s->pictures.frames) + comm_memory(s->ranks) +
           comm_memory(s->sequence.ranks);
}

/* Prints what a step takes besides memory: arithmetic, and bytes sent, computed for a ring (step_work.h). */
static void print_work(const struct stage *s) {
    struct step_work work = {.sequence = s->sequence.ranks};
    if (!s->program->work) return;
    s->program->work(s->self, &work);
    int divided = s->sequence.ranks > 1 ? s->sequence.ranks : 1;
    printf("%-32s %10.2f TFLOP\n", "arithmetic a step", 1e-12 * work.flops / divided);
    if (divided > 1) printf("%-32s %10.1f MiB\n", "of it exchanges of tokens", work.exchanged / 1048576);
    if (s->ranks > 1)
        printf("%-32s %10.1f MiB\n", "sent a step", step_work_sent(&work, s->ranks, s->shards.zero) / 1048576);
}

static void print_plan(const struct stage *s, struct arena *const all[ARENAS]) {
    struct memory_plan plan = {.out = stdout, .detail = s->plan, .host = s->buffers};
    printf("%s: %zu parameters, batch %d of %d frames", s->program->section->name, s->table->values, s->settings->batch,
           s->config.frames);
    if (s->ranks > 1)
        printf("; the first of %d ranks: %d samples in %d parts, zero %d", s->ranks, s->split.count, s->split.parts,
               s->shards.zero);
    if (s->sequence.ranks > 1) printf(", tokens divided by %d", s->sequence.ranks);
    printf("\n");
    for (int i = 0; i < ARENAS; i++)
        if (i < DEVICE_ARENAS || all[i]->used) memory_plan_arena(&plan, all[i]);
    printf("%-32s %10.1f MiB\n", "loader and messages (host)", (double)s->buffers / 1048576);
    memory_plan_total(&plan);
    if (s->plan) print_work(s);
    fflush(stdout);
}

/* Plans the memory, prints the plan and (unless --plan) allocates it. The layout is called twice, once for the plan and
   once in the memory. */
static int take_memory(struct stage *s) {
    struct arena *all[ARENAS] = {&s->state_memory, &s->activation_memory, &s->batch_memory,
                                 &s->workspace,    &s->offload_memory,    &s->staging_memory};
    arena_begin(&s->state_memory, "networks and optimisers");
    arena_begin(&s->activation_memory, "activations");
    arena_begin(&s->batch_memory, "batches");
    arena_begin(&s->workspace, "workspace");
    arena_begin_host(&s->offload_memory, "offloaded optimisers (host)");
    arena_begin_host(&s->staging_memory, "staging of checkpoints (host)");
    TRY(layout_all(s));
    s->planned = s->buffers = buffer_memory(s);
    if (s->shards.rank == 0) print_plan(s, all);
    if (s->plan) return OK;
    s->resident = process_resident();
    for (int i = 0; i < ARENAS; i++) {
        s->planned += all[i]->used;
        TRY(arena_commit(all[i]));
    }
    TRY(layout_all(s));
    device_workspace(s->workspace.base, s->workspace.size);
    return OK;
}

/* ---- data ---- */

static int check_data(const struct stage *s) {
    const struct dataset_shape wanted = wanted_shape(s);
    TRY(dataset_expect(s->set, &wanted));
    if (!dataset_rows(s->set, SPLIT_TRAIN)) return error_set(ERR_INPUT, "the data set has no training clips");
    if (stage_measures(s) && !dataset_rows(s->set, SPLIT_HELD_OUT))
        return error_set(ERR_INPUT,
                         "the data set has no held-out clips, which %s.best_every measures (prepare's "
                         "held_out makes some)",
                         s->program->section->name);
    return OK;
}

/* Reads the true pictures of the clips that are shown, where the data set has them. */
static int load_shown_pictures(struct stage *s, const struct loader_config *config) {
    const struct dataset_shape *shape = dataset_shape(s->set);
    size_t clip = (size_t)shape->T * dataset_picture_bytes(shape), n = (size_t)s->shown * clip;
    if (!shape->pictures || !s->shown) return OK;
    unsigned char *bytes = malloc(clip);
    s->shown_pictures = malloc(n * sizeof *s->shown_pictures);
    int code = bytes && s->shown_pictures ? OK : error_set(ERR_DEVICE, "out of memory for pictures");
    for (int b = 0; b < s->shown && !code; b++) {
        long row = loader_row(config->seed, (uint64_t)b, dataset_rows(s->set, config->split));
        code = dataset_read_pictures(s->set, config->split, row, 0, shape->F, bytes);
        for (size_t i = 0; i < clip; i++) s->shown_pictures[(size_t)b * clip + i] = (float)bytes[i] / 127.5f - 1;
    }
    free(bytes);
    return code;
}

/* Loads the held-out clips that are shown: always the same ones. */
static int load_shown(struct stage *s) {
    int held_out = dataset_rows(s->set, SPLIT_HELD_OUT) > 0;
    struct loader_config config = {.seed = (uint64_t)s->config.seed,
                                   .batch = s->shown,
                                   .split = held_out ? SPLIT_HELD_OUT : SPLIT_TRAIN,
                                   .latents = 1};
    const struct loader_batch *batch;
    struct loader *loader;
    if (!held_out)
        log_line("warning: the data set has no held-out clips; samples show training clips (prepare's held_out makes "
                 "some)");
    TRY(loader_open(&loader, s->set, &config, 0));
    int code = loader_next(loader, &batch);
    if (!code) device_batch_upload(&s->held_out, batch, s->negative);
    loader_close(loader);
    return code ? code : load_shown_pictures(s, &config);
}

static int open_data(struct stage *s) {
    TRY(dataset_open(&s->set, s->config.data));
    int code = check_data(s);
    if (code) return error_context(code, "%s", s->config.data);
    TRY(set_codec_open(&s->codec, s->set, s->config.codec_weights));
    if (s->config.decoder[0]) TRY(decoder_file_use(&s->codec, s->config.decoder));
    TRY(negative_prompt_load(&s->config, &s->negative));
    return load_shown(s);
}

static int begin(struct stage *s, int *resumed) {
    stage_catch_signals();
    TRY(stage_open_folder(s));
    TRY(stage_agree(s, open_data(s)));
    s->data_sum = -1; /* stays so where the state is older than this integer */
    TRY(train_state_resume(&s->saved, s->folder.path, resumed));
    TRY(stage_check_data(s));
    if (*resumed) s->saved_step = s->step;
    return OK;
}

static int open_loader(struct stage *s) {
    struct loader_config config = {.seed = s->setup.seed,
                                   .batch = s->settings->batch,
                                   .first = s->split.first,
                                   .count = s->split.count,
                                   .split = SPLIT_TRAIN,
                                   .drop_text = s->drop_text,
                                   .drop_audio = s->drop_audio,
                                   .picture_frames = s->pictures.frames,
                                   .other_reference = s->pictures.other,
                                   .drop_talk = s->drop_talk,
                                   .drop_listen = s->drop_listen,
                                   .far_share = s->far_share,
                                   .far = s->far_references,
                                   .latents = 1};
    return loader_open(&s->loader, s->set, &config, (uint64_t)s->batches);
}

int stage_restart_data(struct stage *s) {
    if (s->folder.metrics) { /* the first rank alone has them */
        metrics_close(s->folder.metrics);
        s->folder.metrics = NULL;
        TRY(metrics_open(&s->folder.metrics, s->folder.path, (long)s->step));
    }
    loader_close(s->loader);
    s->loader = NULL;
    return open_loader(s);
}

static int make_ready(struct stage *s) {
    int count;
    const struct config_field *fields = run_config_fields(&count);
    int code = s->comm.rank ? OK : run_folder_begin(&s->folder, &s->config, fields, count, s->saved_step);
    TRY(stage_agree(s, code));
    TRY(open_loader(s));
    log_line("%s: %zu parameters, %ld training clips, step %ld of %ld, %s on %d threads", s->program->section->name,
             s->table->values, dataset_rows(s->set, SPLIT_TRAIN), (long)s->step, s->settings->steps, device_name(),
             device_threads());
    if (s->ranks > 1) log_line("%s: rank %d of %d", s->program->section->name, s->comm.rank, s->ranks);
    if (s->sequence.comm.local_size < s->sequence.comm.size)
        log_line(
            "warning: ranks that divide clips between them (comm.sequence) are on several hosts: every layer waits "
            "for the network; give each host a multiple of comm.sequence processes");
    comm_busy(&s->comm, NULL);
    return device_sync();
}

/* ---- steps ---- */

static int goes_on(struct stage *s) { return s->step < s->settings->steps && !stage_early(s) && !stage_stopped(s); }

int stage_next_batch(struct stage *s) {
    double before = clock_seconds();
    TRY(loader_next(s->loader, &s->batch));
    s->waited += clock_seconds() - before;
    use_batch(s, batch_feed_next(&s->feed, s->batch, s->negative));
    s->batches++;
    return OK;
}

enum { STEPS_REMEMBERED = 20 }; /* steps over which mean times are taken */

/* Starts the clock of the steps: what came before does not count as their time. */
static void start_clock(struct stage *s) {
    s->started = clock_seconds();
    s->waited = 0;
}

/* Logs once that the run waits for data, when enough steps were timed that it is no accident. */
static void warn_of_waiting(struct stage *s) {
    const double much = 0.25;    /* share of a step */
    const double noticed = 0.02; /* seconds; a shorter wait may be due to other work of the machine */
    if (s->said_waiting || s->timed < STEPS_REMEMBERED || s->wait_seconds < noticed ||
        s->wait_seconds < much * s->step_seconds)
        return;
    s->said_waiting = 1;
    log_line(
        "warning: %.0f of %.0f ms a step are waiting for clips: the data set's disk or its decompression is slower "
        "than the network; put the data set on a faster disk (docs/troubleshooting.md)",
        1000 * s->wait_seconds, 1000 * s->step_seconds);
}

/* Counts a step that was queued, and its time. */
static void count_step(struct stage *s) {
    double now = clock_seconds(), seconds = now - s->started;
    if (s->timed < STEPS_REMEMBERED) s->timed++;
    s->step_seconds += (seconds - s->step_seconds) / (double)s->timed;
    s->wait_seconds += (s->waited - s->wait_seconds) / (double)s->timed;
    s->started = now;
    s->waited = 0;
    s->step++;
    warn_of_waiting(s);
}

int stage_report(struct stage *s, long step, const struct optimiser_report *account, const struct metric *extra,
                 int extra_count) {
    enum { OWN = 6 };
    struct metric list[METRICS_MAX] = {
        {"loss", account->loss},        {"grad_norm", account->norm},        {"lr", account->rate},
        {"ms", 1000 * s->step_seconds}, {"wait_ms", 1000 * s->wait_seconds}, {"skipped", account->skipped}};
    for (int i = 0; i < extra_count; i++) list[OWN + i] = extra[i];
    if (s->folder.metrics) TRY(metrics_write(s->folder.metrics, step + 1, list, OWN + extra_count));

    char line[512], eta[32];
    clock_text((double)(s->settings->steps - step - 1) * s->step_seconds, eta, sizeof eta);
    int used = snprintf(line, sizeof line, "step %ld/%ld  loss %.4f  norm %.3f  lr %.2e", step + 1, s->settings->steps,
                        account->loss, account->norm, account->rate);
    for (int i = 0; i < extra_count && used < 400; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, "  %s %.4g", extra[i].name, extra[i].value);
    snprintf(line + used, sizeof line - (size_t)used, "  %.0f ms/step  ETA %s", 1000 * s->step_seconds, eta);
    log_status("%s", line);
    if ((step + 1) % s->settings->log_every == 0 || step + 1 == s->settings->steps) log_line("%s", line);
    TRY(stage_checkpoint_ended(s, train_state_poll(&s->saved)));
    if (s->saved_step >= s->best_step) TRY(stage_mark_best(s));
    stage_watch(s, step, account, extra, extra_count);
    return stage_check_skips(s, step, account);
}

/* 1 after the last step. */
static int is_last(const struct stage *s) { return s->step == s->settings->steps || stage_early(s); }

static int sample_due(const struct stage *s) {
    if (is_last(s)) return 1;
    return s->settings->sample_every && s->step % s->settings->sample_every == 0;
}

static int save_due(const struct stage *s) {
    if (is_last(s) || (s->best_unmarked && s->best_step == s->step)) return 1;
    return s->settings->save_every && s->step % s->settings->save_every == 0 && !s->skipping;
}

static int save(struct stage *s) {
    if (s->program->save) TRY(s->program->save(s->self));
    if (s->folder.metrics) TRY(metrics_sync(s->folder.metrics));
    struct state_keeping keeping = {s->settings->keep, s->settings->keep_every, s->config_text};
    TRY(stage_checkpoint_ended(s, train_state_wait(&s->saved)));
    if (s->best_step != s->step) TRY(stage_mark_best(s));
    TRY(train_state_save(&s->saved, s->folder.path, (long)s->step, &keeping));
    s->saved_step = s->step;
    s->rolled_back = 0;
    return OK;
}

/* Reports the steps up to `step` that are not reported yet. */
static int report_to(const struct stage *s, long *reported, long step) {
    while (*reported < step) TRY(s->program->report(s->self, ++*reported));
    return OK;
}

/* Logs, after a run's first step, which library or kernel of the backend did what, and why no faster one. A backend
   that has one way for everything logs nothing. */
static void log_served(const struct stage *s) {
    struct served sum;
    for (int i = 0; s->comm.rank == 0 && served_sum(i, &sum); i++)
        log_line("served: %s by %s, %ld calls of %ld sizes%s%s", sum.operation, sum.by, sum.calls, sum.size[0],
                 sum.reason[0] ? ": " : "", sum.reason);
}

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Makes a step, and chooses the threads of the next one where the run adapts them. */
static int make_step(const struct stage *s, struct thread_pace *pace) {
    int threads = pace->now;
    double wall = seconds_of(CLOCK_MONOTONIC), processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    TRY(s->program->step(s->self));
    if (!s->config.threads_adapt) return OK;
    wall = seconds_of(CLOCK_MONOTONIC) - wall, processor = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - processor;
    device_use_threads(thread_pace_next(pace, wall, processor));
    if (pace->now != threads)
        log_line("threads=%d%s: a step took %.0f ms with %d and had the processor for %.0f ms", pace->now,
                 pace->trial ? " on trial" : "", 1e3 * wall, threads, 1e3 * processor);
    return OK;
}

/* Makes all steps that are left, until a signal comes. A step's account is read one step late, so that the host never
   waits for the device; before a state is saved or samples are shown all accounts have been read. */
static int train(struct stage *s) {
    long reported = (long)s->step - 1, first = (long)s->step;
    struct thread_pace pace;
    thread_pace_begin(&pace, device_threads());
    start_clock(s);
    while (goes_on(s)) {
        TRY(make_step(s, &pace));
        count_step(s);
        if ((long)s->step == first + 1) log_served(s);
        TRY(report_to(s, &reported, (long)s->step - 2));
        if (stage_best_due(s) || save_due(s) || sample_due(s)) TRY(report_to(s, &reported, (long)s->step - 1));
        if (s->fault) {
            TRY(stage_roll_back(s));
            reported = (long)s->step - 1;
            continue;
        }
        if (stage_best_due(s)) TRY(stage_judge(s));
        if (save_due(s)) TRY(save(s));
        if (sample_due(s)) TRY(s->program->show(s->self));
        start_clock(s);
    }
    return report_to(s, &reported, (long)s->step - 1);
}

/* Logs the plan beside what was used, on a backend whose device memory is the host's. Kernels that need no workspace
   never touch theirs, so that part of it is named apart. */
static void log_memory(const struct stage *s) {
    size_t peak = process_peak(), high = device_workspace_high();
    if (peak > s->resident)
        log_line("memory: %.1f MiB planned, of them %.1f of workspace that no kernel wanted; this process's peak is "
                 "%.1f MiB above what it had before",
                 (double)s->planned / 1048576, (double)(s->workspace.size - high) / 1048576,
                 (double)(peak - s->resident) / 1048576);
}

static void log_checkpoints(const struct stage *s) {
    const struct state_figures *f = &s->saved.figures;
    if (f->count)
        log_line("checkpoints: %ld, %.1f MiB each on this rank: steps waited %.1f ms for one, writing it took %.1f ms "
                 "beside them",
                 f->count, (double)s->staging_memory.used / 1048576, 1000 * f->paused / (double)f->count,
                 1000 * f->wrote / (double)f->count);
}

static int finish(struct stage *s, int *exit_code) {
    if (s->comm_code) return s->comm_code; /* the job failed, and the run stopped for that */
    if (s->saved_step != s->step) TRY(save(s));
    TRY(train_state_wait(&s->saved)); /* the last state must be written, whatever faults.checkpoint says */
    TRY(stage_mark_best(s));
    *exit_code = s->stop ? 128 + s->stop : 0;
    log_status("%s", "");
    log_memory(s);
    log_checkpoints(s);
    log_line("%s: %s after step %ld", s->program->section->name, s->stop ? "stopped by a signal, saved," : "done",
             (long)s->step);
    TRY(device_sync());
    int code = stage_count_skips(s);
    return stage_agree(s, s->comm.rank ? OK : code); /* the error is the same on all ranks: the first prints it */
}

/* ---- from the command line to the end ---- */

static int run(struct stage *s, int argc, char **argv, int *exit_code) {
    const struct stage_program *p = s->program;
    int go_on, resumed;
    TRY(open_stage(s, argc, argv, &go_on));
    if (!go_on) return OK;
    if (p->network) TRY(p->network(s->self));
    TRY(take_memory(s));
    if (s->plan) return OK;
    TRY(begin(s, &resumed));
    TRY(p->load(s->self, resumed));
    TRY(make_ready(s));
    if (p->warm_up) TRY(p->warm_up(s->self));
    TRY(train(s));
    return finish(s, exit_code);
}

/* Frees everything. code: the error that the run ended with, which the other ranks learn and which is printed. Returns
   what main returns: `code`, or exit_code where that is OK. */
static int close_stage(struct stage *s, int code, int exit_code) {
    train_state_settle(&s->saved); /* before anything is freed: a checkpoint under way is written to its end */
    s->program->free(s->self);
    if (code) exit_code = stage_leave(s, code); /* first: the others wait, and the text is still the reason */
    if (s->loader) loader_close(s->loader);
    if (s->codec.state) codec_close(&s->codec);
    if (s->set) dataset_close(s->set);
    run_folder_close(&s->folder);
    free(s->shown_pictures);
    free(s->negative);
    free(s->config_text);
    device_workspace(NULL, 0);
    arena_free(&s->state_memory);
    arena_free(&s->activation_memory);
    batch_feed_free(&s->feed);
    arena_free(&s->batch_memory);
    arena_free(&s->workspace);
    arena_free(&s->offload_memory);
    arena_free(&s->staging_memory);
    sharding_close(&s->shards);
    sequence_close(&s->sequence);
    if (s->comm.size) comm_close(&s->comm);
    dit_destroy(&s->net);
    return exit_code;
}

int stage_main(struct stage *s, const struct stage_program *program, void *self, int argc, char **argv) {
    memset(s, 0, sizeof *s);
    s->program = program;
    s->self = self;
    s->saved_step = s->best_step = s->measured_step = -1;
    s->folder.lock = -1;
    int exit_code = 0, code = run(s, argc, argv, &exit_code);
    return close_stage(s, code, exit_code);
}
