/* message.c: see message.h. */
#include "infer/serve/message.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "infer/session.h"

const char *const message_names[MESSAGE_UNKNOWN] = {
    [MESSAGE_CREATE] = "session.create",
    [MESSAGE_UPDATE] = "session.update",
    [MESSAGE_CHANGE] = "session.change",
    [MESSAGE_APPEND] = "audio.append",
    [MESSAGE_END] = "audio.end",
    [MESSAGE_INTERRUPT] = "interrupt",
    [MESSAGE_LISTENING_START] = "listening.start",
    [MESSAGE_LISTENING_STOP] = "listening.stop",
    [MESSAGE_POSITION] = "playback.position",
    [MESSAGE_KEY_FRAME] = "video.key_frame",
    [MESSAGE_KEEP_ALIVE] = "session.keep_alive",
    [MESSAGE_CLOCK] = "clock",
    [MESSAGE_CLOSE] = "session.close",
    [MESSAGE_TEXT] = "text",
};
const char *const video_codec_names[VIDEO_CODECS] = {"h264", "vp8", "mjpeg", "raw"};
#define NUMBER_MAX 9e15 /* up to here a double holds whole numbers exactly */

/* Reads a whole number within bounds; a key that is missing leaves *value. */
static int whole(const cJSON *root, const char *key, double min, double max, int64_t *value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item) return OK;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max) ||
        item->valuedouble != floor(item->valuedouble))
        return error_set(ERR_INPUT, "%s: expected a whole number from %.0f to %.0f", key, min, max);
    *value = (int64_t)item->valuedouble;
    return OK;
}

/* Reads a time that a message of this type must have. */
static int wanted(const cJSON *root, const char *key, const char *type, int64_t *value) {
    *value = -1;
    TRY(whole(root, key, 0, NUMBER_MAX, value));
    return *value < 0 ? error_set(ERR_INPUT, "%s: expected with %s", key, type) : OK;
}

/* Reads a text; "" where there is none. */
static int text(const cJSON *root, const char *key, const char **value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    *value = "";
    if (!item) return OK;
    if (!cJSON_IsString(item)) return error_set(ERR_INPUT, "%s: expected a text", key);
    *value = item->valuestring;
    return OK;
}

static int read_turn(struct message *m, const cJSON *root) {
    int64_t turn = 0;
    TRY(whole(root, "turn", 1, UINT32_MAX, &turn));
    m->turn = (uint32_t)turn;
    return OK;
}

/* ---- session.create and session.update ---- */

/* A key that is missing leaves *kind. */
static int read_reference(enum reference_kind *kind, char who[PERSON_NAME_MAX], const cJSON *root) {
    static const char person[] = "person:";
    const char *name;
    TRY(text(root, "reference", &name));
    if (!*name) return OK;
    if (!strcmp(name, "default")) {
        *kind = REFERENCE_DEFAULT;
        return OK;
    }
    if (!strcmp(name, "upload")) {
        *kind = REFERENCE_UPLOAD;
        return OK;
    }
    const char *at = name + sizeof person - 1;
    if (strncmp(name, person, sizeof person - 1) || !*at || strlen(at) >= PERSON_NAME_MAX)
        return error_set(ERR_INPUT, "reference: expected default, upload or person:NAME");
    *kind = REFERENCE_PERSON;
    strcpy(who, at);
    return OK;
}

static int read_rate(const cJSON *root, const char *key, int *rate) {
    int64_t value = *rate;
    TRY(whole(root, key, 1, 1e6, &value));
    *rate = (int)value;
    return OK;
}

static int read_codecs(struct wishes *w, const cJSON *root) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "codecs"), *item;
    if (!list) {
        for (int i = 0; i < CODEC_RAW; i++) w->codecs[w->codec_count++] = i;
        return OK;
    }
    if (!cJSON_IsArray(list)) return error_set(ERR_INPUT, "codecs: expected a list of names");
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsString(item)) return error_set(ERR_INPUT, "codecs: expected a list of names");
        for (int i = 0; i < VIDEO_CODECS && w->codec_count < VIDEO_CODECS; i++)
            if (!strcmp(item->valuestring, video_codec_names[i])) w->codecs[w->codec_count++] = i;
    }
    return OK;
}

/* Reads a key that takes one of two words, as 0 or 1; a key that is missing leaves *value. */
static int one_of(const cJSON *root, const char *key, const char *zero, const char *one, int *value) {
    const char *word;
    TRY(text(root, key, &word));
    if (!strcmp(word, zero))
        *value = 0;
    else if (!strcmp(word, one))
        *value = 1;
    else if (*word)
        return error_set(ERR_INPUT, "%s: expected %s or %s", key, zero, one);
    return OK;
}

static int read_update(struct wishes *w, const cJSON *root) {
    int64_t lead = -1;
    w->manual = -1;
    TRY(whole(root, "lead_ms", 0, 60000, &lead));
    w->lead_ms = (int)lead;
    w->barge_in = -1;
    TRY(one_of(root, "listening", "voice", "manual", &w->manual));
    return one_of(root, "barge_in", "off", "voice", &w->barge_in);
}

static int read_create(struct wishes *w, const cJSON *root) {
    const char *resume;
    w->agent_rate = 24000;
    w->user_rate = 16000;
    w->seed = -1;
    TRY(read_update(w, root));
    TRY(read_reference(&w->reference, w->person, root));
    TRY(read_rate(root, "agent_rate", &w->agent_rate));
    TRY(read_rate(root, "user_rate", &w->user_rate));
    TRY(read_codecs(w, root));
    TRY(one_of(root, "playback", "reported", "assumed", &w->assumed));
    TRY(one_of(root, "agent", "none", "server", &w->agent));
    TRY(whole(root, "seed", 0, NUMBER_MAX, &w->seed));
    TRY(text(root, "resume", &resume));
    if (*resume && strlen(resume) != TOKEN_LENGTH) return error_set(ERR_INPUT, "resume: not a token of this server");
    strcpy(w->resume, resume);
    return OK;
}

/* ---- session.change ---- */

static int read_guidance(const cJSON *root, const char *key, double *value) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item) return OK;
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= SESSION_GUIDANCE_MAX))
        return error_set(ERR_INPUT, "%s: expected a number from 0 to %d", key, SESSION_GUIDANCE_MAX);
    *value = item->valuedouble;
    return OK;
}

static int read_prompt(struct change_request *c, const cJSON *root) {
    const char *prompt;
    if (!cJSON_GetObjectItemCaseSensitive(root, "prompt")) return OK;
    TRY(text(root, "prompt", &prompt));
    if (strlen(prompt) > TEXT_BYTES_MAX || !text_is_utf8(prompt))
        return error_set(ERR_INPUT, "prompt: expected at most %d bytes of UTF-8", TEXT_BYTES_MAX);
    c->prompt = strdup(prompt);
    return c->prompt ? OK : error_set(ERR_DEVICE, "out of memory for a prompt");
}

static int read_change_keys(struct change_request *c, const cJSON *root) {
    TRY(read_reference(&c->reference, c->person, root));
    TRY(read_guidance(root, "talk", &c->talk));
    TRY(read_guidance(root, "listen", &c->listen));
    TRY(read_prompt(c, root));
    if (c->reference == REFERENCE_STAYS && c->talk < 0 && c->listen < 0 && !c->prompt)
        return error_set(ERR_INPUT, "expected reference, prompt, talk or listen");
    return OK;
}

/* A wrong value goes into m->fault: it ends no session. */
static int read_change(struct message *m, const cJSON *root) {
    m->change = (struct change_request){.reference = REFERENCE_STAYS, .talk = -1, .listen = -1};
    int code = read_change_keys(&m->change, root);
    if (code == ERR_INPUT) {
        snprintf(m->fault, sizeof m->fault, "%s", error_text());
        code = OK;
    }
    return code;
}

/* ---- audio.append ---- */

static int sextet(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Decodes base64 in either alphabet, padded or not. */
static int decode_base64(struct message *m, const char *from) {
    size_t length = strlen(from);
    while (length && from[length - 1] == '=') length--;
    m->audio = malloc(length * 3 / 4 + 1);
    if (!m->audio) return error_set(ERR_DEVICE, "out of memory for sound");
    uint32_t bits = 0;
    for (size_t i = 0; i < length; i++) {
        int six = sextet(from[i]);
        if (six < 0) return error_set(ERR_INPUT, "audio: expected base64");
        bits = bits << 6 | (uint32_t)six;
        if (i % 4) m->audio[m->audio_bytes++] = (unsigned char)(bits >> (6 - 2 * (i % 4)));
    }
    return length % 4 == 1 || m->audio_bytes % 2 ? error_set(ERR_INPUT, "audio: expected 16-bit samples in base64")
                                                 : OK;
}

static int read_append(struct message *m, const cJSON *root) {
    const char *audio;
    TRY(read_turn(m, root));
    TRY(text(root, "audio", &audio));
    if (!m->turn) return error_set(ERR_INPUT, "turn: expected with audio.append");
    return decode_base64(m, audio);
}

/* ---- text ---- */

static int read_text(struct message *m, const cJSON *root) {
    const char *words;
    m->from_user = -1;
    TRY(text(root, "text", &words));
    TRY(one_of(root, "from", "agent", "user", &m->from_user));
    if (!*words || strlen(words) > TEXT_BYTES_MAX || !text_is_utf8(words))
        return error_set(ERR_INPUT, "text: expected 1 to %d bytes of UTF-8", TEXT_BYTES_MAX);
    m->text = strdup(words);
    return m->text ? OK : error_set(ERR_DEVICE, "out of memory for a text");
}

/* ---- messages ---- */

static int read_keys(struct message *m, const cJSON *root) {
    switch (m->type) {
    case MESSAGE_CREATE:
        return read_create(&m->wishes, root);
    case MESSAGE_UPDATE:
        return read_update(&m->wishes, root);
    case MESSAGE_CHANGE:
        return read_change(m, root);
    case MESSAGE_APPEND:
        return read_append(m, root);
    case MESSAGE_END:
        m->samples = -1;
        TRY(whole(root, "samples", 0, NUMBER_MAX, &m->samples));
        return read_turn(m, root);
    case MESSAGE_INTERRUPT:
        return read_turn(m, root);
    case MESSAGE_TEXT:
        return read_text(m, root);
    case MESSAGE_POSITION:
        return wanted(root, "position_us", "playback.position", &m->position_us);
    case MESSAGE_CLOCK:
        return wanted(root, "client_us", "clock", &m->client_us);
    default:
        return OK;
    }
}

static int read_message(struct message *m, const cJSON *root) {
    const char *type;
    if (!cJSON_IsObject(root)) return error_set(ERR_INPUT, "a message is a JSON object");
    TRY(text(root, "type", &type));
    if (!*type) return error_set(ERR_INPUT, "a message has a type");
    int i = 0;
    while (i < MESSAGE_UNKNOWN && strcmp(type, message_names[i])) i++;
    m->type = (enum message_type)i;
    return read_keys(m, root);
}

int message_parse(struct message *m, const char *bytes, size_t length) {
    memset(m, 0, sizeof *m);
    m->type = MESSAGE_UNKNOWN;
    if (length > MESSAGE_BYTES_MAX)
        return error_set(ERR_INPUT, "a text message has at most %d bytes", MESSAGE_BYTES_MAX);
    cJSON *root = cJSON_ParseWithLength(bytes, length);
    int code = read_message(m, root);
    cJSON_Delete(root);
    if (code) message_free(m);
    return code;
}

void message_free(struct message *m) {
    free(m->audio);
    free(m->text);
    free(m->change.prompt);
    m->change.prompt = NULL;
    m->audio = NULL;
    m->audio_bytes = 0;
    m->text = NULL;
}
