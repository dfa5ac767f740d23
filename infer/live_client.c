/* live_client.c: see live_client.h. */
#include "infer/live_client.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* ---- playing ---- */

/* Media time at which play would be if the sound in hand had no end. */
static int64_t wanted(const struct player *p, double now) {
    return p->position_us + (now > p->at ? (int64_t)(1e6 * (now - p->at) + 0.5) : 0);
}

int64_t player_position(const struct player *p, double now) {
    if (!p->playing) return p->position_us;
    int64_t at = wanted(p, now);
    return at < p->have_us ? at : p->have_us;
}

double player_lateness(const struct player *p, const struct unit *u, double now) {
    return 1e-6 * (double)(wanted(p, now) - u->time_us);
}

static void set(struct player *p, int64_t position_us, double now) {
    p->playing = 1;
    p->position_us = position_us;
    p->at = now;
}

void player_hear(struct player *p, const struct unit *u, double now) {
    if (!p->playing || u->flags & UNIT_FIRST)
        set(p, u->time_us, now);
    else if (wanted(p, now) >= p->have_us) /* it had run dry: play stood still meanwhile, and no sound is skipped */
        set(p, u->time_us > p->have_us ? u->time_us : p->have_us, now);
    p->have_us = u->time_us + CLIENT_UNIT_US;
}

void player_cut(struct player *p, int64_t next_us, double now) {
    if (!p->playing || next_us >= p->have_us) return;
    int64_t at = player_position(p, now);
    set(p, at < next_us ? at : next_us, now);
    p->have_us = next_us;
}

/* ---- writing messages ---- */

static size_t fitting(int length, size_t size) { return length > 0 && (size_t)length < size ? (size_t)length : 0; }

/* Writes "a,b" as ["a","b"]. */
static void list(char *text, size_t size, const char *names) {
    size_t n = 0;
    text[n++] = '[';
    for (const char *at = names; *at && n + 4 < size;) {
        size_t length = strcspn(at, ",");
        n += (size_t)snprintf(text + n, size - n, "%s\"%.*s\"", n > 1 ? "," : "", (int)length, at);
        at += length + (at[length] == ',');
    }
    snprintf(text + n, size - n, "]");
}

size_t client_create(char *text, size_t size, const struct client_wishes *w) {
    char codecs[128] = "", seed[32] = "", names[96];
    list(names, sizeof names, w->codecs);
    if (*w->codecs) snprintf(codecs, sizeof codecs, ",\"codecs\":%s", names);
    if (w->seed >= 0) snprintf(seed, sizeof seed, ",\"seed\":%lld", (long long)w->seed);
    return fitting(snprintf(text, size, "{\"type\":\"%s\",\"reference\":\"%s\",\"agent_rate\":%d,\"user_rate\":%d%s%s}",
                            message_names[MESSAGE_CREATE], w->reference, w->agent_rate, w->user_rate, codecs, seed),
                   size);
}

size_t client_resume(char *text, size_t size, const char *token) {
    return fitting(snprintf(text, size, "{\"type\":\"%s\",\"resume\":\"%s\"}", message_names[MESSAGE_CREATE], token),
                   size);
}

size_t client_turn(char *text, size_t size, enum message_type type, uint32_t turn) {
    return fitting(snprintf(text, size, "{\"type\":\"%s\",\"turn\":%u}", message_names[type], turn), size);
}

size_t client_position(char *text, size_t size, int64_t position_us) {
    return fitting(snprintf(text, size, "{\"type\":\"%s\",\"position_us\":%lld}", message_names[MESSAGE_POSITION],
                            (long long)position_us),
                   size);
}

size_t client_word(char *text, size_t size, enum message_type type) {
    return fitting(snprintf(text, size, "{\"type\":\"%s\"}", message_names[type]), size);
}

/* ---- reading messages ---- */

static const char *const heard_names[HEARD_OTHER] = {
    [HEARD_CREATED] = "session.created",
    [HEARD_QUEUED] = "session.queued",
    [HEARD_STATE] = "state",
    [HEARD_STARTED] = "playback.started",
    [HEARD_FINISHED] = "playback.finished",
    [HEARD_CLOCK] = "clock",
    [HEARD_ERROR] = "error",
};

static int64_t number(const cJSON *root, const char *key) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    double value = cJSON_IsNumber(item) ? item->valuedouble : 0;
    return value > -9e15 && value < 9e15 ? (int64_t)value : 0;
}

static void text_of(const cJSON *root, const char *key, char *text, size_t size) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (cJSON_IsString(item)) snprintf(text, size, "%s", item->valuestring);
}

static int truth(const cJSON *root, const char *key) {
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, key));
}

static void read_keys(struct heard *h, const cJSON *root) {
    const cJSON *next = cJSON_GetObjectItemCaseSensitive(root, "next");
    text_of(root, "token", h->token, sizeof h->token);
    text_of(root, "code", h->code, sizeof h->code);
    text_of(root, "state", h->state, sizeof h->state);
    h->resumed = truth(root, "resumed");
    h->interrupted = truth(root, "interrupted");
    h->fatal = truth(root, "fatal");
    h->place = (int)number(root, "place");
    h->turn = (uint32_t)number(root, "turn");
    h->position_us = number(root, "position_us");
    h->next_us = number(root, "next_us");
    h->next_agent = (uint32_t)number(next, "agent");
    h->next_user = (uint32_t)number(next, "user");
}

int heard_parse(struct heard *h, const char *text, size_t length) {
    cJSON *root = cJSON_ParseWithLength(text, length);
    char type[64] = "";
    text_of(root, "type", type, sizeof type);
    *h = (struct heard){.type = HEARD_CREATED};
    while (h->type < HEARD_OTHER && strcmp(type, heard_names[h->type])) h->type++;
    read_keys(h, root);
    cJSON_Delete(root);
    return *type ? OK : error_set(ERR_INPUT, "the server sent a text that is no message");
}
