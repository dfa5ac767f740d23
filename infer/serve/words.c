/* words.c: see words.h. */
#include "infer/serve/words.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "infer/serve/speech.h"
#include "model/audio/encoder.h"

static cJSON *begin(const char *type) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "type", type);
    return root;
}

static void number(cJSON *root, const char *key, double value) { cJSON_AddNumberToObject(root, key, value); }

/* Adds a whole number with all 64 bits; cJSON's own printer would round it. */
static void whole(cJSON *root, const char *key, int64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    cJSON_AddRawToObject(root, key, text);
}

static char *end(cJSON *root) {
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

char *words_created(const struct words_created *c) {
    cJSON *root = begin("session.created");
    cJSON_AddStringToObject(root, "session", c->session);
    cJSON_AddStringToObject(root, "token", c->token);
    cJSON_AddStringToObject(root, "agent", c->agent);
    cJSON_AddBoolToObject(root, "resumed", c->resumed);
    number(root, "resume_s", c->resume_seconds);
    cJSON *video = cJSON_AddObjectToObject(root, "video");
    cJSON_AddStringToObject(video, "codec", c->codec);
    cJSON_AddStringToObject(video, "decoder", c->decoder);
    number(video, "width", c->width);
    number(video, "height", c->height);
    number(video, "fps", VIDEO_RATE);
    number(root, "agent_rate", c->agent_rate);
    number(root, "user_rate", c->user_rate);
    whole(root, "chunk_us", c->chunk_us);
    whole(root, "ahead_us", c->ahead_us);
    whole(root, "lead_us", c->lead_us);
    number(root, "speech_s", SPEECH_SECONDS);
    cJSON *next = cJSON_AddObjectToObject(root, "next");
    number(next, "agent", c->next_agent);
    number(next, "user", c->next_user);
    return end(root);
}

char *words_changed(int64_t from_us) {
    cJSON *root = begin("session.changed");
    whole(root, "from_us", from_us);
    return end(root);
}

char *words_queued(int place, const char *token) {
    cJSON *root = begin("session.queued");
    number(root, "place", place);
    cJSON_AddStringToObject(root, "token", token);
    return end(root);
}

char *words_state(const char *state, uint32_t turn, int64_t from_us) {
    cJSON *root = begin("state");
    cJSON_AddStringToObject(root, "state", state);
    number(root, "turn", turn);
    whole(root, "from_us", from_us);
    return end(root);
}

char *words_started(uint32_t turn, int64_t position_us) {
    cJSON *root = begin("playback.started");
    number(root, "turn", turn);
    whole(root, "position_us", position_us);
    return end(root);
}

char *words_finished(uint32_t turn, int64_t position_us, int interrupted, int64_t next_us) {
    cJSON *root = begin("playback.finished");
    number(root, "turn", turn);
    whole(root, "position_us", position_us);
    cJSON_AddBoolToObject(root, "interrupted", interrupted);
    whole(root, "next_us", next_us);
    return end(root);
}

char *words_clock(int64_t server_us, int64_t media_us, int64_t client_us) {
    cJSON *root = begin("clock");
    whole(root, "server_us", server_us);
    whole(root, "media_us", media_us);
    if (client_us >= 0) whole(root, "client_us", client_us);
    return end(root);
}

char *words_chunk(const struct words_chunk *c) {
    cJSON *root = begin("chunk");
    whole(root, "from_us", c->from_us);
    if (c->user_us) whole(root, "user_us", c->user_us);
    if (c->agent_us) whole(root, "agent_us", c->agent_us);
    whole(root, "lead_us", c->lead_us);
    whole(root, "due_us", c->due_us);
    whole(root, "begun_us", c->begun_us);
    whole(root, "made_us", c->made_us);
    whole(root, "coded_us", c->coded_us);
    return end(root);
}

char *words_access(int token, int authorized, int crowded) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddBoolToObject(root, "token", token);
    cJSON_AddBoolToObject(root, "authorized", authorized);
    cJSON_AddBoolToObject(root, "crowded", crowded);
    return end(root);
}

char *words_text(const char *text, int from_user, uint32_t turn) {
    cJSON *root = begin("text");
    cJSON_AddStringToObject(root, "from", from_user ? "user" : "agent");
    if (turn) number(root, "turn", turn);
    cJSON_AddStringToObject(root, "text", text);
    return end(root);
}

char *words_end(long samples) {
    cJSON *root = begin("audio.end");
    if (samples >= 0) whole(root, "samples", samples);
    return end(root);
}

char *words_only(const char *type) { return end(begin(type)); }

char *words_error(const char *code, const char *message, int fatal) {
    cJSON *root = begin("error");
    cJSON_AddStringToObject(root, "code", code);
    cJSON_AddStringToObject(root, "message", message);
    cJSON_AddBoolToObject(root, "fatal", fatal);
    return end(root);
}
