/* recordings.c: see recordings.h. Keys are compared whole; they are few. */
#include "kernels/recordings.h"
#include "kernels/device.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    unsigned char *key; /* [key_bytes] */
    size_t bytes;
    struct device_graph *graph; /* NULL: not recorded yet, or it cannot be */
    int refused;
};
struct recordings {
    int most, count;
    size_t key_bytes;
    struct entry *entries;
    unsigned char *keys; /* [most, key_bytes] */
    struct recording_counts counts;
};

int recordings_open(struct recordings **recordings, int most, size_t key_bytes) {
    struct recordings *r = *recordings = calloc(1, sizeof *r);
    if (r) r->entries = calloc((size_t)most, sizeof *r->entries);
    if (r) r->keys = malloc((size_t)most * key_bytes);
    if (!r || !r->entries || !r->keys) {
        recordings_close(r);
        *recordings = NULL;
        return error_set(ERR_DEVICE, "out of memory for recordings");
    }
    r->most = most;
    r->key_bytes = key_bytes;
    for (int i = 0; i < most; i++) r->entries[i].key = r->keys + (size_t)i * key_bytes;
    return OK;
}

void recordings_close(struct recordings *r) {
    if (!r) return;
    for (int i = 0; i < r->count; i++) device_graph_destroy(r->entries[i].graph);
    free(r->entries);
    free(r->keys);
    free(r);
}

static struct entry *find(struct recordings *r, const void *key, size_t bytes) {
    for (int i = 0; i < r->count; i++)
        if (r->entries[i].bytes == bytes && !memcmp(r->entries[i].key, key, bytes)) return &r->entries[i];
    return NULL;
}

static int run_direct(struct recordings *r, int (*work)(void *), void *user) {
    r->counts.direct++;
    return work(user);
}

static int run_first(struct recordings *r, const void *key, size_t bytes, int (*work)(void *), void *user) {
    if (r->count < r->most && bytes <= r->key_bytes) {
        struct entry *e = &r->entries[r->count++];
        memcpy(e->key, key, bytes);
        e->bytes = bytes;
    }
    return run_direct(r, work, user);
}

/* Records the work and queues the recording. Work that cannot be recorded has not been
   done by trying, so it is run then. */
static int run_second(struct recordings *r, struct entry *e, int (*work)(void *), void *user) {
    int recording = device_record_begin(), code = recording ? work(user) : OK;
    if (recording) e->graph = device_record_end();
    if (code) { /* a recording of work that failed is not what the key stands for */
        device_graph_destroy(e->graph);
        e->graph = NULL;
        return code;
    }
    if (!e->graph) {
        e->refused = 1;
        return run_direct(r, work, user);
    }
    device_graph_launch(e->graph);
    r->counts.recorded++;
    r->counts.kept++;
    return OK;
}

int recordings_run(struct recordings *r, const void *key, size_t bytes, int (*work)(void *user), void *user) {
    struct entry *e = find(r, key, bytes);
    if (!e) return run_first(r, key, bytes, work, user);
    if (e->refused) return run_direct(r, work, user);
    if (!e->graph) return run_second(r, e, work, user);
    device_graph_launch(e->graph);
    r->counts.replayed++;
    return OK;
}

struct recording_counts recordings_counts(const struct recordings *r) {
    return r->counts;
}
