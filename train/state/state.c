/* state.c: registers what a state holds, lays out the staging, starts and ends a write (state.h). state_write.c has the
   thread that writes, state_read.c the reading. */
#include "train/state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/progress.h"
#include "model/params/transfer.h"
#include "train/state/state_write.h"

/* ---- names ---- */

void train_state_begin(struct train_state *s, struct sharding *shards, const struct batch_split *split) {
    struct state_write *write = s->write;
    memset(s, 0, sizeof *s);
    s->write = write;
    s->shards = shards;
    s->split = *split;
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

void train_state_newer_integer(struct train_state *s, const char *name, int64_t *value) {
    s->integers[s->integer_count++] = (struct saved_integer){.name = name, .value = value, .newer = 1};
}

int train_state_rows(struct train_state *s, const char *name, real *device, int slots, size_t size) {
    if (s->row_count == STATE_ROWS_MAX) return error_set(ERR_USAGE, "state: more than %d arrays", STATE_ROWS_MAX);
    struct saved_rows *r = &s->rows[s->row_count++];
    *r = (struct saved_rows){.device = device, .slots = slots, .size = size};
    snprintf(r->name, sizeof r->name, "%s", name);
    return OK;
}

int state_write_ranks(const struct train_state *s) { return s->shards && s->shards->ranks ? s->shards->ranks : 1; }

struct shard_piece state_write_piece(const struct train_state *s, const struct optimiser *o, int slice) {
    struct shard_piece p = shard_piece(&o->shard, slice);
    size_t size = param_slice_size(o->table, slice);
    size_t ranks = (size_t)state_write_ranks(s);
    if (p.count < size || ranks == 1) return p;
    size_t rank = (size_t)s->shards->rank, begin = size * rank / ranks, end = size * (rank + 1) / ranks;
    return (struct shard_piece){.at = p.at + begin, .from = begin, .count = end - begin};
}

void train_state_layout(struct train_state *s, struct arena *host) {
    for (int i = 0; i < s->network_count; i++) {
        const struct optimiser *o = s->networks[i].optimiser;
        size_t n = 0;
        for (int slice = 0; slice < o->table->slices; slice++) n += state_write_piece(s, o, slice).count;
        for (int k = 0; k < OPTIMISER_ARRAYS; k++)
            if (k != OPTIMISER_EMA || o->config.ema > 0)
                s->networks[i].staging[k] = ARENA_TAKE(host, "staging of checkpoints", float, n);
    }
    for (int i = 0; i < s->row_count; i++)
        s->rows[i].staging = ARENA_TAKE(host, "staging of checkpoints", float,
                                        (size_t)s->rows[i].slots *(size_t)s->split.count * s->rows[i].size);
}

/* ---- a write ---- */

static void free_write(struct state_write *job) {
    for (int i = 0; i < STATE_NETWORKS_MAX; i++) copy_gate_destroy(&job->copied[i]);
    device_stream_destroy(job->stream);
    free(job->config);
    free(job);
}

static struct state_write *new_write(struct train_state *s, const char *folder, long step,
                                     const struct state_keeping *keeping) {
    struct state_write *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->state = s;
    job->keep = keeping->keep;
    job->every = keeping->every;
    job->number = s->saves;
    job->failures = device_failures();
    for (int i = 0; i < STATE_NETWORKS_MAX; i++) copy_gate_make(&job->copied[i]);
    snprintf(job->folder, sizeof job->folder, "%s", folder);
    snprintf(job->path, sizeof job->path, "%.900s/checkpoints/step_%08ld.h5", folder, step);
    job->config = strdup(keeping->config ? keeping->config : "");
    job->stream = device_stream_create();
    if (job->config && job->stream) return job;
    free_write(job);
    return NULL;
}

/* Copies, in the save itself, what is small or changes in a step. */
static int copy_now(struct train_state *s) {
    TRY(device_sync());
    for (int i = 0; i < s->network_count; i++)
        mem_download(&s->networks[i].account, s->networks[i].optimiser->state, sizeof s->networks[i].account);
    for (int i = 0; i < s->row_count; i++)
        transfer_from_real(s->rows[i].staging, s->rows[i].device,
                           (long)((size_t)s->rows[i].slots * (size_t)s->split.count * s->rows[i].size));
    for (int i = 0; i < s->integer_count; i++) s->integers[i].staged = *s->integers[i].value;
    return device_sync();
}

static int make_folder(const char *folder) {
    char states[FILE_PATH_MAX];
    TRY(file_join(states, sizeof states - 64, folder, "checkpoints"));
    return file_make_folders(states);
}

int train_state_save(struct train_state *s, const char *folder, long step, const struct state_keeping *keeping) {
    TRY(train_state_wait(s));
    double start = clock_seconds();
    s->saves++;
    TRY(copy_now(s));
    TRY(make_folder(folder));
    struct state_write *job = new_write(s, folder, step, keeping);
    if (!job) return error_set(ERR_DEVICE, "state: out of memory");
    for (int i = 0; i < s->network_count; i++) s->networks[i].optimiser->copying = &job->copied[i];
    s->write = job;
    if (pthread_create(&job->thread, NULL, state_write_work, job)) {
        for (int i = 0; i < s->network_count; i++) s->networks[i].optimiser->copying = NULL;
        free_write(job);
        s->write = NULL;
        return error_set(ERR_DEVICE, "state: cannot start a thread");
    }
    job->paused = clock_seconds() - start;
    return OK;
}

/* Waits for the thread and returns its write, which the caller frees. */
static struct state_write *join(struct train_state *s) {
    struct state_write *job = s->write;
    pthread_join(job->thread, NULL);
    s->write = NULL;
    s->figures.count++;
    s->figures.wrote += job->seconds;
    s->figures.paused += job->paused;
    for (int i = 0; i < s->network_count; i++) {
        s->networks[i].optimiser->copying = NULL;
        s->figures.paused += job->copied[i].waited;
    }
    return job;
}

int train_state_wait(struct train_state *s) {
    struct comm *comm = s->shards ? s->shards->comm : NULL;
    if (!s->write) return OK;
    int under_way = comm && !atomic_load(&s->write->ended);
    if (under_way) comm_busy(comm, "writing a checkpoint");
    struct state_write *job = join(s);
    if (under_way) comm_busy(comm, NULL);
    int code = job->code ? error_set((enum error_code)job->code, "%s", job->text) : OK;
    free_write(job);
    return code;
}

void train_state_settle(struct train_state *s) {
    if (s->write) free_write(join(s));
}

int train_state_poll(struct train_state *s) {
    return s->write && atomic_load(&s->write->ended) ? train_state_wait(s) : OK;
}
