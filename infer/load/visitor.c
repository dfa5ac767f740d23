/* visitor.c: see visitor.h. */
#include "infer/load/visitor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

enum {
    MICROPHONE_SAMPLES = VISITOR_RATE / 50,
    MICROPHONE_BEHIND = 50 /* pieces by which the microphone may lag behind; what is older is given up */
};
static const double report_seconds = 0.2, patience_seconds = 30;

/* Makes a second of voice: twelve harmonics of 120 Hz in four syllables, loud enough to count as speech. */
void company_open(struct company *c) {
    for (int i = 0; i < VISITOR_RATE; i++) {
        double t = (double)i / VISITOR_RATE, sum = 0, syllable = sin(M_PI * 4 * t);
        for (int k = 1; k <= 12; k++) sum += sin(2 * M_PI * 120 * k * t) / k;
        c->voice[i] = (int16_t)lrint(9000 * syllable * syllable * sum);
    }
}

/* ---- turns ---- */

static void begin_phase(struct visitor *v, enum visitor_turn phase, double until) {
    v->turn_phase = phase;
    v->until = until;
}

static void begin_exchange(struct visitor *v, double now) {
    v->exchange = audience_exchange(v->company->audience, v->number, v->exchanges++);
    begin_phase(v, TURN_GAP, now + v->exchange.gap);
}

static void begin_agent(struct visitor *v, double now) {
    v->turn++;
    v->samples = lrint(fmax(1, v->exchange.agent * VISITOR_RATE));
    v->turn_sequence = v->sequence[UNIT_AGENT];
    v->end_said = 0;
    v->interrupt_at = v->interrupted = 0;
    v->company->tally->turns++;
    begin_phase(v, TURN_AGENT, now + v->exchange.agent + patience_seconds);
}

/* Goes on to the phase that `now` lies in; an agent's turn ends by playback.finished, or is given up. */
static void keep_turns(struct visitor *v, double now) {
    while (now >= v->until) {
        double at = v->until;
        if (v->turn_phase == TURN_GAP)
            begin_phase(v, TURN_USER, at + v->exchange.user);
        else if (v->turn_phase == TURN_USER)
            begin_phase(v, TURN_ANSWER, at + v->exchange.answer);
        else if (v->turn_phase == TURN_ANSWER)
            begin_agent(v, now);
        else {
            v->company->tally->unanswered++;
            begin_exchange(v, now);
        }
    }
}

/* ---- writing messages ---- */

static size_t unit(struct visitor *v, unsigned char *message, int *binary, int kind, int flags, size_t length) {
    const struct unit u = {.kind = kind,
                           .flags = flags,
                           .turn = kind == UNIT_AGENT ? v->turn : 0,
                           .length = (uint32_t)length,
                           .sequence = v->sequence[kind]++};
    unit_pack(message, &u);
    *binary = 1;
    return UNIT_HEADER + length;
}

static size_t say_hello(struct visitor *v, double now, char *text) {
    v->phase = VISITOR_ASKED;
    v->asked = now;
    if (v->comes_back) return client_resume(text, VISITOR_MESSAGE_MAX, v->token);
    const struct client_wishes wishes = {.reference = v->company->reference,
                                         .codecs = v->company->codecs,
                                         .agent_rate = VISITOR_RATE,
                                         .user_rate = VISITOR_RATE,
                                         .seed = v->number};
    return client_create(text, VISITOR_MESSAGE_MAX, &wishes);
}

static size_t say_picture(struct visitor *v, unsigned char *message, int *binary) {
    const struct company *c = v->company;
    size_t left = c->picture_bytes - v->picture_sent, n = left < VISITOR_PIECE ? left : VISITOR_PIECE;
    if (!c->picture || v->picture_whole) return 0;
    memcpy(message + UNIT_HEADER, c->picture + v->picture_sent, n);
    v->picture_sent += n;
    v->picture_whole = v->picture_sent == c->picture_bytes;
    return unit(v, message, binary, UNIT_REFERENCE, v->picture_whole ? UNIT_LAST : 0, n);
}

static size_t say_position(struct visitor *v, double now, char *text) {
    if (!v->player.playing || now - v->reported < report_seconds) return 0;
    v->reported = now;
    return client_position(text, VISITOR_MESSAGE_MAX, player_position(&v->player, now));
}

static size_t say_interrupt(struct visitor *v, double now, char *text) {
    if (v->turn_phase != TURN_AGENT || !v->interrupt_at || now < v->interrupt_at || v->interrupted) return 0;
    v->interrupted = now;
    v->company->tally->interruptions++;
    return client_turn(text, VISITOR_MESSAGE_MAX, MESSAGE_INTERRUPT, v->turn);
}

/* Writes samples of the voice, which repeats every second, from sample `from` on, little-endian; silence where nobody
   speaks. */
static void put_sound(const struct visitor *v, unsigned char *at, long from, long samples, int speaks) {
    for (long i = 0; i < samples; i++) {
        uint16_t sample = speaks ? (uint16_t)v->company->voice[(from + i) % VISITOR_RATE] : 0;
        at[2 * i] = (unsigned char)sample;
        at[2 * i + 1] = (unsigned char)(sample >> 8);
    }
}

static size_t say_microphone(struct visitor *v, double now, unsigned char *message, int *binary) {
    long due = (long)((now - v->microphone) * 50) - v->microphone_sent;
    if (due <= 0) return 0;
    if (due > MICROPHONE_BEHIND) v->microphone_sent += due - 1; /* gives up what the network did not take in time */
    int speaks = v->turn_phase == TURN_USER || (v->turn_phase == TURN_AGENT && v->interrupted);
    put_sound(v, message + UNIT_HEADER, MICROPHONE_SAMPLES * v->microphone_sent++, MICROPHONE_SAMPLES, speaks);
    return unit(v, message, binary, UNIT_USER, 0, 2 * MICROPHONE_SAMPLES);
}

/* Sends the agent's speech as fast as the socket takes it, then its end. */
static size_t say_speech(struct visitor *v, unsigned char *message, int *binary) {
    if (v->turn_phase != TURN_AGENT || v->end_said || v->interrupted) return 0;
    long from = (long)(v->sequence[UNIT_AGENT] - v->turn_sequence) * VISITOR_RATE, left = v->samples - from;
    if (left <= 0) {
        v->end_said = 1;
        return client_turn((char *)message, VISITOR_MESSAGE_MAX, MESSAGE_END, v->turn);
    }
    long n = left < VISITOR_RATE ? left : VISITOR_RATE;
    put_sound(v, message + UNIT_HEADER, from, n, 1);
    return unit(v, message, binary, UNIT_AGENT, n == left ? UNIT_LAST : 0, 2 * (size_t)n);
}

static size_t say_goodbye(struct visitor *v, char *text) {
    v->phase = VISITOR_GONE;
    return client_word(text, VISITOR_MESSAGE_MAX, MESSAGE_CLOSE);
}

size_t visitor_say(struct visitor *v, double now, unsigned char *message, int *binary) {
    char *text = (char *)message;
    size_t n = 0;
    *binary = 0;
    if (v->phase == VISITOR_COMING) return say_hello(v, now, text);
    if (v->phase == VISITOR_LEAVING) return say_goodbye(v, text);
    if (v->phase == VISITOR_GONE) return 0;
    if ((n = say_picture(v, message, binary))) return n;
    if ((n = say_position(v, now, text)) || v->phase != VISITOR_IN) return n;
    keep_turns(v, now);
    if ((n = say_interrupt(v, now, text))) return n;
    if ((n = say_microphone(v, now, message, binary))) return n;
    return say_speech(v, message, binary);
}

/* ---- reading messages ---- */

/* Counts a return: the server knew its token. */
static void count_return(struct visitor *v) {
    v->company->tally->resumed += v->comes_back;
    v->comes_back = 0;
}

/* Sends again what the server has not got of the agent's turn; of an older turn nothing is sent again. */
static void take_up(struct visitor *v, const struct heard *h) {
    v->resumed = 1;
    v->sequence[UNIT_AGENT] = h->next_agent;
    v->sequence[UNIT_USER] = h->next_user;
    if (v->turn_sequence > h->next_agent) v->turn_sequence = h->next_agent;
    v->end_said = 0;
}

static void enter(struct visitor *v, double now, const struct heard *h) {
    struct tally *t = v->company->tally;
    strcpy(v->token, h->token);
    v->phase = VISITOR_IN;
    count_return(v);
    if (h->resumed) take_up(v, h);
    v->microphone = now;
    v->microphone_sent = 0;
    if (v->exchanges) return; /* it had a session before and came back */
    if (v->queued_at) {
        t->entered++;
        spread_add(&t->waited, now - v->queued_at);
    } else {
        t->admitted++;
    }
    begin_exchange(v, now);
}

static void queue(struct visitor *v, double now, const struct heard *h) {
    strcpy(v->token, h->token);
    count_return(v);
    if (!v->queued_at) {
        v->queued_at = now;
        v->company->tally->queued++;
    }
    v->phase = VISITOR_QUEUED;
}

static void start(struct visitor *v, double now, const struct heard *h) {
    if (h->turn != v->turn || v->turn_phase != TURN_AGENT) return;
    /* the turn is heard when play has reached it */
    double begins = now + 1e-6 * (double)(h->position_us - player_position(&v->player, now));
    if (v->exchange.interrupted >= 0) v->interrupt_at = fmax(now, begins) + v->exchange.interrupted;
}

static void finish(struct visitor *v, double now, const struct heard *h) {
    struct tally *t = v->company->tally;
    if (h->turn != v->turn || v->turn_phase != TURN_AGENT) return;
    t->turns_played += !h->interrupted;
    t->interruptions -= v->interrupted && !h->interrupted; /* does not count: the turn was over before it */
    if (h->interrupted && v->interrupted) {
        t->interruptions_answered++;
        spread_add(&t->finished, now - v->interrupted);
        player_cut(&v->player, h->next_us, now);
        v->stopped = h->next_us > 0 ? v->interrupted : 0;
        v->stop_us = h->next_us;
        begin_phase(v, TURN_USER, now + v->exchange.user); /* the user, who interrupted, speaks now */
        return;
    }
    begin_exchange(v, now);
}

static void end_badly(struct visitor *v, const struct heard *h) {
    struct tally *t = v->company->tally;
    if (!h->fatal) return;
    v->phase = VISITOR_GONE;
    if (!strcmp(h->code, "full")) {
        t->refused++;
        return;
    }
    if (!strcmp(h->code, "expired"))
        t->expired++;
    else
        t->failed++;
    snprintf(t->reason, sizeof t->reason, "%s", h->code);
}

void visitor_hear_text(struct visitor *v, double now, const char *text, size_t length) {
    struct heard h;
    if (v->phase == VISITOR_GONE || heard_parse(&h, text, length)) return;
    if (h.type == HEARD_CREATED) enter(v, now, &h);
    if (h.type == HEARD_QUEUED) queue(v, now, &h);
    if (h.type == HEARD_STARTED) start(v, now, &h);
    if (h.type == HEARD_FINISHED) finish(v, now, &h);
    if (h.type == HEARD_ERROR) end_badly(v, &h);
}

/* Counts pictures that were dropped, by the numbers that are missing; what a broken connection lost does not count. */
static void count_picture(struct visitor *v, const struct unit *u) {
    struct tally *t = v->company->tally;
    t->pictures++;
    t->clip_pictures += (u->flags & UNIT_CLIP) != 0;
    if (v->pictures_began && !(u->flags & UNIT_FIRST) && u->sequence > v->pictures_next)
        t->pictures_lost += (long)(u->sequence - v->pictures_next);
    v->pictures_next = u->sequence + 1;
    v->pictures_began = 1;
}

static void see(struct visitor *v, double now, const struct unit *u) {
    struct tally *t = v->company->tally;
    count_picture(v, u);
    if (!v->seen && !(u->flags & UNIT_CLIP) && v->phase == VISITOR_IN) {
        v->seen = 1;
        if (v->resumed)
            spread_add(&t->back, now - v->asked);
        else if (!v->queued_at)
            spread_add(&t->first_picture, now - v->asked);
    }
    if (v->stopped && u->time_us >= v->stop_us) {
        spread_add(&t->after_stop, now - v->stopped);
        v->stopped = 0;
    }
    if (v->player.playing && !(u->flags & UNIT_FIRST))
        spread_add(&t->late_picture, player_lateness(&v->player, u, now));
}

void visitor_hear_unit(struct visitor *v, double now, const unsigned char *message, size_t length) {
    struct unit u;
    if (unit_unpack(&u, message, length)) {
        v->company->tally->failed++;
        snprintf(v->company->tally->reason, sizeof v->company->tally->reason, "%s", error_text());
        v->phase = VISITOR_GONE;
        return;
    }
    if (u.kind == UNIT_VIDEO) see(v, now, &u);
    if (u.kind != UNIT_AGENT) return;
    v->company->tally->sounds++;
    if (v->player.playing && !(u.flags & UNIT_FIRST))
        spread_add(&v->company->tally->late_sound, player_lateness(&v->player, &u, now));
    player_hear(&v->player, &u, now);
}

/* ---- connections ---- */

void visitor_open(struct visitor *v, struct company *company, long number, double leaves) {
    *v = (struct visitor){.company = company, .number = number, .leaves = leaves};
    company->tally->visits++;
}

void visitor_connect(struct visitor *v, double now) {
    v->comes_back = v->token[0] != 0;
    v->phase = VISITOR_COMING;
    v->seen = v->resumed = 0;
    v->reported = now;
    v->player.playing = 0;
}
