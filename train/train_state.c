/* train_state.c: see train_state.h. */
#include "train/train_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "checkpoints/state.h"
#include "model/transfer.h"

enum { NAME_MAX_LENGTH = 128 };

void train_state_network(struct train_state *s, const char *name, struct optimiser *optimiser) {
    s->networks[s->network_count++] = (struct saved_network){name, optimiser};
}

void train_state_integer(struct train_state *s, const char *name, int64_t *value) {
    s->integers[s->integer_count++] = (struct saved_integer){name, value};
}

int train_state_array(struct train_state *s, const char *name, real *device, size_t count) {
    if (s->array_count == STATE_ITEMS_MAX) return error_set(ERR_USAGE, "state: more than %d arrays", STATE_ITEMS_MAX);
    struct saved_array *a = &s->arrays[s->array_count++];
    snprintf(a->name, sizeof a->name, "%s", name);
    a->device = device;
    a->count = count;
    return OK;
}

/* In the double build values go through float and a resumed run is not bit-equal. */
static int download(float **values, const real *device, size_t count) {
    *values = malloc(count * sizeof **values);
    if (!*values) return error_set(ERR_DEVICE, "state: out of memory for %zu values", count);
    transfer_from_real(*values, device, (long)count);
    return OK;
}

/* ---- writing ---- */

static int put_params(struct state_writer *w, const char *network, const char *what, const struct param_table *table,
                      const real *device) {
    char group[NAME_MAX_LENGTH];
    float *values = NULL;
    snprintf(group, sizeof group, "%s/%s", network, what);
    int code = download(&values, device, table->total);
    if (!code) code = state_put_params(w, group, table, values);
    free(values);
    return code;
}

static int put_network(struct state_writer *w, const struct saved_network *n) {
    const struct optimiser *o = n->optimiser;
    char name[NAME_MAX_LENGTH];
    struct optim_state state;
    TRY(put_params(w, n->name, "master", o->table, o->master));
    TRY(put_params(w, n->name, "m", o->table, o->m));
    TRY(put_params(w, n->name, "v", o->table, o->v));
    if (o->ema) TRY(put_params(w, n->name, "ema", o->table, o->ema));
    mem_download(&state, o->state, sizeof state);
    const struct {
        const char *what;
        int64_t value;
    } counts[] = {{"updates", state.updates}, {"skipped", state.skipped}, {"skipped_in_row", state.skipped_in_row}};
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", n->name, counts[i].what);
        TRY(state_put_integer(w, name, counts[i].value));
    }
    return OK;
}

static int put_array(struct state_writer *w, const struct saved_array *a) {
    float *values = NULL;
    long shape[1] = {(long)a->count};
    int code = download(&values, a->device, a->count);
    if (!code) code = state_put_floats(w, a->name, values, 1, shape);
    free(values);
    return code;
}

static int put_all(struct state_writer *w, struct train_state *s, const char *config) {
    TRY(state_put_integer(w, "threads", device_threads()));
    TRY(state_put_text(w, "device", device_name()));
    TRY(state_put_text(w, "type", TYPE_NAME));
    TRY(state_put_text(w, "config", config));
    for (int i = 0; i < s->network_count; i++) TRY(put_network(w, &s->networks[i]));
    for (int i = 0; i < s->integer_count; i++) TRY(state_put_integer(w, s->integers[i].name, *s->integers[i].value));
    for (int i = 0; i < s->array_count; i++) TRY(put_array(w, &s->arrays[i]));
    return OK;
}

int train_state_save(struct train_state *s, const char *folder, long step, int keep, const char *config) {
    char path[FILE_PATH_MAX];
    TRY(device_sync());
    if (snprintf(path, sizeof path, "%s/checkpoints", folder) >= (int)sizeof path - 32)
        return error_set(ERR_USAGE, "%s: the path is too long", folder);
    TRY(file_make_folders(path));
    snprintf(path, sizeof path, "%s/checkpoints/step_%08ld.h5", folder, step);
    struct state_writer *w;
    TRY(state_create(&w, path));
    int code = put_all(w, s, config);
    if (code) {
        state_abandon(w);
        return code;
    }
    TRY(state_finish(w));
    return state_prune(folder, keep);
}

/* ---- reading ---- */

/* values: malloc'd [table->total]; padding is zero. */
static int read_params(struct state_reader *r, const char *group, const struct param_table *table, float **values) {
    *values = calloc(table->total, sizeof **values);
    if (!*values) return error_set(ERR_DEVICE, "state: out of memory");
    int code = state_get_params(r, group, table, *values);
    if (code) free(*values), *values = NULL;
    return code;
}

static int get_params(struct state_reader *r, const char *network, const char *what, const struct param_table *table,
                      real *device) {
    char group[NAME_MAX_LENGTH];
    float *values;
    snprintf(group, sizeof group, "%s/%s", network, what);
    TRY(read_params(r, group, table, &values));
    transfer_to_real(device, values, (long)table->total);
    free(values);
    return OK;
}

static int get_network(struct state_reader *r, struct saved_network *n) {
    struct optimiser *o = n->optimiser;
    char name[NAME_MAX_LENGTH];
    int64_t counts[3];
    static const char *const what[3] = {"updates", "skipped", "skipped_in_row"};
    TRY(get_params(r, n->name, "master", o->table, o->master));
    TRY(get_params(r, n->name, "m", o->table, o->m));
    TRY(get_params(r, n->name, "v", o->table, o->v));
    if (o->ema) TRY(get_params(r, n->name, "ema", o->table, o->ema));
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", n->name, what[i]);
        TRY(state_get_integer(r, name, &counts[i]));
    }
    struct optim_state state = {
        .updates = counts[0], .skipped = (int32_t)counts[1], .skipped_in_row = (int32_t)counts[2]};
    mem_upload(o->state, &state, sizeof state);
    optimiser_publish(o);
    return device_sync();
}

static int get_array(struct state_reader *r, struct saved_array *a) {
    float *values = malloc(a->count * sizeof *values);
    if (!values) return error_set(ERR_DEVICE, "state: out of memory");
    int code = state_get_floats(r, a->name, values, a->count);
    if (!code) transfer_to_real(a->device, values, (long)a->count);
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

static void warn_of_machine(struct state_reader *r) {
    int64_t threads = 0;
    warn_of_text(r, "device", device_name());
    warn_of_text(r, "type", TYPE_NAME);
    if (!state_get_integer(r, "threads", &threads) && threads != device_threads())
        log_line("warning: the state was written with %" PRId64 " threads, these are %d: the run goes on, but not bit "
                 "for bit",
                 threads, device_threads());
}

static int get_all(struct state_reader *r, struct train_state *s) {
    warn_of_machine(r);
    for (int i = 0; i < s->network_count; i++) TRY(get_network(r, &s->networks[i]));
    for (int i = 0; i < s->integer_count; i++) TRY(state_get_integer(r, s->integers[i].name, s->integers[i].value));
    for (int i = 0; i < s->array_count; i++) TRY(get_array(r, &s->arrays[i]));
    return OK;
}

int train_state_resume(struct train_state *s, const char *folder, int *found) {
    char path[FILE_PATH_MAX];
    struct state_reader *r;
    *found = 0;
    TRY(state_newest(folder, path, sizeof path));
    if (!path[0]) return OK;
    TRY(state_open(&r, path));
    int code = get_all(r, s);
    state_close(r);
    if (code) return error_context(code, "%s", path);
    log_line("resumed from %s", path);
    *found = 1;
    return OK;
}

/* values: malloc'd [table->total]. */
static int read_weights(const char *from, const char *network, enum weights_source source,
                        const struct param_table *table, float **values, long *step) {
    char path[FILE_PATH_MAX], group[NAME_MAX_LENGTH];
    struct stat info;
    struct state_reader *r;
    int64_t at = 0;
    *values = NULL;
    if (snprintf(path, sizeof path, "%s", from) >= (int)sizeof path || stat(from, &info))
        return error_set(ERR_INPUT, "%s: there is no such folder or state", from);
    if (S_ISDIR(info.st_mode)) TRY(state_newest(from, path, sizeof path));
    if (!path[0]) return error_set(ERR_INPUT, "%s: no whole state in checkpoints/", from);
    TRY(state_open(&r, path));
    snprintf(group, sizeof group, "%s/ema", network);
    if (source == WEIGHTS_RAW || !state_has(r, group)) snprintf(group, sizeof group, "%s/master", network);
    int code = read_params(r, group, table, values);
    if (!code) code = state_get_integer(r, "step", &at);
    state_close(r);
    if (code) {
        free(*values);
        return error_context(code, "%s", path);
    }
    if (step) *step = (long)at;
    log_line("%s from %s", group, path);
    return OK;
}

int train_state_load_weights(const char *from, const char *network, enum weights_source source,
                             const struct param_table *table, real *master, long *step) {
    float *values;
    TRY(read_weights(from, network, source, table, &values, step));
    transfer_to_real(master, values, (long)table->total);
    free(values);
    return OK;
}

int train_state_load_frozen(const char *from, const char *network, const struct param_table *table, elem *weights) {
    float *values;
    TRY(read_weights(from, network, WEIGHTS_AVERAGE, table, &values, NULL));
    transfer_to_elem(weights, values, (long)table->total);
    free(values);
    return OK;
}
