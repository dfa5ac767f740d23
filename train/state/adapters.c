/* adapters.c: see adapters.h, and state.h for train_state_check_base. */
#include "train/state/adapters.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "model/params/transfer.h"

/* ---- frozen weights ---- */

static int take_frozen(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct sharded *shard = self;
    struct shard_piece piece = shard_weight_piece(shard, p->slice);
    size_t at = p->offset + from, begin = at > piece.from ? at : piece.from;
    size_t end = at + count < piece.from + piece.count ? at + count : piece.from + piece.count;
    if (begin < end)
        transfer_to_elem(shard->weights + piece.at + (begin - piece.from), values + (begin - at), (long)(end - begin));
    return OK;
}

int adapters_load_frozen(struct frozen_weights *base, struct weights_origin *origin) {
    struct sharded *shard = &base->shard;
    const struct weights_sink sink = {.take = take_frozen, .self = shard};
    for (int s = 0; s < shard->table->slices; s++) { /* zeros the padding too */
        struct shard_piece p = shard_weight_piece(shard, s);
        mem_zero(shard->weights + p.at, p.count * sizeof(elem));
    }
    TRY(weights_stream(origin, shard->table, &sink));
    base->origin = *origin;
    return OK;
}

/* The error of a shared base, which the stage loads itself, that is not the one under the adapters. */
static int wrong_base(const char *name, const struct weights_origin *wanted, const struct weights_origin *found) {
    return error_set(ERR_USAGE, "%s: its adapters are over %s %s, the stage's frozen weights are %s %s", name,
                     wanted->path, wanted->group, found->path, found->group);
}

static int use_base(struct optimiser *o, const char *name, struct weights_origin *origin) {
    if (!o->shared && weights_origin_same(&o->own_base.origin, origin)) return OK;
    if (!o->shared && !file_exists(origin->path))
        return error_set(ERR_INPUT, "%s: its adapters are over %s, which is gone; put it back", name, origin->path);
    if (!o->shared) return adapters_load_frozen(&o->own_base, origin);
    o->own_base.origin = *origin;
    if (o->shared->origin.path[0] && !weights_origin_same(&o->shared->origin, origin))
        return wrong_base(name, origin, &o->shared->origin);
    return OK;
}

int train_state_check_base(const struct optimiser *o, const char *name) {
    if (!optimiser_adapted(o) || !o->shared || weights_origin_same(&o->shared->origin, &o->own_base.origin)) return OK;
    return wrong_base(name, &o->own_base.origin, &o->shared->origin);
}

/* ---- the first start ---- */

static int same_adapters(const struct lora_config *x, const struct lora_config *y) {
    return x->rank == y->rank && (float)x->alpha == (float)y->alpha && !strcmp(x->targets, y->targets) &&
           !strcmp(x->whole, y->whole) && x->first_whole_slice == y->first_whole_slice;
}

/* Weights that are trained whole start from the same source as the frozen ones. */
static int take_trained_whole(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct optimiser *o = self;
    const struct param *own = param_find(o->table, p->name);
    if (own) optimiser_write_part(o, OPTIMISER_MASTER, own->slice, own->offset + from, count, values);
    return OK;
}

static int new_adapters(struct optimiser *o, const char *name, struct weights_origin *base) {
    const struct weights_sink sink = {.take = take_trained_whole, .self = o};
    TRY(use_base(o, name, base));
    optimiser_initialise(o, o->config.lora.seed);
    return weights_stream(base, o->base->shard.table, &sink);
}

static int adapters_of(struct weights_origin *from, int *adapted, struct lora_config *config,
                       struct weights_origin *base) {
    struct state_reader *r;
    *adapted = 0;
    if (!from->group[0]) return OK;
    TRY(state_open_seen(&r, from->path, &from->seen));
    int code = weights_adapters(r, from->path, from->group, adapted, config, base);
    state_close(r);
    return code ? error_context(code, "%s", from->path) : OK;
}

/* Leaves a file beside the state under new adapters that keeps the stage which wrote it from removing that state. */
static void keep_state(const struct optimiser *o, const struct weights_origin *origin) {
    char path[FILE_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s.keep", origin->path);
    if (!origin->group[0] || (o->shard.all && o->shard.all->rank) || file_exists(path)) return;
    if (file_write(path, "", 0))
        log_line("warning: %s; keep this state yourself: the adapters need it as long as they are used", error_text());
}

int adapters_start(struct optimiser *o, const char *name, struct weights_origin *from, int *goes_on) {
    struct lora_config there;
    struct weights_origin base;
    int adapted;
    TRY(adapters_of(from, &adapted, &there, &base));
    *goes_on = adapted && same_adapters(&there, &o->config.lora) &&
               (!o->shared || weights_origin_same(&base, &o->shared->origin));
    keep_state(o, *goes_on ? &base : from);
    return *goes_on ? use_base(o, name, &base) : new_adapters(o, name, from);
}

/* ---- resuming ---- */

static int check_kind(const char *name, const struct lora_config *there, const struct lora_config *here) {
    const struct {
        const char *key, *then, *now;
    } texts[] = {{"targets", there->targets, here->targets}, {"whole", there->whole, here->whole}};
    if (there->rank != here->rank)
        return error_set(ERR_USAGE, "%s: lora.rank is %d, this run's adapters have %d", name, here->rank, there->rank);
    if ((float)there->alpha != (float)here->alpha)
        return error_set(ERR_USAGE, "%s: lora.alpha is %g, this run's adapters have %g", name, here->alpha,
                         there->alpha);
    for (int i = 0; i < 2; i++)
        if (strcmp(texts[i].then, texts[i].now))
            return error_set(ERR_USAGE, "%s: lora.%s is \"%s\", this run's adapters have \"%s\"", name, texts[i].key,
                             texts[i].now, texts[i].then);
    if (there->first_whole_slice != here->first_whole_slice)
        return error_set(ERR_USAGE, "%s: other slices are trained whole than this run's state has", name);
    return OK;
}

/* Compares the configured source, and the weights under its adapters, with the base. *found: 1 where one of them is the
   base, which is then taken from there. */
static int compare_source(const struct saved_network *n, struct weights_origin *source, struct weights_origin *base,
                          int *found) {
    const struct param_table *table = n->optimiser->base->shard.table;
    struct weights_origin under, *both[2] = {source, &under};
    struct lora_config config;
    int adapted;
    TRY(adapters_of(source, &adapted, &config, &under));
    for (int i = 0; i < 1 + adapted && !*found; i++) {
        *found = !strcmp(both[i]->path, base->path);
        if (*found || !base->sum) continue;
        if (!both[i]->sum) TRY(weights_stream(both[i], table, NULL));
        *found = both[i]->sum == base->sum;
        if (*found) *base = *both[i];
    }
    return OK;
}

static int is_folder(const char *path) {
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

/* Checks that a source named in the config is still the base, or holds the same values. Where it names a folder, the
   run's first start chose the state in it, and a newer one there is no error. */
static int check_source(const struct saved_network *n, struct weights_origin *base) {
    struct weights_origin source;
    int found = 0;
    if (!n->source[0]) return OK;
    int code = n->source_network ? weights_origin_of_state(&source, n->source, n->source_network, WEIGHTS_AVERAGE)
                                 : weights_origin_of_checkpoint(&source, n->source, base->seed);
    if (code && file_exists(base->path)) return OK; /* the base is there, so the source is not needed */
    TRY(code);
    size_t folder = n->source_network && is_folder(n->source) ? strlen(source.path) : 0;
    for (int slashes = 2; folder && slashes;) slashes -= source.path[--folder] == '/';
    if (folder && file_exists(base->path) && !strncmp(base->path, source.path, folder + 1)) return OK;
    TRY(compare_source(n, &source, base, &found));
    if (found) return OK;
    return error_set(ERR_USAGE, "%s: %s is %s, this run's adapters are over other weights (%s)", n->name, n->source_key,
                     n->source, base->path);
}

int adapters_resume(struct state_reader *r, const char *path, const struct saved_network *n) {
    struct optimiser *o = n->optimiser;
    struct lora_config there;
    struct weights_origin base;
    int adapted;
    TRY(weights_adapters(r, path, n->name, &adapted, &there, &base));
    if (adapted && !optimiser_adapted(o))
        return error_set(ERR_USAGE,
                         "%s: this run trains it through adapters of rank %d, but lora.rank and lora.networks say "
                         "that it is trained whole",
                         n->name, there.rank);
    if (!adapted && optimiser_adapted(o))
        return error_set(ERR_USAGE, "%s: this run trains it whole, but lora.rank is %d", n->name, o->config.lora.rank);
    if (!adapted) return OK;
    TRY(check_kind(n->name, &there, &o->config.lora));
    if (!o->shared) TRY(check_source(n, &base));
    return use_base(o, n->name, &base);
}
