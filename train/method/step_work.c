/* step_work.c: see step_work.h. */
#include "train/method/step_work.h"

#include <string.h>

struct network_work *step_work_network(struct step_work *w, const char *name, const struct param_table *table) {
    for (int i = 0; i < w->count; i++)
        if (!strcmp(w->list[i].name, name)) return &w->list[i];
    struct network_work *n = &w->list[w->count++];
    *n = (struct network_work){.name = name, .table = table, .trained = table};
    return n;
}

struct network_work *step_work_trained(struct step_work *w, const char *name, const struct optimiser *o) {
    struct network_work *n = step_work_network(w, name, o->net);
    n->trained = o->table;
    return n;
}

/* Arithmetic of a pass in forwards: a backward is two, one of them for the weights; recomputation is one more. */
static double forwards_worth(enum work_pass kind, int recompute) {
    if (kind == WORK_FORWARD) return 1;
    return (kind == WORK_BACKWARD ? 2 : 1) + (recompute != 0);
}

void step_work_exchanges(struct step_work *w, const struct dit_config *c, int count, int F, enum work_pass kind,
                         int recompute, double n) {
    double S = w->sequence, own = (double)count * F * dit_tokens(c) / S;
    if (S <= 1) return;
    int times = 1 + (kind != WORK_FORWARD && recompute);
    w->exchanged += n * times * c->layers * 4 * (S - 1) / S * own * c->dim * (double)sizeof(elem);
    double out = 4.0 * c->out_channels * (1 + c->reference_gate);
    if (kind == WORK_FORWARD) w->exchanged += n * (S - 1) * own * out * (double)sizeof(real);
}

void step_work_clips(struct step_work *w, struct network_work *network, const struct dit_config *config,
                     const struct batch_split *split, int F, enum work_pass kind, int recompute, double n) {
    *(kind == WORK_FORWARD ? &network->forwards : &network->backwards) += n * split->parts;
    w->flops += n * forwards_worth(kind, recompute) * dit_flops(config, split->count, F, 0);
    step_work_exchanges(w, config, split->count, F, kind, recompute, n);
}

/* One pass over chunk i of all samples. */
static double chunk_flops(const struct self_forcing *s, const struct batch_split *split, int chunk) {
    const struct causal_config *c = &s->rollout.config.causal;
    struct causal_view view;
    causal_view(&view, c, chunk);
    return dit_flops(&s->net->config, split->count, view.own, view.count);
}

void step_work_rollout(struct step_work *w, struct network_work *student, const struct self_forcing *s,
                       const struct batch_split *split, double n) {
    const struct causal_config *c = &s->rollout.config.causal;
    int passes = s->rollout.config.steps + (s->rollout.config.clean_pass != 0);
    double chunks = s->chunks + 0.5 * s->room; /* mean number of chunks of a rollout */
    student->forwards += n * split->parts * (1 + chunks * passes);
    w->flops += n * dit_flops(&s->net->config, split->count, 1, 0);
    for (int i = 1; i <= s->chunks + s->room; i++) {
        double share_of =
            i <= s->chunks ? 1 : 1 - (i - s->chunks) / (s->room + 1.0); /* share of rollouts that have chunk i */
        w->flops += n * passes * share_of * chunk_flops(s, split, i);
    }
    int spoils = s->spoil.config.probability > 0; /* one pass more, over the chunk whose entry is spoiled */
    student->forwards += n * split->parts * spoils;
    w->flops += n * spoils * chunk_flops(s, split, history_spoil_first(c));
    step_work_exchanges(w, &s->net->config, split->count, 1, WORK_FORWARD, 0, n);
    double frames = s->F - 1 + 0.5 * s->room * c->chunk; /* mean number of latent frames that a rollout makes */
    int spoiled = causal_own(c, history_spoil_first(c));
    step_work_exchanges(w, &s->net->config, split->count, 1, WORK_FORWARD, 0, n * (passes * frames + spoils * spoiled));
}

void step_work_rollout_backward(struct step_work *w, struct network_work *student, const struct self_forcing *s,
                                const struct batch_split *split, int recompute) {
    student->forwards += (double)split->parts * s->chunks;
    student->backwards += (double)split->parts * s->chunks;
    for (int i = 1; i <= s->chunks; i++) /* the clip's chunks, with the histories of a rollout of mean length */
        w->flops += (1 + forwards_worth(WORK_BACKWARD, recompute)) * chunk_flops(s, split, i + (s->room + 1) / 2);
    step_work_exchanges(w, &s->net->config, split->count, s->F - 1, WORK_FORWARD, 0, 1);
    step_work_exchanges(w, &s->net->config, split->count, s->F - 1, WORK_BACKWARD, recompute, 1);
}

double step_work_sent(const struct step_work *w, int ranks, int zero) {
    double f = (ranks - 1.0) / ranks, sent = w->exchanged;
    for (int i = 0; i < w->count && ranks > 1; i++) {
        const struct network_work *n = &w->list[i];
        double grads = f * sizeof(real) * (double)n->trained->total;
        double weights = f * sizeof(elem) * (double)n->trained->total;
        double frozen = n->trained == n->table ? 0 : f * sizeof(elem) * (double)n->table->total;
        int trains = n->updates > 0;
        if (zero <= 1) sent += n->updates * grads * (zero ? 1 : 2);
        if (zero >= 2 && trains) sent += n->backwards * grads;
        if (zero == 1 || zero == 2) sent += n->updates * weights;
        if (zero == 3) sent += (n->forwards + n->backwards) * (weights + frozen);
    }
    return sent;
}
