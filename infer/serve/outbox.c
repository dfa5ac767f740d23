/* outbox.c: see outbox.h. */
#include "infer/serve/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/audio/encoder.h"

void outbox_open(struct outbox *o) {
    *o = (struct outbox){.first = NULL};
    o->last = &o->first;
}

void parcel_free(struct parcel *p) {
    if (!p) return;
    free(p->bytes - OUTBOX_ROOM);
    free(p);
}

struct parcel *outbox_take(struct outbox *o) {
    struct parcel *p = o->first;
    if (!p) return NULL;
    o->first = p->next;
    if (!o->first) o->last = &o->first;
    o->pictures -= p->kind == UNIT_VIDEO;
    o->bytes -= p->length;
    return p;
}

void outbox_clear(struct outbox *o) {
    for (struct parcel *p; (p = outbox_take(o));) parcel_free(p);
    o->starved = 0;
}

static struct parcel *make(size_t length) {
    struct parcel *p = calloc(1, sizeof *p);
    unsigned char *bytes = malloc(OUTBOX_ROOM + length);
    if (!p || !bytes) {
        free(p);
        free(bytes);
        return NULL;
    }
    p->bytes = bytes + OUTBOX_ROOM;
    p->length = length;
    return p;
}

static void append(struct outbox *o, struct parcel *p) {
    *o->last = p;
    o->last = &p->next;
    o->bytes += p->length;
    o->pictures += p->kind == UNIT_VIDEO;
}

int outbox_text(struct outbox *o, const char *text) {
    struct parcel *p = text ? make(strlen(text)) : NULL;
    if (!p) return error_set(ERR_DEVICE, "out of memory for a message");
    memcpy(p->bytes, text, p->length);
    append(o, p);
    return OK;
}

/* Removes what `drops` accepts; returns how many pictures were among it. */
static int remove_where(struct outbox *o, int (*drops)(const struct parcel *)) {
    int pictures = 0;
    struct parcel *all = o->first, *next;
    o->first = NULL;
    o->last = &o->first;
    o->pictures = 0;
    o->bytes = 0;
    for (struct parcel *p = all; p; p = next) {
        next = p->next;
        p->next = NULL;
        if (!drops(p)) {
            append(o, p);
            continue;
        }
        pictures += p->kind == UNIT_VIDEO;
        parcel_free(p);
    }
    o->dropped += pictures;
    return pictures;
}

static int is_picture(const struct parcel *p) { return p->kind == UNIT_VIDEO; }
static int is_unit(const struct parcel *p) { return p->binary; }

int outbox_drop_units(struct outbox *o) { return remove_where(o, is_unit) > 0; }

/* Says whether a picture has to be dropped because too many wait. */
static int refuse(struct outbox *o, const struct unit *u) {
    if (u->kind != UNIT_VIDEO) return 0;
    if (o->pictures >= OUTBOX_PICTURES) {
        remove_where(o, is_picture);
        o->starved = 1;
    }
    if (u->flags & UNIT_KEY) o->starved = 0;
    o->dropped += o->starved;
    return o->starved;
}

int outbox_unit(struct outbox *o, struct unit *u, const void *payload, const struct parcel_times *times) {
    u->sequence = o->sequence[u->kind]++;
    if (refuse(o, u)) return OK;
    struct parcel *p = make(UNIT_HEADER + u->length);
    if (!p) return error_set(ERR_DEVICE, "out of memory for a unit");
    p->binary = 1;
    p->kind = u->kind;
    if (times) p->times = *times;
    p->end_us = u->kind == UNIT_AGENT ? u->time_us + 1000000 / VIDEO_RATE : 0;
    unit_pack(p->bytes, u);
    memcpy(p->bytes + UNIT_HEADER, payload, u->length);
    append(o, p);
    return OK;
}
