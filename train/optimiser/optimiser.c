/* optimiser.c: see optimiser.h. Everything derives from the parameter table: runs of neighbouring parameters that decay
   alike are updated by one call (padding between them is zero and stays zero), as far as they lie in this rank's
   piece. */
#include "train/optimiser/optimiser.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/params/transfer.h"

enum { STAGE_ELEMENTS = 1 << 22, SPIKE_WARMUP = 20 };

static const char *const array_names[OPTIMISER_ARRAYS] = {"master weights", "first moments", "second moments",
                                                          "averaged weights"};

static void *take(struct arena *arena, const char *network, const char *what, size_t bytes) {
    char name[64];
    snprintf(name, sizeof name, "%s: %s", network, what);
    return arena_take(arena, name, bytes);
}

void optimiser_share(struct optimiser *o, struct frozen_weights *base) { o->shared = base; }

/* Lays out the adapters' table and, unless they are shared, the frozen weights. */
static int layout_base(struct optimiser *o, const char *network, struct sharding *shards, struct arena *arena) {
    char name[64];
    if (!shards) return error_set(ERR_USAGE, "%s: adapters need a sharding's working memory", network);
    if (!o->lora.target) {
        TRY(lora_create(&o->lora, o->net, &o->config.lora));
        TRY(sharding_divide(shards, &o->lora.adapters));
    }
    lora_buffers_need(&shards->lora, &o->lora);
    o->lora.buffers = &shards->lora;
    o->table = &o->lora.adapters;
    o->base = o->shared ? o->shared : &o->own_base;
    snprintf(name, sizeof name, "%s, frozen", network);
    if (!o->shared) TRY(shard_layout_frozen(&o->own_base.shard, name, o->net, shards, arena));
    o->lora.base = shard_frozen(&o->base->shard);
    return OK;
}

int optimiser_layout(struct optimiser *o, const char *network, const struct param_table *table,
                     const struct optimiser_config *config, long steps, struct sharding *shards, struct arena *arena) {
    o->table = o->net = table;
    o->config = *config;
    o->steps = steps;
    if (optimiser_adapted(o)) TRY(layout_base(o, network, shards, arena));
    TRY(shard_layout(&o->shard, network, o->table, shards, arena));
    o->lora.own = shard_frozen(&o->shard);
    o->lora.own.grads = o->shard.grads;
    struct arena *keep = shards && shards->host ? shards->host : arena;
    size_t n = shard_pieces(&o->shard);
    o->staging_size = keep == arena ? 0 : n < STAGE_ELEMENTS ? n : STAGE_ELEMENTS;
    for (int i = 0; i < OPTIMISER_ARRAYS; i++) {
        if (i == OPTIMISER_EMA && config->ema <= 0) continue;
        o->array[i] = take(keep, network, array_names[i], n * sizeof(real));
        if (o->staging_size) o->staging[i] = take(arena, network, "staging", o->staging_size * sizeof(real));
    }
    o->state = take(arena, network, "account", sizeof *o->state);
    o->all = take(arena, network, "account", sizeof *o->all * (size_t)(shards && shards->ranks ? shards->ranks : 1));
    o->loss = take(arena, network, "account", sizeof *o->loss);
    mailbox_layout(&o->account, sizeof *o->state, arena);
    mailbox_layout(&o->losses, sizeof *o->loss, arena);
    return OK;
}

void optimiser_free(struct optimiser *o) {
    shard_free(&o->shard);
    shard_free(&o->own_base.shard);
    lora_destroy(&o->lora);
    mailbox_free(&o->account);
    mailbox_free(&o->losses);
    memset(o, 0, sizeof *o);
}

/* ---- arrays on the device or on the host ---- */

static int has_average(const struct optimiser *o) { return o->config.ema > 0; }

static void copy_in(const struct optimiser *o, real *device_to, const real *array_from, size_t n) {
    if (o->staging_size)
        mem_upload(device_to, array_from, n * sizeof(real));
    else
        mem_copy(device_to, array_from, n * sizeof(real));
}

static void copy_out(const struct optimiser *o, real *array_to, const real *device_from, size_t n) {
    if (o->staging_size)
        mem_download(array_to, device_from, n * sizeof(real));
    else
        mem_copy(array_to, device_from, n * sizeof(real));
}

static void zero(const struct optimiser *o, real *array, size_t n) {
    if (o->staging_size)
        memset(array, 0, n * sizeof(real));
    else
        mem_zero(array, n * sizeof(real));
}

/* Converts array [n] to elem, device [n]. */
static void to_elem(const struct optimiser *o, elem *to, const real *array, size_t n) {
    if (!o->staging_size) {
        elem_from_real(to, array, (long)n);
        return;
    }
    for (size_t i = 0; i < n; i += o->staging_size) {
        size_t some = n - i < o->staging_size ? n - i : o->staging_size;
        copy_in(o, o->staging[0], array + i, some);
        elem_from_real(to + i, o->staging[0], (long)some);
    }
}

void optimiser_copy(const struct optimiser *o, enum optimiser_array which, size_t at, size_t count, float *to) {
    const real *from = o->array[which] + at;
    if (!o->staging_size) {
        transfer_from_real(to, from, (long)count);
        return;
    }
    for (size_t i = 0; i < count; i++) to[i] = (float)from[i];
}

/* The slice is gathered in the place of the gradients, which is free between two updates. */
int optimiser_read(struct optimiser *o, enum optimiser_array which, int slice, float *to) {
    struct shard_piece p = shard_piece(&o->shard, slice);
    const real *piece = o->array[which] + p.at;
    size_t size = param_slice_size(o->table, slice);
    if (p.count == size && !o->staging_size) {
        if (to) transfer_from_real(to, piece, (long)size);
        return OK;
    }
    real *whole = shard_scratch(&o->shard, slice);
    if (o->staging_size)
        mem_upload(whole + p.from, piece, p.count * sizeof(real));
    else
        mem_copy(whole + p.from, piece, p.count * sizeof(real));
    if (p.count < size) TRY(sharding_collect(o->shard.all, whole, whole + p.from, p.count * sizeof(real)));
    if (to) transfer_from_real(to, whole, (long)size);
    return OK;
}

void optimiser_write_part(struct optimiser *o, enum optimiser_array which, int slice, size_t at, size_t count,
                          const float *from) {
    struct shard_piece p = shard_piece(&o->shard, slice);
    size_t begin = at > p.from ? at : p.from, end = at + count < p.from + p.count ? at + count : p.from + p.count;
    if (begin >= end) return;
    real *to = o->array[which] + p.at + (begin - p.from);
    if (!o->staging_size) {
        transfer_to_real(to, from + (begin - at), (long)(end - begin));
        return;
    }
    for (size_t i = 0; i < end - begin; i++) to[i] = (real)from[begin - at + i];
}

void optimiser_write(struct optimiser *o, enum optimiser_array which, int slice, const float *from) {
    optimiser_write_part(o, which, slice, 0, param_slice_size(o->table, slice), from);
}

/* ---- start ---- */

/* New values are made in the place of the gradients, which is free before the first update. */
void optimiser_initialise(struct optimiser *o, uint64_t seed) {
    for (int s = 0; s < o->table->slices; s++) {
        struct shard_piece p = shard_piece(&o->shard, s);
        real *whole = shard_scratch(&o->shard, s);
        if (!p.count) continue; /* adapters need not be in every slice */
        params_initialise_slice(whole, o->table, s, seed);
        copy_out(o, o->array[OPTIMISER_MASTER] + p.at, whole + p.from, p.count);
    }
}

void optimiser_clear(struct optimiser *o, int slices) {
    for (int s = 0; s < slices; s++) {
        struct shard_piece p = shard_piece(&o->shard, s);
        if (p.count) zero(o, o->array[OPTIMISER_MASTER] + p.at, p.count);
    }
}

void optimiser_start(struct optimiser *o) {
    size_t n = shard_pieces(&o->shard);
    const real *master = o->array[OPTIMISER_MASTER];
    zero(o, o->array[OPTIMISER_M], n);
    zero(o, o->array[OPTIMISER_V], n);
    if (has_average(o) && o->staging_size) memcpy(o->array[OPTIMISER_EMA], master, n * sizeof(real));
    if (has_average(o) && !o->staging_size) mem_copy(o->array[OPTIMISER_EMA], master, n * sizeof(real));
    mem_zero(o->state, sizeof *o->state);
    optimiser_publish(o);
}

static void publish_as(const struct optimiser *o, struct sharded *to, const real *array) {
    shard_settle(to);
    for (int s = 0; s < o->table->slices; s++) {
        struct shard_piece p = shard_piece(&o->shard, s);
        if (p.count) to_elem(o, shard_weights(to, s), array + p.at, p.count);
    }
    shard_publish(to, 0);
}

void optimiser_publish(struct optimiser *o) { publish_as(o, &o->shard, o->array[OPTIMISER_MASTER]); }

/* Merges adapters with the average's values: they take the place of the adapters' weights while they are merged. */
static void average_merged(struct optimiser *o, struct sharded *weights) {
    publish_as(o, &o->shard, o->array[has_average(o) ? OPTIMISER_EMA : OPTIMISER_MASTER]);
    shard_settle(weights);
    const struct params merged = lora_params(&o->lora);
    for (int s = 0; s < o->net->slices; s++) {
        struct shard_piece p = shard_weight_piece(weights, s);
        mem_copy(weights->weights + p.at, params_acquire(&merged, s) + p.from, p.count * sizeof(elem));
        params_release(&merged, s);
    }
    optimiser_publish(o);
}

void optimiser_average(struct optimiser *o, struct sharded *weights) {
    if (optimiser_adapted(o))
        average_merged(o, weights);
    else
        publish_as(o, weights, o->array[has_average(o) ? OPTIMISER_EMA : OPTIMISER_MASTER]);
}

struct params optimiser_frozen(const struct optimiser *o) {
    if (optimiser_adapted(o)) return lora_params(&o->lora);
    return shard_frozen((struct sharded *)&o->shard);
}

struct params optimiser_params(const struct optimiser *o) {
    struct params params = optimiser_frozen(o);
    params.grads = o->shard.grads;
    params.last = 1;
    return params;
}

double optimiser_rate(const struct optimiser_config *config, long step, long steps) {
    double rate = config->lr;
    if (step < config->warmup) rate *= (double)(step + 1) / (double)config->warmup;
    if (steps - step < config->cooldown) rate *= (double)(steps - step) / (double)config->cooldown;
    return rate > 0 ? rate : 0;
}

/* ---- an update ---- */

void optimiser_begin(struct optimiser *o) {
    shard_begin(&o->shard);
    mem_zero(o->loss, sizeof(real));
}

/* Completes the norm of all gradients over the ranks, each of which may have pieces only. */
static int close_norm(struct optimiser *o, int first_slice) {
    struct sharding *shards = o->shard.all;
    grad_norm_begin(o->state);
    for (int s = first_slice; s < o->table->slices; s++)
        if (shard_piece(&o->shard, s).count)
            grad_norm_add(o->state, shard_grads(&o->shard, s), (long)shard_piece(&o->shard, s).count);
    TRY(sharding_add(shards, o->loss, 1));
    if (shards && shards->comm && shards->zero) {
        TRY(sharding_collect(shards, o->all, o->state, sizeof *o->state));
        grad_norm_combine(o->state, o->all, shards->ranks);
    }
    if (o->config.spike > 0) grad_norm_spike(o->state, (real)o->config.spike, SPIKE_WARMUP);
    grad_norm_end(o->state, o->loss, (real)o->config.clip);
    return OK;
}

/* Updates n elements on the device with AdamW, and their average. */
static void update_values(struct optimiser *o, real *const array[OPTIMISER_ARRAYS], elem *weights, real *grads,
                          size_t n, double decay, double rate) {
    const struct optimiser_config *c = &o->config;
    const struct adamw how = {.lr = (real)rate,
                              .beta1 = (real)c->beta1,
                              .beta2 = (real)c->beta2,
                              .eps = (real)c->eps,
                              .decay = (real)decay,
                              .average = (real)c->ema,
                              .warmup = (real)c->ema_warmup,
                              .clear = !o->keep_gradients};
    adamw_update(array[OPTIMISER_MASTER], array[OPTIMISER_M], array[OPTIMISER_V],
                 has_average(o) ? array[OPTIMISER_EMA] : NULL, weights, grads, (long)n, &how, o->state);
}

/* Updates n elements at `at` of the arrays, through the staging buffer when they are on the host. */
static void update_run(struct optimiser *o, size_t at, elem *weights, real *grads, size_t n, double decay,
                       double rate) {
    real *array[OPTIMISER_ARRAYS] = {0};
    int arrays = has_average(o) ? OPTIMISER_ARRAYS : OPTIMISER_EMA;
    if (!o->staging_size) {
        for (int i = 0; i < arrays; i++) array[i] = o->array[i] + at;
        update_values(o, array, weights, grads, n, decay, rate);
        return;
    }
    for (size_t from = 0; from < n; from += o->staging_size) {
        size_t some = n - from < o->staging_size ? n - from : o->staging_size;
        for (int i = 0; i < arrays; i++) copy_in(o, o->staging[i], o->array[i] + at + from, some);
        update_values(o, o->staging, weights + from, grads + from, some, decay, rate);
        for (int i = 0; i < arrays; i++) copy_out(o, o->array[i] + at + from, o->staging[i], some);
    }
}

/* The run of parameters from `i` on that lie in one slice and decay alike: returns the index behind its last one. */
static int run_end(const struct param_table *t, int i) {
    int j = i + 1;
    while (j < t->count && t->list[j].slice == t->list[i].slice && t->list[j].decay == t->list[i].decay) j++;
    return j;
}

/* Updates parameters i .. j-1 of one slice, as far as they are in this rank's piece of it. */
static void update_parameters(struct optimiser *o, int i, int j, double rate) {
    const struct param_table *t = o->table;
    const struct param *first = &t->list[i];
    int s = first->slice;
    struct shard_piece p = shard_piece(&o->shard, s);
    size_t end = j < t->count && t->list[j].slice == s ? t->list[j].offset : param_slice_size(t, s);
    size_t from = first->offset > p.from ? first->offset : p.from;
    size_t to = end < p.from + p.count ? end : p.from + p.count;
    if (from >= to) return;
    size_t in_piece = from - p.from;
    update_run(o, p.at + in_piece, shard_weights(&o->shard, s) + in_piece, shard_grads(&o->shard, s) + in_piece,
               to - from, first->decay ? o->config.decay : 0, rate);
}

int optimiser_step(struct optimiser *o, long step, int first_slice) {
    const struct param_table *t = o->table;
    double rate = o->rates[step & 1] = optimiser_rate(&o->config, step - o->idle, o->steps - o->idle);
    o->held[step & 1] = 0;
    shard_reduce(&o->shard, first_slice);
    TRY(close_norm(o, first_slice));
    if (o->copying) copy_gate_pass(o->copying);
    o->copying = NULL;
    int i = 0;
    while (i < t->count && t->list[i].slice < first_slice) i++;
    for (int j; i < t->count; i = j) {
        j = run_end(t, i);
        update_parameters(o, i, j, rate);
    }
    if (first_slice == 0 && !o->keep_gradients) shard_cleared(&o->shard);
    shard_publish(&o->shard, first_slice);
    mailbox_post(&o->account, step, o->state);
    mailbox_post(&o->losses, step, o->loss);
    return sharding_status(o->shard.all);
}

int optimiser_hold(struct optimiser *o, long step) {
    TRY(sharding_add(o->shard.all, o->loss, 1));
    o->rates[step & 1] = 0;
    o->held[step & 1] = 1;
    mailbox_post(&o->account, step, o->state);
    mailbox_post(&o->losses, step, o->loss);
    return sharding_status(o->shard.all);
}

void optimiser_report(struct optimiser *o, long step, struct optimiser_report *report) {
    struct optim_state state;
    real loss;
    memset(report, 0, sizeof *report);
    report->step = -1;
    if (!mailbox_read(&o->account, step, &state) || !mailbox_read(&o->losses, step, &loss)) return;
    *report = (struct optimiser_report){.step = step,
                                        .loss = (double)loss,
                                        .norm = (double)state.norm,
                                        .rate = o->rates[step & 1],
                                        .skipped = state.nonfinite != 0,
                                        .spiked = state.spiked != 0,
                                        .typical = (double)state.typical,
                                        .skipped_in_row = state.skipped_in_row,
                                        .updates = (long)state.updates};
    if (o->held[step & 1]) report->norm = report->skipped = report->spiked = report->skipped_in_row = 0;
}
