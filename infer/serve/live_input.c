/* live_input.c: handles what a client says to its session. See live.h. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "infer/serve/live.h"
#include "infer/serve/reference.h"
#include "infer/serve/words.h"

enum { PIECE = 4096, CLOSE_NORMAL = 1000 };

/* ---- speech ---- */

void live_push_speech(struct live *l, uint32_t turn, const unsigned char *pcm, size_t bytes, double came) {
    if (speech_push(&l->speech, turn, pcm, (long)(bytes / 2), came) == SPEECH_FULL)
        live_say(l, words_error("speech_full", "more speech waits than the server keeps; this piece was dropped", 0));
    live_settle_turns(l); /* a higher turn has ended the one before */
    server_poke(l->server);
}

/* Ends a turn. Every turn that is ended is reported as finished in its time; at once where the queue has no room. */
void live_end_speech(struct live *l, uint32_t turn) {
    if (speech_end(&l->speech, turn) == SPEECH_FULL) live_tell(l, words_finished(turn, 0, 1, 0));
    live_settle_turns(l);
    server_poke(l->server);
}

static void client_speech(struct live *l, uint32_t turn, const unsigned char *pcm, size_t bytes) {
    if (l->agent)
        live_say(l,
                 words_error("agent_speaks", "the server's agent speaks in this session; this piece was dropped", 0));
    else
        live_push_speech(l, turn, pcm, bytes, l->heard);
}

/* Microseconds of a turn that were played: its frames before the client's position. */
static int64_t played(struct live *l, const struct turn_in_play *t, int64_t position) {
    long from = (long)(position / FRAME_US), ahead = 0;
    for (long n = from; n < l->heard_end; n++)
        if (n > l->heard_end - l->lane_frames && live_lane(l, n)->turn == t->turn) ahead++;
    int64_t us = (int64_t)(t->frames - ahead) * FRAME_US;
    if (ahead && position > t->first_us && live_lane(l, from)->turn == t->turn) us += position % FRAME_US;
    return us;
}

/* Stops the turns up to this one that are being spoken. 1: there were some. */
static int stop_turns(struct live *l, uint32_t turn, int64_t next_us) {
    int64_t position = playback_position(&l->playback, clock_seconds());
    int kept = 0, count = l->turn_count;
    for (int i = 0; i < count; i++) {
        const struct turn_in_play t = l->turns[i];
        if (t.turn <= turn)
            live_tell(l, words_finished(t.turn, played(l, &t, position), 1, next_us));
        else
            l->turns[kept++] = t;
    }
    l->turn_count = kept;
    return kept < count;
}

/* Reports as finished the turns that wait and will not be spoken. */
static void report_unspoken(struct live *l, uint32_t turn) {
    for (int i = 0; i < l->speech.count; i++) {
        uint32_t waits = l->speech.turns[i].turn;
        int begun = 0;
        for (int k = 0; k < l->turn_count; k++) begun |= l->turns[k].turn == waits;
        if (waits <= turn && !begun) live_tell(l, words_finished(waits, 0, 1, 0));
    }
}

static uint32_t newest_turn(const struct live *l) {
    if (l->speech.count) return l->speech.turns[l->speech.count - 1].turn;
    return l->turn_count ? l->turns[l->turn_count - 1].turn : 0;
}

/* Drops everything of the turn that the client has not played. The chunk in work is finished but not sent, and the next
   one listens. */
void live_interrupt(struct live *l, uint32_t turn) {
    if (!turn) turn = newest_turn(l);
    report_unspoken(l, turn);
    if (turn) speech_interrupt(&l->speech, turn);
    l->listens = 1;
    int stopped = stop_turns(l, turn, (int64_t)l->end * FRAME_US);
    live_settle_turns(l);
    if (!stopped) return;
    for (long n = l->end; n < l->heard_end; n++) memset(live_lane(l, n), 0, sizeof *l->lane);
    live_break_off(l);
    l->interrupted = clock_seconds();
    l->server->metrics.interruptions++;
}

/* ---- the user's sound ---- */

static void hear(struct live *l, const float *pcm, long samples) {
    if (!live_echoes(l)) microphone_push(&l->microphone, pcm, samples, l->heard);
    live_agent_hear(l, pcm, samples);
}

static void push_user(struct live *l, const unsigned char *pcm, long samples) {
    float piece[PIECE], heard[PIECE];
    while (samples > 0) {
        long n = samples < PIECE ? samples : PIECE;
        for (long i = 0; i < n; i++) piece[i] = (float)(int16_t)(pcm[2 * i] | pcm[2 * i + 1] << 8) / 32768.f;
        if (l->wishes.user_rate == AUDIO_RATE)
            hear(l, piece, n);
        else
            hear(l, heard, resample_push(&l->user_filter, piece, n, heard));
        pcm += 2 * n;
        samples -= n;
    }
}

/* ---- the reference ---- */

static int push_reference(struct live *l, const struct unit *u, const unsigned char *payload, const char **error) {
    *error = "bad_reference";
    if (l->phase != LIVE_WAITING) {
        live_change_picture(l, u, payload);
        return OK;
    }
    if (l->upload_whole && l->resumed) return OK; /* a client that came back cannot know that all of it is here */
    if (l->wishes.reference != REFERENCE_UPLOAD || l->upload_whole)
        return error_set(ERR_INPUT, "no reference was announced");
    if (l->upload_bytes + u->length > REFERENCE_BYTES_MAX)
        return error_set(ERR_INPUT, "the reference has more than %d bytes", REFERENCE_BYTES_MAX);
    unsigned char *bytes = realloc(l->upload, l->upload_bytes + u->length + 1);
    if (!bytes) return error_set(ERR_DEVICE, "out of memory for a reference");
    l->upload = bytes;
    memcpy(bytes + l->upload_bytes, payload, u->length);
    l->upload_bytes += u->length;
    if (!(u->flags & UNIT_LAST)) return OK;
    l->upload_whole = 1; /* now the session's own thread decodes it */
    pthread_cond_signal(&l->work);
    return OK;
}

/* ---- units and messages ---- */

int live_unit(struct live *l, const struct unit *u, const unsigned char *payload, const char **error) {
    *error = "bad_message";
    l->heard = clock_seconds();
    if (u->kind == UNIT_VIDEO) return error_set(ERR_INPUT, "a client sends no video");
    if (u->kind == UNIT_REFERENCE) return push_reference(l, u, payload, error);
    if (u->length % 2) return error_set(ERR_INPUT, "a unit of 16-bit samples has an odd number of bytes");
    if (u->sequence < l->expected[u->kind]) return OK; /* it is here: the client sent it again after a resumption */
    l->expected[u->kind] = u->sequence + 1;
    if (u->kind == UNIT_USER) {
        push_user(l, payload, (long)u->length / 2);
        return OK;
    }
    if (!u->turn) return error_set(ERR_INPUT, "the agent's sound belongs to a turn, and turns count from 1");
    client_speech(l, u->turn, payload, u->length);
    return OK;
}

static void listen(struct live *l, int on) {
    l->listening = on;
    if (l->agent) agent_tell(l->agent, words_only(on ? "listening.start" : "listening.stop"), on);
}

static void update(struct live *l, const struct wishes *w) {
    if (w->lead_ms >= 0) l->wishes.lead_ms = w->lead_ms;
    if (w->manual >= 0) l->wishes.manual = w->manual;
    if (w->barge_in >= 0) l->wishes.barge_in = w->barge_in;
}

int live_message(struct live *l, struct message *m, const char **error) {
    *error = "no_session";
    l->heard = clock_seconds();
    switch (m->type) {
    case MESSAGE_CREATE:
        return error_set(ERR_INPUT, "there is a session already");
    case MESSAGE_UPDATE:
        update(l, &m->wishes);
        break;
    case MESSAGE_CHANGE:
        live_change_ask(l, m);
        break;
    case MESSAGE_APPEND:
        client_speech(l, m->turn, m->audio, m->audio_bytes);
        break;
    case MESSAGE_END:
        if (!l->agent) live_end_speech(l, m->turn);
        break;
    case MESSAGE_INTERRUPT:
        live_agent_interrupt(l, m->turn);
        break;
    case MESSAGE_LISTENING_START:
    case MESSAGE_LISTENING_STOP:
        listen(l, m->type == MESSAGE_LISTENING_START);
        break;
    case MESSAGE_TEXT:
        live_agent_text(l, m->text);
        break;
    case MESSAGE_POSITION:
        playback_report(&l->playback, m->position_us, l->heard);
        break;
    case MESSAGE_KEY_FRAME:
        l->need_key = 1;
        break;
    case MESSAGE_CLOCK:
        live_say_clock(l, m->client_us);
        break;
    case MESSAGE_KEEP_ALIVE:
        break;
    case MESSAGE_CLOSE:
        live_end(l, CLOSE_NORMAL, NULL, "closed by the client");
        break;
    case MESSAGE_UNKNOWN:
        live_say(l, words_error("unknown_type", "no message has this type", 0));
        break;
    }
    server_poke(l->server);
    return OK;
}
