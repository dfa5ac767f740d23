/* words.c: see words.h. */
#include "infer/serve/words.h"

#include <cjson/cJSON.h>

#include "infer/serve/speech.h"
#include "model/audio/encoder.h"

static cJSON *begin(const char *type) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "type", type);
    return root;
}

static void number(cJSON *root, const char *key, double value) { cJSON_AddNumberToObject(root, key, value); }

static char *end(cJSON *root) {
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

char *words_created(const struct words_created *c) {
    cJSON *root = begin("session.created");
    cJSON_AddStringToObject(root, "session", c->session);
    cJSON_AddStringToObject(root, "token", c->token);
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
    number(root, "chunk_us", (double)c->chunk_us);
    number(root, "ahead_us", (double)c->ahead_us);
    number(root, "lead_us", (double)c->lead_us);
    number(root, "speech_s", SPEECH_SECONDS);
    cJSON *next = cJSON_AddObjectToObject(root, "next");
    number(next, "agent", c->next_agent);
    number(next, "user", c->next_user);
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
    number(root, "from_us", (double)from_us);
    return end(root);
}

char *words_started(uint32_t turn, int64_t position_us) {
    cJSON *root = begin("playback.started");
    number(root, "turn", turn);
    number(root, "position_us", (double)position_us);
    return end(root);
}

char *words_finished(uint32_t turn, int64_t position_us, int interrupted, int64_t next_us) {
    cJSON *root = begin("playback.finished");
    number(root, "turn", turn);
    number(root, "position_us", (double)position_us);
    cJSON_AddBoolToObject(root, "interrupted", interrupted);
    number(root, "next_us", (double)next_us);
    return end(root);
}

char *words_clock(int64_t server_us, int64_t media_us) {
    cJSON *root = begin("clock");
    number(root, "server_us", (double)server_us);
    number(root, "media_us", (double)media_us);
    return end(root);
}

char *words_error(const char *code, const char *message, int fatal) {
    cJSON *root = begin("error");
    cJSON_AddStringToObject(root, "code", code);
    cJSON_AddStringToObject(root, "message", message);
    cJSON_AddBoolToObject(root, "fatal", fatal);
    return end(root);
}
