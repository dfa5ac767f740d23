/* live_agent.c: a session whose agent is the server's own (agent.h): passes on what the agent hears, takes its sound
   and messages, and lets the user's voice interrupt it. See live.h. */
#include <string.h>

#include "base/progress.h"
#include "infer/serve/live.h"
#include "infer/serve/words.h"

enum { AGENT_RATE = 24000, PIECE = 2048 };

void live_agent_open(struct live *l) {
    if (l->wishes.agent && l->server->agents) l->agent = agent_open(l->server->agents, l);
}

void live_agent_close(struct live *l) {
    if (l->agent) agent_leave(l->agent);
    l->agent = NULL;
}

int live_echoes(const struct live *l) { return l->agent && !strcmp(l->server->agent_name, "echo"); }

/* ---- what the user does ---- */

void live_agent_interrupt(struct live *l, uint32_t turn) {
    if (!l->agent) {
        live_interrupt(l, turn);
        return;
    }
    /* the server numbers this agent's turns, so a client that names a turn to come means all turns that there are */
    if (turn >= l->agent_turn) turn = 0;
    live_interrupt(l, turn);
    if (turn) return;
    l->agent_speaks = 0;
    agent_interrupt(l->agent);
}

static void note_talk(struct live *l, enum talk_event event) {
    int begins = event == TALK_BEGINS;
    if (begins && l->wishes.barge_in > 0 && !live_echoes(l) && (l->turn_count || l->speech.count))
        live_agent_interrupt(l, 0);
    if (l->agent && l->wishes.manual <= 0)
        agent_tell(l->agent, words_only(begins ? "listening.start" : "listening.stop"), begins);
}

void live_agent_hear(struct live *l, const float *pcm, long samples) {
    if (l->agent) agent_hear(l->agent, pcm, samples);
    for (long taken; samples > 0; pcm += taken, samples -= taken) {
        enum talk_event event = talk_push(&l->talk, pcm, samples, &taken);
        if (event != TALK_NOTHING) note_talk(l, event);
    }
}

void live_agent_text(struct live *l, const char *text) {
    if (!l->agent)
        live_say(l, words_error("no_agent", "this session has no agent that could say it", 0));
    else if (agent_gave_up(l->agent))
        live_agent_gone(l);
    else
        agent_tell(l->agent, words_text(text, 1, 0), 1);
}

/* ---- what the agent does ---- */

long live_agent_room(const struct live *l) {
    const struct speech *s = &l->speech;
    if (!l->agent_speaks && s->count >= SPEECH_TURNS) return 0;
    long room = (long)SPEECH_SECONDS * s->rate - s->waiting;
    return s->rate == AGENT_RATE || room <= 0 ? room : room * 3 / 2 - 1;
}

/* Brings the agent's sound to the session's rate of 16 kHz; returns bytes. */
static size_t convert(struct live *l, const unsigned char *pcm, long samples, unsigned char *out) {
    float in[PIECE], slow[PIECE];
    for (long i = 0; i < samples; i++) in[i] = (float)(int16_t)(pcm[2 * i] | pcm[2 * i + 1] << 8);
    long made = resample_push(&l->agent_filter, in, samples, slow);
    for (long i = 0; i < made; i++) {
        float v = slow[i] > 32767 ? 32767 : slow[i] < -32768 ? -32768 : slow[i];
        out[2 * i] = (unsigned char)(int16_t)v;
        out[2 * i + 1] = (unsigned char)((uint16_t)(int16_t)v >> 8);
    }
    return 2 * (size_t)made;
}

void live_agent_sound(struct live *l, const unsigned char *pcm, long samples) {
    unsigned char slow[2 * PIECE];
    if (!l->agent_speaks) l->agent_turn++;
    l->agent_speaks = 1;
    if (l->speech.rate == AGENT_RATE) {
        live_push_speech(l, l->agent_turn, pcm, 2 * (size_t)samples, clock_seconds());
        return;
    }
    for (long n; samples > 0; pcm += 2 * n, samples -= n) {
        n = samples < PIECE ? samples : PIECE;
        live_push_speech(l, l->agent_turn, slow, convert(l, pcm, n, slow), clock_seconds());
    }
}

void live_agent_pause(struct live *l) {
    if (!l->agent_speaks) return;
    l->agent_speaks = 0;
    live_end_speech(l, l->agent_turn);
}

void live_agent_message(struct live *l, const struct message *m) {
    switch (m->type) {
    case MESSAGE_INTERRUPT:
        live_interrupt(l, 0);
        l->agent_speaks = 0;
        break;
    case MESSAGE_LISTENING_START:
    case MESSAGE_LISTENING_STOP:
        l->listening = m->type == MESSAGE_LISTENING_START;
        break;
    case MESSAGE_TEXT:
        live_say(l, words_text(m->text, m->from_user > 0, m->from_user > 0 ? 0 : l->agent_turn + !l->agent_speaks));
        break;
    default: /* audio.end marks a place in its sound; agent.c sees to it */
        break;
    }
    server_poke(l->server);
}

void live_agent_gone(struct live *l) {
    const char *why = agent_gave_up(l->agent)
                          ? "the server's agent ended too often without a word and is not started again"
                          : "the server's agent ended without a word; it is started again when it is needed";
    live_say(l, words_error("agent_failed", why, 0));
}
