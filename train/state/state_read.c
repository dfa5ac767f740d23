/* state_read.c: reads states and other stages' weights into the memory of this rank (state.h). Tensors are read slice
   by slice: a rank needs host memory for one slice, whatever the network's size. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "checkpoints/state.h"
#include "model/params/transfer.h"
#include "train/state/adapters.h"
#include "train/state/state.h"

struct array_target {
    struct optimiser *optimiser;
    enum optimiser_array which;
};
static int take_array(void *self, int slice, const float *values) {
    struct array_target *t = self;
    optimiser_write(t->optimiser, t->which, slice, values);
    return OK;
}

/* ---- parameters in pieces ---- */

static int take_master(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    optimiser_write_part(self, OPTIMISER_MASTER, p->slice, p->offset + from, count, values);
    return OK;
}

struct whole_target {
    const struct param_table *table;
    real *values;
};
static int take_whole(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    struct whole_target *t = self;
    transfer_to_real(t->values + param_position(t->table, p) + from, values, (long)count);
    return OK;
}

/* ---- a stage's own state ---- */

static int get_network(struct state_reader *r, struct saved_network *n) {
    struct optimiser *o = n->optimiser;
    char name[STATE_NAME_MAX];
    int64_t counts[STATE_COUNTS];
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        if (!o->array[k]) continue;
        snprintf(name, sizeof name, "%s/%s", n->name, state_array_names[k]);
        struct array_target target = {o, k};
        TRY(state_each_slice(r, name, o->table, take_array, &target));
    }
    for (int i = 0; i < STATE_COUNTS; i++) {
        snprintf(name, sizeof name, "%s/%s", n->name, state_count_names[i]);
        TRY(state_get_integer(r, name, &counts[i]));
    }
    float typical = 0; /* older states do not hold it */
    snprintf(name, sizeof name, "%s/typical_norm", n->name);
    if (state_has(r, name)) TRY(state_get_floats(r, name, &typical, 1));
    struct optim_state state = {
        .typical = typical, .updates = counts[0], .skipped = (int32_t)counts[1], .skipped_in_row = (int32_t)counts[2]};
    mem_upload(o->state, &state, sizeof state);
    optimiser_publish(o);
    return device_sync();
}

static int get_rows(struct state_reader *r, const struct train_state *s, struct saved_rows *rows) {
    size_t all = (size_t)s->split.batch * rows->size, mine = (size_t)s->split.count * rows->size;
    float *values = malloc((size_t)rows->slots * all * sizeof *values);
    if (!values) return error_set(ERR_DEVICE, "state: out of memory");
    int code = state_get_floats(r, rows->name, values, (size_t)rows->slots * all);
    for (int i = 0; i < rows->slots && !code; i++)
        transfer_to_real(rows->device + (size_t)i * mine,
                         values + (size_t)i * all + (size_t)s->split.first * rows->size, (long)mine);
    free(values);
    return code;
}

static void warn_of_text(struct state_reader *r, const char *name, const char *here) {
    char *text = NULL;
    if (state_get_text(r, name, &text)) return;
    if (strcmp(text, here))
        log_line("warning: the state was written with %s %s, this is %s: the run goes on, but not bit for bit", name,
                 text, here);
    free(text);
}

static void warn_of_number(struct state_reader *r, const char *name, int here) {
    int64_t there = 0;
    if (state_has(r, name) && !state_get_integer(r, name, &there) && there != here)
        log_line("warning: the state was written with %" PRId64
                 " %s, these are %d: the run goes on, but not bit for bit",
                 there, name, here);
}

static int get_all(struct state_reader *r, const char *path, struct train_state *s) {
    warn_of_text(r, "device", device_name());
    warn_of_text(r, "type", TYPE_NAME);
    warn_of_number(r, "threads", device_threads());
    warn_of_number(r, "ranks", s->shards && s->shards->ranks ? s->shards->ranks : 1);
    for (int i = 0; i < s->network_count; i++) {
        TRY(adapters_resume(r, path, &s->networks[i]));
        TRY(get_network(r, &s->networks[i]));
    }
    for (int i = 0; i < s->integer_count; i++) {
        const struct saved_integer *n = &s->integers[i];
        if (!n->newer || state_has(r, n->name)) TRY(state_get_integer(r, n->name, n->value));
    }
    for (int i = 0; i < s->row_count; i++) TRY(get_rows(r, s, &s->rows[i]));
    return OK;
}

/* Finds the newest whole state. The first rank looks, so that all read the same file. */
static int newest(const struct train_state *s, const char *folder, char path[FILE_PATH_MAX],
                  struct file_identity *seen) {
    struct comm *comm = s->shards ? s->shards->comm : NULL;
    int code = OK;
    path[0] = 0;
    if (!comm || comm->rank == 0) code = state_newest(folder, path, FILE_PATH_MAX, seen);
    if (!comm) return code;
    TRY(comm_agree(comm, code));
    return comm_broadcast_host(comm, path, FILE_PATH_MAX, 0);
}

static int resume_from(struct train_state *s, const char *path, struct file_identity *seen) {
    struct state_reader *r;
    TRY(state_open_seen(&r, path, seen));
    int code = get_all(r, path, s);
    state_close(r);
    return code ? error_context(code, "%s", path) : OK;
}

int train_state_resume(struct train_state *s, const char *folder, int *found) {
    char path[FILE_PATH_MAX];
    struct comm *comm = s->shards ? s->shards->comm : NULL;
    struct file_identity seen = {0};
    *found = 0;
    TRY(newest(s, folder, path, &seen));
    if (!path[0]) return OK;
    int code = resume_from(s, path, &seen);
    if (comm) code = comm_agree(comm, code);
    if (code) return code;
    log_line("resumed from %s", path);
    *found = 1;
    return OK;
}

/* ---- another stage's weights ---- */

static void log_origin(const struct weights_origin *o) {
    log_line("%s%sfrom %s%s", o->group, o->group[0] ? " " : "weights ", o->path,
             o->new_audio ? "; its audio modules are new" : "");
}

static int step_of(struct weights_origin *o, long *step) {
    struct state_reader *r;
    int64_t at = 0;
    TRY(state_open_seen(&r, o->path, &o->seen));
    int code = state_get_integer(r, "step", &at);
    state_close(r);
    *step = (long)at;
    return code ? error_context(code, "%s", o->path) : OK;
}

int train_state_load_weights(const char *from, const char *network, enum weights_choice source,
                             const struct param_table *table, real *master, long *step) {
    struct whole_target target = {table, master};
    const struct weights_sink sink = {.take = take_whole, .self = &target};
    struct weights_origin origin;
    TRY(weights_origin_of_state(&origin, from, network, source));
    mem_zero(master, table->total * sizeof *master);
    TRY(weights_stream(&origin, table, &sink));
    log_origin(&origin);
    return step ? step_of(&origin, step) : OK;
}

static int read_master(struct weights_origin *origin, struct optimiser *o) {
    struct array_target target = {o, OPTIMISER_MASTER};
    struct state_reader *r;
    TRY(state_open_seen(&r, origin->path, &origin->seen));
    int code = state_each_slice(r, origin->group, o->table, take_array, &target);
    state_close(r);
    return code ? error_context(code, "%s", origin->path) : OK;
}

static int load_master(struct weights_origin *origin, const char *network, const struct param_table *table,
                       struct optimiser *o) {
    const struct weights_sink sink = {.take = take_master, .self = o};
    int goes_on = 0;
    if (optimiser_adapted(o)) {
        TRY(adapters_start(o, network, origin, &goes_on));
        if (goes_on) TRY(read_master(origin, o));
    } else {
        optimiser_clear(o, table->slices);
        TRY(weights_stream(origin, table, &sink));
    }
    log_origin(origin);
    return OK;
}

int train_state_load_master(const char *from, const char *network, enum weights_choice source,
                            const struct param_table *table, struct optimiser *optimiser) {
    struct weights_origin origin;
    TRY(weights_origin_of_state(&origin, from, network, source));
    return load_master(&origin, network, table, optimiser);
}

int train_state_load_checkpoint(const char *path, struct optimiser *optimiser, uint64_t seed) {
    struct weights_origin origin;
    TRY(weights_origin_of_checkpoint(&origin, path, seed));
    return load_master(&origin, "teacher", optimiser->net, optimiser);
}

int train_state_load_frozen(const char *from, const char *network, struct frozen_weights *weights) {
    struct weights_origin origin;
    TRY(weights_origin_of_state(&origin, from, network, WEIGHTS_AVERAGE));
    TRY(adapters_load_frozen(weights, &origin));
    log_origin(&origin);
    return OK;
}
