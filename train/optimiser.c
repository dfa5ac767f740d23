/* optimiser.c: see optimiser.h. Everything derives from the parameter table: runs of neighbouring parameters that decay
   alike are updated by one call (padding between them is zero and stays zero). */
#include "train/optimiser.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"

static void *take(struct arena *arena, const char *network, const char *what, size_t bytes) {
    char name[64];
    snprintf(name, sizeof name, "%s: %s", network, what);
    return arena_take(arena, name, bytes);
}

int optimiser_layout(struct optimiser *o, const char *network, const struct param_table *table,
                     const struct optimiser_config *config, long steps, struct arena *arena) {
    o->table = table;
    o->config = *config;
    o->steps = steps;
    size_t bytes = table->total * sizeof(real);
    o->master = take(arena, network, "master weights", bytes);
    o->m = take(arena, network, "first moments", bytes);
    o->v = take(arena, network, "second moments", bytes);
    o->ema = config->ema > 0 ? take(arena, network, "averaged weights", bytes) : NULL;
    o->grads = take(arena, network, "gradients", bytes);
    o->weights = take(arena, network, "weights", table->total * sizeof(elem));
    o->state = take(arena, network, "account", sizeof *o->state);
    o->loss = take(arena, network, "account", sizeof *o->loss);
    mailbox_layout(&o->account, sizeof *o->state, arena);
    mailbox_layout(&o->losses, sizeof *o->loss, arena);
    return OK;
}

void optimiser_free(struct optimiser *o) {
    mailbox_free(&o->account);
    mailbox_free(&o->losses);
    memset(o, 0, sizeof *o);
}

void optimiser_start(struct optimiser *o) {
    size_t bytes = o->table->total * sizeof(real);
    mem_zero(o->m, bytes);
    mem_zero(o->v, bytes);
    if (o->ema) mem_copy(o->ema, o->master, bytes);
    mem_zero(o->state, sizeof *o->state);
    optimiser_publish(o);
}

void optimiser_publish(struct optimiser *o) { elem_from_real(o->weights, o->master, (long)o->table->total); }

struct params optimiser_params(const struct optimiser *o) {
    return (struct params){.table = o->table, .weights = o->weights, .grads = o->grads};
}

double optimiser_rate(const struct optimiser_config *config, long step, long steps) {
    double rate = config->lr;
    if (step < config->warmup) rate *= (double)(step + 1) / (double)config->warmup;
    if (steps - step < config->cooldown) rate *= (double)(steps - step) / (double)config->cooldown;
    return rate > 0 ? rate : 0;
}

void optimiser_begin(struct optimiser *o) {
    mem_zero(o->grads, o->table->total * sizeof(real));
    mem_zero(o->loss, sizeof(real));
}

/* End (an index into the list) of the run of parameters from `i` that lie in one piece and decay alike. */
static int run_end(const struct param_table *t, int i) {
    int j = i + 1;
    while (j < t->count && t->list[j].decay == t->list[i].decay) j++;
    return j;
}

static void update_run(struct optimiser *o, size_t from, size_t to, double decay, double rate) {
    const struct optimiser_config *c = &o->config;
    adamw_update(o->master + from, o->m + from, o->v + from, o->weights + from, o->grads + from, (long)(to - from),
                 (real)rate, (real)c->beta1, (real)c->beta2, (real)c->eps, (real)decay, o->state);
    if (o->ema)
        ema_update(o->ema + from, o->master + from, (long)(to - from), (real)c->ema, (real)c->ema_warmup, o->state);
}

void optimiser_step(struct optimiser *o, long step, int first_slice) {
    const struct param_table *t = o->table;
    double rate = optimiser_rate(&o->config, step, o->steps);
    grad_norm_begin(o->state);
    for (int s = first_slice; s < t->slices; s++)
        grad_norm_add(o->state, o->grads + t->slice_offset[s], (long)(t->slice_offset[s + 1] - t->slice_offset[s]));
    grad_norm_end(o->state, o->loss, (real)o->config.clip);

    int i = 0;
    while (i < t->count && t->list[i].slice < first_slice) i++;
    while (i < t->count) {
        int j = run_end(t, i);
        size_t to = j < t->count ? param_position(t, &t->list[j]) : t->total;
        update_run(o, param_position(t, &t->list[i]), to, t->list[i].decay ? o->config.decay : 0, rate);
        i = j;
    }
    mailbox_post(&o->account, step, o->state);
    mailbox_post(&o->losses, step, o->loss);
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
                                        .rate = optimiser_rate(&o->config, step, o->steps),
                                        .skipped = state.nonfinite != 0,
                                        .skipped_in_row = state.skipped_in_row,
                                        .updates = (long)state.updates};
}
