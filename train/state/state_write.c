/* state_write.c: the thread that writes this rank's part of a state; the first rank's thread makes the file (state.h).
   The threads tell each other how far they are with comm_publish, which is no collective and may be called beside the
   steps:

     first rank    lays the file out, says LAID_OUT; writes its part; waits for all; checksum, sync, rename
     other ranks   wait for LAID_OUT; write their parts, say WRITTEN

   Any rank may say FAILED instead. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/progress.h"
#include "checkpoints/state.h"
#include "train/state/state_write.h"

enum { LOOK_MICROSECONDS = 5000 };
/* What is published: the number of a save times WORDS, plus one of these words. */
enum { LAID_OUT = 1, WRITTEN, FAILED, WORDS };

/* ---- between the ranks ---- */

static struct comm *comm_of(const struct state_write *job) {
    return job->state->shards ? job->state->shards->comm : NULL;
}

static int first_rank(const struct state_write *job) {
    const struct comm *comm = comm_of(job);
    return !comm || comm->rank == 0;
}

static void publish_word(const struct state_write *job, int word) {
    if (comm_of(job)) comm_publish(comm_of(job), job->number * WORDS + word);
}

/* Waits until `rank` says a word of this save. ERR_DEVICE: it never will. */
static int wait_for_word(const struct state_write *job, int rank, int *word) {
    for (int64_t number;; usleep(LOOK_MICROSECONDS)) {
        int code = comm_progress_of(comm_of(job), rank, &number);
        *word = (int)(number - job->number * WORDS);
        if (*word > 0) return OK;
        if (code) return code;
    }
}

/* Waits for a word of every rank, even after one has failed: those that are still writing need the file. */
static int wait_for_all(const struct state_write *job) {
    int word, failed = 0;
    for (int r = 1; comm_of(job) && r < comm_of(job)->size; r++) {
        TRY(wait_for_word(job, r, &word));
        if (word == FAILED && !failed) failed = r;
    }
    if (!failed) return OK;
    return error_set(ERR_INPUT, "%s: rank %d could not write its part; its log (log.rankN.txt) says why", job->path,
                     failed);
}

/* OK as long as no rank of the job has failed; nobody waits for the file of a job that has. */
static int job_goes_on(const struct state_write *job) {
    struct comm *comm = comm_of(job);
    int64_t own;
    return comm ? comm_progress_of(comm, comm->rank, &own) : OK;
}

/* ---- the copy ---- */

static void copy_network(const struct train_state *s, const struct saved_network *n) {
    const struct optimiser *o = n->optimiser;
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        float *to = n->staging[k];
        for (int slice = 0; slice < o->table->slices && o->array[k]; slice++) {
            struct shard_piece p = state_write_piece(s, o, slice);
            if (p.count) optimiser_copy(o, k, p.at, p.count, to);
            to += p.count;
        }
    }
}

static int copy_all(struct state_write *job) {
    struct train_state *s = job->state;
    device_stream_use(job->stream);
    for (int i = 0; i < s->network_count; i++) {
        copy_network(s, &s->networks[i]);
        copy_gate_open(&job->copied[i]);
    }
    if (device_failures() == job->failures) return OK;
    return error_set(ERR_DEVICE, "%s: the device failed while it was copied", job->path);
}

/* ---- the file, by the first rank ---- */

static int lay_out_network(struct state_writer *w, const struct saved_network *n) {
    char name[STATE_NAME_MAX];
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        if (!n->optimiser->array[k]) continue;
        snprintf(name, sizeof name, "%s/%s", n->name, state_array_names[k]);
        TRY(state_room_params(w, name, n->optimiser->table));
    }
    const int64_t counts[STATE_COUNTS] = {n->account.updates, n->account.skipped, n->account.skipped_in_row};
    for (int i = 0; i < STATE_COUNTS; i++) {
        snprintf(name, sizeof name, "%s/%s", n->name, state_count_names[i]);
        TRY(state_put_integer(w, name, counts[i]));
    }
    snprintf(name, sizeof name, "%s/typical_norm", n->name);
    return state_put_floats(w, name, &n->account.typical, 0, NULL);
}

/* Writes the adapters' settings and the origin of the weights under them. */
static int put_adapters(struct state_writer *w, const char *path, const char *network, const struct optimiser *o) {
    const struct lora_config *c = &o->config.lora;
    const struct weights_origin *base = &o->base->origin;
    const float alpha = (float)c->alpha;
    char name[STATE_NAME_MAX], place[FILE_PATH_MAX];
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

static int lay_out(struct state_writer *w, const struct state_write *job) {
    const struct train_state *s = job->state;
    TRY(state_put_integer(w, "threads", device_threads()));
    TRY(state_put_integer(w, "ranks", state_write_ranks(s)));
    TRY(state_put_text(w, "device", device_name()));
    TRY(state_put_text(w, "type", TYPE_NAME));
    TRY(state_put_text(w, "config", job->config));
    for (int i = 0; i < s->network_count; i++) {
        TRY(lay_out_network(w, &s->networks[i]));
        if (optimiser_adapted(s->networks[i].optimiser))
            TRY(put_adapters(w, job->path, s->networks[i].name, s->networks[i].optimiser));
    }
    for (int i = 0; i < s->integer_count; i++) TRY(state_put_integer(w, s->integers[i].name, s->integers[i].staged));
    for (int i = 0; i < s->row_count; i++) {
        long shape[1] = {(long)((size_t)s->rows[i].slots * (size_t)s->split.batch * s->rows[i].size)};
        TRY(state_room_floats(w, s->rows[i].name, 1, shape));
    }
    return state_lay_out(w);
}

/* ---- this rank's part ---- */

static int put_network(const struct state_write *job, struct state_part *part, const struct saved_network *n) {
    const struct optimiser *o = n->optimiser;
    char name[STATE_NAME_MAX];
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        const float *values = n->staging[k];
        snprintf(name, sizeof name, "%s/%s", n->name, state_array_names[k]);
        for (int slice = 0; slice < o->table->slices && o->array[k]; slice++) {
            struct shard_piece p = state_write_piece(job->state, o, slice);
            TRY(job_goes_on(job));
            TRY(state_part_put_slice(part, name, o->table, slice, p.from, p.count, values));
            values += p.count;
        }
    }
    return OK;
}

static int put_rows(const struct batch_split *split, struct state_part *part, const struct saved_rows *r) {
    size_t mine = (size_t)split->count * r->size, all = (size_t)split->batch * r->size;
    for (int i = 0; i < r->slots; i++)
        TRY(state_part_put(part, r->name, (size_t)i * all + (size_t)split->first * r->size, mine,
                           r->staging + (size_t)i * mine));
    return OK;
}

static int put_part(const struct state_write *job, struct state_part *part) {
    const struct train_state *s = job->state;
    for (int i = 0; i < s->network_count; i++) TRY(put_network(job, part, &s->networks[i]));
    for (int i = 0; i < s->row_count && sharding_speaks(s->shards); i++) TRY(put_rows(&s->split, part, &s->rows[i]));
    return OK;
}

static int write_part(const struct state_write *job) {
    struct state_part *part;
    TRY(state_part_open(&part, job->path));
    int code = put_part(job, part);
    if (!code) return state_part_close(part);
    state_part_abandon(part);
    return code;
}

/* ---- the thread ---- */

static int fill_file(const struct state_write *job, struct state_writer *w) {
    TRY(lay_out(w, job));
    publish_word(job, LAID_OUT);
    char text[sizeof job->text];
    int own = write_part(job);
    snprintf(text, sizeof text, "%s", error_text());
    int others = wait_for_all(job);
    return own ? error_set((enum error_code)own, "%s", text) : others;
}

static int write_file(const struct state_write *job) {
    struct state_writer *w;
    TRY(state_create(&w, job->path));
    int code = fill_file(job, w);
    if (code) {
        state_abandon(w);
        return code;
    }
    TRY(state_finish(w));
    return state_prune(job->folder, job->keep, job->every);
}

/* Writes this rank's part into the file that the first rank lays out. Where there is none, the first rank reports the
   error itself. */
static int follow(const struct state_write *job) {
    int word;
    TRY(wait_for_word(job, 0, &word));
    return word == FAILED ? OK : write_part(job);
}

void *state_write_work(void *argument) {
    struct state_write *job = argument;
    double start = clock_seconds();
    int code = copy_all(job);
    if (!code) code = first_rank(job) ? write_file(job) : follow(job);
    int ended = code ? job_goes_on(job) : OK; /* where the job has failed, its error is the reason */
    if (ended) code = ended;
    job->code = code;
    if (code) snprintf(job->text, sizeof job->text, "%s", error_text());
    if (code || !first_rank(job)) publish_word(job, code ? FAILED : WRITTEN);
    job->seconds = clock_seconds() - start;
    atomic_store(&job->ended, 1);
    return NULL;
}
