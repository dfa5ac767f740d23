/* network_weights.c: see network_weights.h. */
#include "checkpoints/network_weights.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"

/* Whether streamed slices have host memory of their own; elsewhere the files serve. */
static int on_host(const struct network_weights *w) { return w->streamed.streamed && device_overlaps(); }

/* Weights that may have copies for products, from the first one on. Quantised ones are read as they are; then only the
   embeddings, the first slice, get copies. */
static long copied_weights(const struct param_table *table) {
    for (int i = 0; i < table->count; i++)
        if (table->list[i].type) return (long)table->slice_offset[1];
    return (long)table->total;
}

static void layout(struct network_weights *w) {
    long n = copied_weights(w->table), room = w->copies == WEIGHTS_COPIED ? packed_room(n) : 0;
    streamed_layout(&w->streamed, &w->device);
    if (on_host(w)) streamed_layout_host(&w->streamed, &w->host);
    if (!room || w->streamed.streamed) return;
    elem *copies = ARENA_TAKE(&w->copied, "copies", elem, room);
    if (copies) packed_open(copies, w->streamed.resident, n, 0);
}

int network_weights_plan(struct network_weights *w, const struct param_table *table, long mib,
                         enum weights_copies copies) {
    memset(w, 0, sizeof *w);
    w->table = table;
    w->copies = copies;
    TRY(streamed_plan(&w->streamed, table, (size_t)mib << 20));
    arena_begin(&w->device, "network weights");
    arena_begin(&w->copied, "its copies for products");
    arena_begin_host(&w->host, "streamed weights (host)");
    layout(w);
    return OK;
}

/* Bytes that products take for a copy of the largest weight, where weights have no copies of their own. */
static size_t lent(const struct network_weights *w) {
    size_t most = 0;
    for (int i = 0; i < w->table->count; i++)
        if (w->table->list[i].ndim == 2 && !w->table->list[i].type && w->table->list[i].count > most)
            most = w->table->list[i].count;
    return w->copied.used ? 0 : (size_t)packed_lent((long)most) * sizeof(elem);
}

void network_weights_print(const struct network_weights *w, struct memory_plan *plan) {
    memory_plan_arena(plan, &w->device);
    if (w->copied.used) memory_plan_arena(plan, &w->copied);
    if (lent(w)) memory_plan_bytes(plan, "a weight's copy for its product", lent(w));
    if (on_host(w)) memory_plan_arena(plan, &w->host);
}

/* Puts a loaded value where its slice is kept; files keep their own. */
static int take(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    const struct network_weights *w = self;
    elem *host, *device = streamed_home(&w->streamed, p->slice, &host);
    if (device) transfer_to_elem(device + p->offset + from, values, (long)count);
    for (size_t i = 0; host && i < count; i++) host[p->offset + from + i] = elem_store((real)values[i]);
    return OK;
}

static int take_quantised(void *self, const struct param *p, const void *codes, const float *scales) {
    const struct network_weights *w = self;
    elem *host, *device = streamed_home(&w->streamed, p->slice, &host);
    weights_put_quantised(device ? device + p->offset : NULL, host ? host + p->offset : NULL, p, codes, scales);
    return OK;
}

static void say(const struct network_weights *w) {
    const struct streamed *s = &w->streamed;
    log_line("weights: %.0f of %.0f MiB stay; %d of %d blocks are streamed from %s, so passes are not recorded",
             (double)(s->resident_size * sizeof(elem)) / 0x1p20, (double)(w->table->total * sizeof(elem)) / 0x1p20,
             s->streamed, w->table->slices - 2, s->host ? "pinned host memory" : "the checkpoint's files");
}

int network_weights_load(struct network_weights *w, const char *path, int *audio) {
    TRY(arena_commit(&w->device));
    if (w->copied.used) TRY(arena_commit(&w->copied));
    if (on_host(w)) TRY(arena_commit(&w->host));
    layout(w);
    mem_zero(w->streamed.resident, w->streamed.resident_size * sizeof(elem)); /* padding must be zero */
    const struct weights_sink sink = {take, w, take_quantised};
    TRY(pretrained_load(&sink, w->table, path, audio));
    if (w->streamed.streamed && !on_host(w)) {
        TRY(slice_file_open(&w->file, w->table, path));
        w->streamed.store = slice_file_store(&w->file);
    }
    TRY(streamed_open(&w->streamed));
    w->params = streamed_params(&w->streamed);
    if (w->streamed.streamed) say(w);
    return device_sync(); /* streams that copy do not see what is still queued on this one */
}

void network_weights_close(struct network_weights *w) {
    streamed_close(&w->streamed);
    slice_file_close(&w->file);
    arena_free(&w->device);
    arena_free(&w->host);
    arena_free(&w->copied);
    memset(w, 0, sizeof *w);
}
