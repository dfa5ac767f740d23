/* train_state.c: what a state holds, the copy to the staging, the writing thread (train_state.h). Reading:
   train_state_read.c. */
#include "train/train_state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/state.h"
#include "model/transfer.h"
#include "train/train_state_names.h"

/* What the thread needs besides the staging. Its own until it is joined. */
struct state_write {
    struct train_state *state;
    char folder[FILE_PATH_MAX], path[FILE_PATH_MAX];
    char *config;
    int keep;
    long every;
    int code;
    char text[512];
    atomic_int ended;
    pthread_t thread;
};

/* ---- names ---- */

void train_state_begin(struct train_state *s, struct sharding *shards, const struct share *share) {
    struct state_write *write = s->write;
    memset(s, 0, sizeof *s);
    s->write = write;
    s->shards = shards;
    s->share = *share;
}

void train_state_network(struct train_state *s, const char *name, struct optimiser *optimiser) {
    s->networks[s->network_count++] = (struct saved_network){.name = name, .optimiser = optimiser, .source = ""};
}

void train_state_source(struct train_state *s, const char *name, const char *key, const char *source,
                        const char *network) {
    for (int i = 0; i < s->network_count; i++) {
        struct saved_network *n = &s->networks[i];
        if (strcmp(n->name, name)) continue;
        n->source_key = key;
        n->source = source;
        n->source_network = network;
    }
}

void train_state_integer(struct train_state *s, const char *name, int64_t *value) {
    s->integers[s->integer_count++] = (struct saved_integer){.name = name, .value = value};
}

int train_state_rows(struct train_state *s, const char *name, real *device, int slots, size_t size) {
    if (s->row_count == STATE_ROWS_MAX) return error_set(ERR_USAGE, "state: more than %d arrays", STATE_ROWS_MAX);
    struct saved_rows *r = &s->rows[s->row_count++];
    *r = (struct saved_rows){.device = device, .slots = slots, .size = size};
    snprintf(r->name, sizeof r->name, "%s", name);
    return OK;
}

static int ranks(const struct train_state *s) { return s->shards && s->shards->ranks ? s->shards->ranks : 1; }
static int first_rank(const struct train_state *s) { return !s->shards || s->shards->rank == 0; }

void train_state_layout(struct train_state *s, struct arena *device, struct arena *host) {
    size_t largest = 0;
    for (int i = 0; i < s->row_count; i++)
        if (s->rows[i].size > largest) largest = s->rows[i].size;
    s->gathered = NULL;
    if (ranks(s) > 1 && largest)
        s->gathered = ARENA_TAKE(device, "gathered rows of a checkpoint", real, (size_t)s->share.batch * largest);
    if (!first_rank(s)) return;
    for (int i = 0; i < s->network_count; i++)
        for (int k = 0; k < OPTIMISER_ARRAYS; k++)
            if (k != OPTIMISER_EMA || s->networks[i].optimiser->config.ema > 0)
                s->networks[i].staging[k] =
                    ARENA_TAKE(host, "staging of checkpoints", float, s->networks[i].optimiser->table->total);
    for (int i = 0; i < s->row_count; i++)
        s->rows[i].staging = ARENA_TAKE(host, "staging of checkpoints", float,
                                        (size_t)s->rows[i].slots *(size_t)s->share.batch * s->rows[i].size);
}

/* ---- the copy ---- */

static int stage_network(struct saved_network *n) {
    struct optimiser *o = n->optimiser;
    mem_download(&n->account, o->state, sizeof n->account);
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        if (!o->array[k]) continue;
        for (int s = 0; s < o->table->slices; s++)
            TRY(optimiser_read(o, k, s, n->staging[k] ? n->staging[k] + o->table->slice_offset[s] : NULL));
    }
    return OK;
}

static int stage_rows(struct train_state *s, struct saved_rows *r) {
    size_t mine = (size_t)s->share.count * r->size, all = (size_t)s->share.batch * r->size;
    for (int i = 0; i < r->slots; i++) {
        const real *from = r->device + (size_t)i * mine;
        if (s->gathered) {
            TRY(share_gather(s->shards, &s->share, s->gathered, from, r->size));
            from = s->gathered;
        }
        if (r->staging) transfer_from_real(r->staging + (size_t)i * all, from, (long)all);
    }
    return OK;
}

static int stage_all(struct train_state *s) {
    for (int i = 0; i < s->network_count; i++) TRY(stage_network(&s->networks[i]));
    for (int i = 0; i < s->row_count; i++) TRY(stage_rows(s, &s->rows[i]));
    for (int i = 0; i < s->integer_count; i++) s->integers[i].staged = *s->integers[i].value;
    return device_sync();
}

/* ---- the thread ---- */

static int put_network(struct state_writer *w, const struct saved_network *n) {
    char name[STATE_NAME_MAX];
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        if (!n->optimiser->array[k]) continue;
        snprintf(name, sizeof name, "%s/%s", n->name, state_array_names[k]);
        TRY(state_put_params(w, name, n->optimiser->table, n->staging[k]));
    }
    const int64_t counts[STATE_COUNTS] = {n->account.updates, n->account.skipped, n->account.skipped_in_row};
    for (int i = 0; i < STATE_COUNTS; i++) {
        snprintf(name, sizeof name, "%s/%s", n->name, state_count_names[i]);
        TRY(state_put_integer(w, name, counts[i]));
    }
    snprintf(name, sizeof name, "%s/typical_norm", n->name);
    return state_put_floats(w, name, &n->account.typical, 0, NULL);
}

/* What the adapters are and what they are over. */
static int put_adapters(struct state_writer *w, const char *path, const char *network, const struct optimiser *o) {
    const struct lora_config *c = &o->config.lora;
    const struct weights_origin *base = &o->base->origin;
    const float alpha = (float)c->alpha;
    char name[STATE_NAME_MAX], place[ORIGIN_PATH];
    weights_place(place, path, base->path);
    const struct {
        const char *name, *text;
    } texts[] = {{"targets", c->targets},
                 {"whole", c->whole},
                 {"base", place},
                 {"base_full", base->path},
                 {"base_group", base->group}};
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {{"rank", c->rank},
                    {"first_whole_slice", c->first_whole_slice},
                    {"base_seed", (int64_t)base->seed},
                    {"base_sum", (int64_t)base->sum}};
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%s/lora_%s", network, texts[i].name);
        TRY(state_put_text(w, name, texts[i].text));
    }
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/lora_%s", network, integers[i].name);
        TRY(state_put_integer(w, name, integers[i].value));
    }
    snprintf(name, sizeof name, "%s/lora_alpha", network);
    return state_put_floats(w, name, &alpha, 0, NULL);
}

static int put_all(struct state_writer *w, const struct train_state *s, const char *path, const char *config) {
    TRY(state_put_integer(w, "threads", device_threads()));
    TRY(state_put_integer(w, "ranks", ranks(s)));
    TRY(state_put_text(w, "device", device_name()));
    TRY(state_put_text(w, "type", TYPE_NAME));
    TRY(state_put_text(w, "config", config));
    for (int i = 0; i < s->network_count; i++) {
        TRY(put_network(w, &s->networks[i]));
        if (optimiser_adapted(s->networks[i].optimiser))
            TRY(put_adapters(w, path, s->networks[i].name, s->networks[i].optimiser));
    }
    for (int i = 0; i < s->integer_count; i++) TRY(state_put_integer(w, s->integers[i].name, s->integers[i].staged));
    for (int i = 0; i < s->row_count; i++) {
        long shape[1] = {(long)((size_t)s->rows[i].slots * (size_t)s->share.batch * s->rows[i].size)};
        TRY(state_put_floats(w, s->rows[i].name, s->rows[i].staging, 1, shape));
    }
    return OK;
}

static int write_file(const struct state_write *job) {
    struct state_writer *w;
    TRY(state_create(&w, job->path));
    int code = put_all(w, job->state, job->path, job->config);
    if (code) {
        state_abandon(w);
        return code;
    }
    TRY(state_finish(w));
    return state_prune(job->folder, job->keep, job->every);
}

static void *work(void *argument) {
    struct state_write *job = argument;
    job->code = write_file(job);
    if (job->code) snprintf(job->text, sizeof job->text, "%s", error_text());
    atomic_store(&job->ended, 1);
    return NULL;
}

static struct state_write *new_write(struct train_state *s, const char *folder, long step,
                                     const struct state_keeping *keeping) {
    struct state_write *job = calloc(1, sizeof *job);
    char *config = strdup(keeping->config ? keeping->config : "");
    if (!job || !config) {
        free(job);
        free(config);
        return NULL;
    }
    job->state = s;
    job->config = config;
    job->keep = keeping->keep;
    job->every = keeping->every;
    snprintf(job->folder, sizeof job->folder, "%s", folder);
    snprintf(job->path, sizeof job->path, "%.900s/checkpoints/step_%08ld.h5", folder, step);
    return job;
}

static void free_write(struct state_write *job) {
    free(job->config);
    free(job);
}

int train_state_save(struct train_state *s, const char *folder, long step, const struct state_keeping *keeping) {
    char states[FILE_PATH_MAX];
    TRY(train_state_wait(s));
    TRY(device_sync());
    TRY(stage_all(s));
    if (!first_rank(s)) return OK;
    TRY(file_join(states, sizeof states - 64, folder, "checkpoints"));
    TRY(file_make_folders(states));
    struct state_write *job = new_write(s, folder, step, keeping);
    if (!job) return error_set(ERR_DEVICE, "state: out of memory");
    if (pthread_create(&job->thread, NULL, work, job)) {
        free_write(job);
        return error_set(ERR_DEVICE, "state: no thread to be had");
    }
    s->write = job;
    return OK;
}

int train_state_wait(struct train_state *s) {
    struct state_write *job = s->write;
    if (!job) return OK;
    s->write = NULL;
    pthread_join(job->thread, NULL);
    int code = job->code ? error_set((enum error_code)job->code, "%s", job->text) : OK;
    free_write(job);
    return code;
}

void train_state_settle(struct train_state *s) {
    if (!s->write) return;
    pthread_join(s->write->thread, NULL);
    free_write(s->write);
    s->write = NULL;
}

int train_state_poll(struct train_state *s) {
    return s->write && atomic_load(&s->write->ended) ? train_state_wait(s) : OK;
}
