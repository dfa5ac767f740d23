/* player.c: see player.h. */
#include "examples/webrtc/player.h"

#include <string.h>

enum { HAND_US = 40000, LATE_US = 20000, HALF_US = 20000 };

struct item {
    int kind;
    gint64 media_us;
    GBytes *payload;
};

struct player {
    player_emit *emit;
    void *user;
    GQueue items; /* sorted by media time */
    int started;
    gint64 base_us;   /* a unit is due at its media time plus this */
    gint64 played_us; /* media time at which the emitted sound ends */
    gint64 from_us;   /* media time before which everything was interrupted */
    int dry;
};

static void item_free(void *pointer) {
    struct item *item = pointer;
    g_bytes_unref(item->payload);
    g_free(item);
}

struct player *player_new(player_emit *emit, void *user) {
    struct player *p = g_new0(struct player, 1);
    *p = (struct player){.emit = emit, .user = user};
    g_queue_init(&p->items);
    return p;
}

void player_free(struct player *p) {
    if (!p) return;
    g_queue_clear_full(&p->items, item_free);
    g_free(p);
}

static int by_time(const void *a, const void *b, void *user) {
    const struct item *x = a, *y = b;
    (void)user;
    return x->media_us <= y->media_us ? -1 : 1; /* a unit goes behind others of its time */
}

static void keep(struct player *p, int kind, gint64 media_us, GBytes *payload) {
    struct item *item = g_new(struct item, 1);
    *item = (struct item){.kind = kind, .media_us = media_us, .payload = payload};
    g_queue_insert_sorted(&p->items, item, by_time, NULL);
}

void player_flush(struct player *p, gint64 next_us) {
    for (GList *at = p->items.head, *next; at; at = next) {
        struct item *item = at->data;
        next = at->next;
        if (item->media_us >= next_us || item->kind == PLAYER_NOTE) continue;
        item_free(item);
        g_queue_delete_link(&p->items, at);
    }
    p->from_us = next_us;
}

/* Sets the clock by a unit of sound. One that comes too late is due now, and all later ones are delayed by as much:
   lost time is not made up. */
static void set_clock(struct player *p, int first, gint64 media_us, gint64 now_us) {
    gint64 late = now_us - (media_us + p->base_us);
    if (first) {
        player_flush(p, media_us);
        p->base_us = now_us + HAND_US - media_us;
        p->started = 1;
    } else if (late > LATE_US) {
        p->base_us += late;
        p->dry++;
    }
}

void player_unit(struct player *p, GBytes *message, gint64 now_us) {
    gsize size;
    const guint8 *unit = g_bytes_get_data(message, &size);
    guint64 little;
    memcpy(&little, unit + 8, sizeof little);
    gint64 media_us = (gint64)GUINT64_FROM_LE(little);
    if ((unit[0] != UNIT_VIDEO && unit[0] != UNIT_AGENT) || media_us < p->from_us) return;
    if (unit[0] == UNIT_AGENT) set_clock(p, unit[1] & UNIT_FIRST, media_us, now_us);
    gsize bytes = size - UNIT_HEADER, half = unit[0] == UNIT_AGENT ? bytes / 4 * 2 : 0;
    if (half) keep(p, UNIT_AGENT, media_us, g_bytes_new_from_bytes(message, UNIT_HEADER, half));
    keep(p, unit[0], media_us + (half ? HALF_US : 0),
         g_bytes_new_from_bytes(message, UNIT_HEADER + half, bytes - half));
}

void player_note(struct player *p, gint64 media_us, const char *text) {
    keep(p, PLAYER_NOTE, media_us, g_bytes_new(text, strlen(text)));
}

void player_play(struct player *p, gint64 now_us) {
    struct item *item;
    while (p->started && (item = g_queue_peek_head(&p->items)) && item->media_us + p->base_us <= now_us) {
        g_queue_pop_head(&p->items);
        if (item->kind == UNIT_AGENT) p->played_us = item->media_us + HALF_US;
        p->emit(p->user, item->kind, item->media_us + p->base_us, item->payload);
        item_free(item);
    }
}

gint64 player_position(const struct player *p, gint64 now_us) {
    return !p->started || !p->played_us ? -1 : MIN(now_us - p->base_us, p->played_us);
}

int player_dry(const struct player *p) { return p->dry; }
