/* weights_stream.c: see weights_stream.h. */
#include "train/state/weights_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/pretrained.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "train/state/state.h"

enum { BASES_MAX = 8 }; /* longest chain of adapters over adapters */

/* ---- origins ---- */

/* Stores the path in full, so that a state which names it can be read from any working folder. */
static int set_path(struct weights_origin *o, const char *path) {
    char *full = realpath(path, NULL);
    int fits = full && snprintf(o->path, sizeof o->path, "%s", full) < (int)sizeof o->path;
    free(full);
    return fits ? OK : error_set(ERR_INPUT, "%s: there is no such folder or file", path);
}

int weights_origin_of_state(struct weights_origin *o, const char *from, const char *network,
                            enum weights_choice source) {
    struct stat info;
    struct state_reader *r;
    char path[FILE_PATH_MAX];
    memset(o, 0, sizeof *o);
    if (snprintf(path, sizeof path, "%s", from) >= FILE_PATH_MAX || stat(from, &info))
        return error_set(ERR_INPUT, "%s: there is no such folder or state", from);
    if (S_ISDIR(info.st_mode)) TRY(state_newest(from, path, sizeof path, &o->seen));
    if (!path[0]) return error_set(ERR_INPUT, "%s: no whole state in checkpoints/", from);
    TRY(set_path(o, path));
    TRY(state_open_seen(&r, o->path, &o->seen));
    snprintf(o->group, sizeof o->group, "%s/%s", network, state_array_names[OPTIMISER_EMA]);
    if (source == WEIGHTS_RAW || !state_has(r, o->group))
        snprintf(o->group, sizeof o->group, "%s/%s", network, state_array_names[OPTIMISER_MASTER]);
    state_close(r);
    return OK;
}

int weights_origin_of_checkpoint(struct weights_origin *o, const char *path, uint64_t seed) {
    memset(o, 0, sizeof *o);
    o->seed = seed;
    return set_path(o, path);
}

int weights_origin_same(const struct weights_origin *x, const struct weights_origin *y) {
    if (x->sum && y->sum) return x->sum == y->sum;
    return !strcmp(x->path, y->path) && !strcmp(x->group, y->group) && x->seed == y->seed;
}

/* ---- places in states: within a run relative to the state, so that a run's folder may be moved ---- */

static void up(char *path, int levels) {
    for (char *slash; levels-- > 0 && (slash = strrchr(path, '/'));) *slash = 0;
}

void weights_place(char place[FILE_PATH_MAX], const char *state, const char *path) {
    char folder[FILE_PATH_MAX];
    snprintf(folder, sizeof folder, "%s", state);
    up(folder, 1);
    char *run = realpath(strchr(state, '/') ? folder : ".", NULL);
    if (run) up(run, 2); /* RUN/STAGE/checkpoints */
    size_t n = run ? strlen(run) : 0;
    if (n && !strncmp(path, run, n) && path[n] == '/')
        snprintf(place, FILE_PATH_MAX, "../../%.*s", FILE_PATH_MAX - 8, path + n + 1);
    else
        snprintf(place, FILE_PATH_MAX, "%.*s", FILE_PATH_MAX - 1, path);
    free(run);
}

/* Finds where a base is now: at `place`, which may be relative to the state, or else at its former full path. */
static int find_place(struct weights_origin *o, const char *state, const char *place, const char *full) {
    char path[2 * FILE_PATH_MAX];
    int folder = place[0] == '/' ? 0 : (int)(strrchr(state, '/') ? strrchr(state, '/') + 1 - state : 0);
    snprintf(path, sizeof path, "%.*s%s", folder, state, place);
    char *found = realpath(path, NULL);
    int fits = snprintf(o->path, sizeof o->path, "%s", found ? found : full) < (int)sizeof o->path;
    free(found);
    return fits ? OK : error_set(ERR_INPUT, "the path of a base is too long");
}

/* ---- sums of what files hold: every value with its place, in any order ---- */

struct summing {
    uint64_t *sum;
    uint64_t salt; /* keeps adapters' values apart from a network's */
    const struct weights_sink *to;
};

static int take_summed(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    const struct summing *s = self;
    uint64_t place = (s->salt + (uint64_t)p->number) << 40, sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        uint64_t x = (place + from + i) * 0x9e3779b97f4a7c15u ^ bits;
        x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
        sum += x ^ x >> 32;
    }
    *s->sum += sum;
    return s->to ? s->to->take(s->to->self, p, from, count, values) : OK;
}

/* ---- adapters ---- */

/* "student/lora_rank" of "student/ema" */
static void adapter_name(char name[STATE_NAME_MAX], const char *group, const char *what) {
    snprintf(name, STATE_NAME_MAX, "%.*s/lora_%s", (int)strcspn(group, "/"), group, what);
}

static int get_integer(struct state_reader *r, const char *group, const char *what, int64_t low, int64_t high,
                       int64_t *value) {
    char name[STATE_NAME_MAX];
    adapter_name(name, group, what);
    TRY(state_get_integer(r, name, value));
    if (*value < low || *value > high) return error_set(ERR_INPUT, "%s: %lld", name, (long long)*value);
    return OK;
}

static int get_text(struct state_reader *r, const char *group, const char *what, char *to, size_t size) {
    char name[STATE_NAME_MAX], *text;
    adapter_name(name, group, what);
    TRY(state_get_text(r, name, &text));
    int fits = snprintf(to, size, "%s", text) < (int)size;
    free(text);
    return fits ? OK : error_set(ERR_INPUT, "%s: the text is too long", name);
}

static int get_config(struct state_reader *r, const char *path, const char *group, struct lora_config *c,
                      struct weights_origin *base) {
    int64_t rank, first, seed, sum = 0; /* older states have no sum */
    char name[STATE_NAME_MAX], place[FILE_PATH_MAX], full[FILE_PATH_MAX];
    float alpha;
    TRY(get_integer(r, group, "rank", 1, 4096, &rank));
    TRY(get_integer(r, group, "first_whole_slice", 0, 1 << 20, &first));
    TRY(get_integer(r, group, "base_seed", 0, INT64_MAX, &seed));
    adapter_name(name, group, "alpha");
    TRY(state_get_floats(r, name, &alpha, 1));
    TRY(get_text(r, group, "targets", c->targets, sizeof c->targets));
    TRY(get_text(r, group, "whole", c->whole, sizeof c->whole));
    TRY(get_text(r, group, "base", place, sizeof place));
    snprintf(full, sizeof full, "%s", place);
    adapter_name(name, group, "base_full");
    if (state_has(r, name)) TRY(get_text(r, group, "base_full", full, sizeof full));
    TRY(find_place(base, path, place, full));
    adapter_name(name, group, "base_sum");
    if (state_has(r, name)) TRY(state_get_integer(r, name, &sum));
    TRY(get_text(r, group, "base_group", base->group, sizeof base->group));
    c->rank = (int)rank;
    c->first_whole_slice = (int)first;
    c->alpha = (double)alpha;
    base->seed = (uint64_t)seed;
    base->sum = (uint64_t)sum;
    return OK;
}

static int has_adapters(const struct state_reader *r, const char *group) {
    char name[STATE_NAME_MAX];
    adapter_name(name, group, "rank");
    return state_has(r, name);
}

int weights_adapters(struct state_reader *r, const char *path, const char *group, int *adapted,
                     struct lora_config *config, struct weights_origin *base) {
    memset(config, 0, sizeof *config);
    memset(base, 0, sizeof *base);
    *adapted = has_adapters(r, group);
    return *adapted ? get_config(r, path, group, config, base) : OK;
}

int weights_adapters_read(struct state_reader *r, const char *group, const struct param_table *table,
                          const struct lora_config *config, struct lora *lora, float **values) {
    *values = NULL;
    TRY(lora_create(lora, table, config));
    *values = malloc((lora->adapters.total + 1) * sizeof **values);
    if (!*values) return error_set(ERR_DEVICE, "state: out of memory for the adapters");
    return state_get_params(r, group, &lora->adapters, *values);
}

struct merging {
    struct lora lora;
    float *own;   /* [adapters.total] */
    float *piece; /* [largest parameter] */
    const struct weights_sink *to;
};

static int take_merged(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct merging *m = self;
    memcpy(m->piece, values, count * sizeof *values);
    lora_merge_values(&m->lora, (int)(p - m->lora.full->list), from, count, m->own, m->piece);
    return m->to->take(m->to->self, p, from, count, m->piece);
}

static int open_merging(struct merging *m, struct state_reader *r, const char *group, const struct param_table *table,
                        const struct lora_config *config, uint64_t *sum) {
    size_t largest = 1;
    for (int i = 0; i < table->count; i++)
        if (table->list[i].count > largest) largest = table->list[i].count;
    TRY(weights_adapters_read(r, group, table, config, &m->lora, &m->own));
    m->piece = malloc(largest * sizeof *m->piece);
    if (!m->piece) return error_set(ERR_DEVICE, "state: out of memory for a parameter");
    struct summing own = {.sum = sum, .salt = 1 << 20};
    for (int i = 0; i < m->lora.adapters.count; i++) {
        const struct param *p = &m->lora.adapters.list[i];
        take_summed(&own, p, 0, p->count, m->own + param_position(&m->lora.adapters, p));
    }
    return OK;
}

static void close_merging(struct merging *m) {
    lora_destroy(&m->lora);
    free(m->own);
    free(m->piece);
}

/* ---- the stream ---- */

static int stream(struct weights_origin *o, const struct param_table *table, const struct weights_sink *sink, int depth,
                  uint64_t *sum);

struct giving {
    const struct param_table *table;
    const struct weights_sink *to;
};

static int give_slice(void *self, int slice, const float *values) {
    const struct giving *g = self;
    for (int i = 0; i < g->table->count; i++) {
        const struct param *p = &g->table->list[i];
        if (p->slice == slice) TRY(g->to->take(g->to->self, p, 0, p->count, values + p->offset));
    }
    return OK;
}

static int stream_plain(struct state_reader *r, const char *group, const struct param_table *table,
                        const struct weights_sink *sink) {
    struct giving giving = {table, sink};
    return state_each_slice(r, group, table, give_slice, &giving);
}

/* Passes on the group's own values, or its adapters merged into their base; the state is closed before the base is
   opened. */
static int stream_state(struct weights_origin *o, const struct param_table *table, const struct weights_sink *sink,
                        int depth, uint64_t *sum) {
    struct merging m = {.to = sink};
    struct summing summing = {.sum = sum, .to = sink};
    const struct weights_sink merge = {.take = take_merged, .self = &m},
                              plain = {.take = take_summed, .self = &summing};
    struct lora_config config;
    struct weights_origin base;
    struct state_reader *r;
    TRY(state_open_seen(&r, o->path, &o->seen));
    int adapted, code = weights_adapters(r, o->path, o->group, &adapted, &config, &base);
    if (!code)
        code = adapted ? open_merging(&m, r, o->group, table, &config, sum) : stream_plain(r, o->group, table, &plain);
    state_close(r);
    if (code) code = error_context(code, "%s", o->path);
    if (adapted && !code && depth == BASES_MAX)
        code = error_set(ERR_INPUT, "%s: adapters over more than %d others", o->path, BASES_MAX);
    if (adapted && !code && !file_exists(base.path))
        code = error_set(ERR_INPUT, "%s: its adapters are over %s, which is gone; put it back", o->path, base.path);
    uint64_t base_sum = 0;
    if (adapted && !code) code = stream(&base, table, &merge, depth + 1, &base_sum);
    *sum += base_sum;
    close_merging(&m);
    return code;
}

/* Passes on new audio modules, made from the seed, where the checkpoint lacks them. */
static int give_new_audio(const struct param_table *t, uint64_t seed, const struct weights_sink *sink) {
    int code = OK;
    for (int i = 0; i < t->count && !code; i++) {
        const struct param *p = &t->list[i];
        if (!weights_belongs(p, WEIGHTS_AUDIO)) continue;
        real *device = device_alloc(p->count * sizeof *device);
        float *values = malloc(p->count * sizeof *values);
        if (device && values) {
            params_initialise_one(device, p, seed);
            transfer_from_real(values, device, (long)p->count);
            code = sink->take(sink->self, p, 0, p->count, values);
        } else
            code = error_set(ERR_DEVICE, "out of memory for new audio modules");
        device_free(device);
        free(values);
    }
    return code;
}

static int stream_checkpoint(struct weights_origin *o, const struct param_table *table, const struct weights_sink *sink,
                             uint64_t *sum) {
    struct summing summing = {.sum = sum, .to = sink};
    const struct weights_sink summed = {.take = take_summed, .self = &summing};
    int audio;
    TRY(pretrained_load(&summed, table, o->path, &audio));
    o->new_audio = !audio;
    if (audio) return OK;
    *sum += o->seed;
    return give_new_audio(table, o->seed, sink);
}

static int stream(struct weights_origin *o, const struct param_table *table, const struct weights_sink *sink, int depth,
                  uint64_t *sum) {
    *sum = 0;
    TRY(o->group[0] ? stream_state(o, table, sink, depth, sum) : stream_checkpoint(o, table, sink, sum));
    if (!o->sum || o->sum == *sum) return OK;
    return error_set(
        ERR_INPUT, "%s: %s%sare not the weights that the adapters were trained over (sum now %016llx, then %016llx)",
        o->path, o->group, o->group[0] ? " " : "these ", (unsigned long long)*sum, (unsigned long long)o->sum);
}

static int take_nothing(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    (void)self, (void)p, (void)from, (void)count, (void)values;
    return OK;
}

int weights_stream(struct weights_origin *o, const struct param_table *table, const struct weights_sink *sink) {
    const struct weights_sink nobody = {.take = take_nothing, .self = NULL};
    uint64_t sum;
    TRY(stream(o, table, sink ? sink : &nobody, 0, &sum));
    o->sum = sum;
    return OK;
}
