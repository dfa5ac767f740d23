/* streamed.c: see streamed.h. */
#include "model/params/streamed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

#define MEBIBYTE 1048576.0

/* ---- the choice ---- */

/* Marks `count` of the blocks (slices 1 to slices - 2) as streamed, spread evenly. */
static void spread(struct streamed *s, int count) {
    int blocks = s->table->slices - 2;
    memset(s->away, 0, (size_t)s->table->slices);
    for (int b = 0; b < blocks; b++) s->away[1 + b] = (long)(b + 1) * count / blocks > (long)b * count / blocks;
    s->streamed = count;
}

/* Gives each slice its place; returns the bytes of device memory that the choice takes. */
static size_t place_slices(struct streamed *s) {
    s->resident_size = s->host_size = s->largest = 0;
    for (int i = 0; i < s->table->slices; i++) {
        size_t size = param_slice_size(s->table, i), *total = s->away[i] ? &s->host_size : &s->resident_size;
        s->place[i] = *total;
        *total += size;
        if (s->away[i] && size > s->largest) s->largest = size;
    }
    return (s->resident_size + (size_t)s->buffers * s->largest) * sizeof(elem);
}

int streamed_plan(struct streamed *s, const struct param_table *table, size_t bytes) {
    int blocks = table->slices - 2, count = 1;
    size_t least = table->total * sizeof(elem);
    memset(s, 0, sizeof *s);
    s->table = table;
    s->away = calloc((size_t)table->slices, 1);
    s->place = calloc((size_t)table->slices, sizeof *s->place);
    if (!s->away || !s->place) return error_set(ERR_DEVICE, "weights: out of host memory");
    if (!bytes || bytes >= least) {
        place_slices(s);
        return OK;
    }
    s->buffers = device_overlaps() ? STREAMED_BUFFERS : 1;
    for (; count <= blocks; count++) {
        spread(s, count);
        size_t taken = place_slices(s);
        if (taken <= bytes) return OK;
        if (taken < least) least = taken;
    }
    return error_set(
        ERR_USAGE, "weights: %.0f MiB are too few for this network: it takes at least %.0f, of %.0f in all",
        (double)bytes / MEBIBYTE, (double)((least + 0xfffff) >> 20), (double)(table->total * sizeof(elem)) / MEBIBYTE);
}

/* ---- memory ---- */

void streamed_layout(struct streamed *s, struct arena *arena) {
    s->resident = ARENA_TAKE(arena, s->buffers ? "weights that stay" : "weights", elem, s->resident_size);
    for (int i = 0; i < s->buffers; i++)
        s->buffer[i] =
            (struct streamed_buffer){.memory = ARENA_TAKE(arena, "streamed weights", elem, s->largest), .slice = -1};
}

static int read_host(void *self, int slice, elem *device_to) {
    const struct streamed *s = self;
    mem_upload_pinned(device_to, s->host + s->place[slice], param_slice_size(s->table, slice) * sizeof(elem));
    return OK;
}

void streamed_layout_host(struct streamed *s, struct arena *arena) {
    s->host = ARENA_TAKE(arena, "weights", elem, s->host_size);
    s->store = (struct slice_store){.read = read_host, .self = s};
}

elem *streamed_home(const struct streamed *s, int slice, elem **host) {
    *host = s->away[slice] && s->host ? s->host + s->place[slice] : NULL;
    return s->away[slice] ? NULL : s->resident + s->place[slice];
}

int streamed_open(struct streamed *s) {
    if (!s->buffers) return OK;
    s->copies = device_stream_create();
    int made = s->copies != NULL;
    for (int i = 0; i < s->buffers; i++) {
        s->buffer[i].filled = device_event_create();
        s->buffer[i].left = device_event_create();
        made = made && s->buffer[i].filled && s->buffer[i].left;
    }
    return made ? OK : error_set(ERR_DEVICE, "weights: no stream for copies");
}

/* Waits for the copy that was begun for a pass to come: its memory, at both ends, is about to be freed. */
static void wait_for_copies(const struct streamed *s) {
    struct device_stream *work = device_stream_current();
    device_stream_use(s->copies);
    device_sync(); /* a failure shows in the passes, or was of no consequence */
    device_stream_use(work);
}

void streamed_close(struct streamed *s) {
    if (s->copies) wait_for_copies(s);
    for (int i = 0; i < s->buffers && s->copies; i++) {
        device_event_destroy(s->buffer[i].filled);
        device_event_destroy(s->buffer[i].left);
    }
    if (s->copies) device_stream_destroy(s->copies);
    free(s->away);
    free(s->place);
    memset(s, 0, sizeof *s);
}

/* ---- passes ---- */

static struct streamed_buffer *find(struct streamed *s, int slice) {
    for (int i = 0; i < s->buffers; i++)
        if (s->buffer[i].slice == slice) return &s->buffer[i];
    return NULL;
}

/* The streamed slice that is wanted after this one; behind the last, the first one of the next pass. */
static int next_of(const struct streamed *s, int slice) {
    do slice = (slice + 1) % s->table->slices;
    while (!s->away[slice]);
    return slice;
}

static void keep_failure(struct streamed *s, int code) {
    if (!code || s->code) return;
    s->code = code;
    snprintf(s->text, sizeof s->text, "%s", error_text());
}

/* Starts the copy of a slice into a buffer that no one holds, behind the work that last used the buffer. */
static struct streamed_buffer *start(struct streamed *s, int slice) {
    struct streamed_buffer *b = NULL;
    for (int i = 0; i < s->buffers && !b; i++)
        if (!s->buffer[i].held && !s->buffer[i].pending) b = &s->buffer[i];
    if (!b) return NULL;
    struct device_stream *work = device_stream_current();
    if (device_overlaps()) device_stream_use(s->copies);
    device_event_wait(b->left);
    keep_failure(s, s->store.read(s->store.self, slice, b->memory));
    device_event_record(b->filled);
    device_stream_use(work);
    b->slice = slice;
    b->pending = 1;
    s->copied++;
    return b;
}

/* Has the copy of the next slice made beside the work on this one. */
static void look_ahead(struct streamed *s, int slice) {
    int next = next_of(s, slice);
    if (find(s, next)) return;
    if (s->store.soon) s->store.soon(s->store.self, next);
    if (s->buffers > 1) start(s, next);
}

static const elem *streamed_acquire(void *of, int slice) {
    struct streamed *s = of;
    if (!s->away[slice]) return s->resident + s->place[slice];
    struct streamed_buffer *b = find(s, slice);
    if (!b && !(b = start(s, slice))) { /* another slice was expected, and both buffers are taken */
        for (int i = 0; i < s->buffers; i++)
            if (s->buffer[i].pending) s->buffer[i].pending = 0, s->buffer[i].slice = -1;
        b = start(s, slice);
    }
    if (!b) {
        device_fail("weights: slice %d finds no buffer", slice);
        return s->resident;
    }
    if (b->pending) device_event_wait(b->filled);
    b->pending = 0;
    b->held++;
    look_ahead(s, slice);
    return b->memory;
}

static void streamed_release(void *of, int slice) {
    struct streamed *s = of;
    struct streamed_buffer *b = s->away[slice] ? find(s, slice) : NULL;
    if (b && b->held && !--b->held) device_event_record(b->left);
}

static int streamed_status(void *of) {
    const struct streamed *s = of;
    return s->code ? error_set(s->code, "%s", s->text) : OK;
}

struct params streamed_params(struct streamed *s) {
    static const struct params_source source = {
        .acquire = streamed_acquire, .release = streamed_release, .status = streamed_status};
    struct params params = {.table = s->table, .weights = s->resident};
    if (s->buffers) params.source = &source, params.of = s;
    return params;
}
