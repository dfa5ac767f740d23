/* live_client.h: the client's side of the live protocol (docs/protocol.md), without a socket and without a clock of its
   own: writes a client's messages, reads the server's, and keeps the position of play. The server's side is
   infer/serve; units are the same on both (infer/serve/unit.h). */
#ifndef INFER_LIVE_CLIENT_H
#define INFER_LIVE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "infer/serve/message.h"
#include "infer/serve/unit.h"

/* ---- playing: the agent's sound is the master clock, and stands where there is none ---- */

enum { CLIENT_UNIT_US = 40000 }; /* duration of a picture and of a unit of the agent's sound, microseconds */
struct player {
    int playing;         /* 0: no sound has come yet */
    double at;           /* time of the caller's clock, in seconds, at which play was at position_us */
    int64_t position_us; /* media time at which play began, or went on after it had run dry or was set anew */
    int64_t have_us;     /* media time at which the sound in hand ends */
};
/* Media time that is played now; never beyond the sound in hand. */
int64_t player_position(const struct player *player, double now);
/* Seconds by which a unit that comes now is too late to be played in its time; negative: so much too early. */
double player_lateness(const struct player *player, const struct unit *unit, double now);
/* Takes note of a unit of the agent's sound: play begins with it, goes on with it, or has more in hand. */
void player_hear(struct player *player, const struct unit *unit, double now);
/* Takes note of an interruption: what is in hand from this media time on is thrown away. */
void player_cut(struct player *player, int64_t next_us, double now);

/* ---- writing messages: each returns the text's length; 0: it does not fit into `size` bytes ---- */

struct client_wishes {
    const char *reference; /* "default", "upload" or "person:NAME" */
    const char *codecs;    /* names separated by commas; "": the server's preference */
    int agent_rate, user_rate;
    int64_t seed; /* -1: any */
};
size_t client_create(char *text, size_t size, const struct client_wishes *wishes);
size_t client_resume(char *text, size_t size, const char *token);
/* The messages audio.end and interrupt. */
size_t client_turn(char *text, size_t size, enum message_type type, uint32_t turn);
size_t client_position(char *text, size_t size, int64_t position_us);
/* A message without keys: session.close, listening.start and others. */
size_t client_word(char *text, size_t size, enum message_type type);

/* ---- reading messages ---- */

enum heard_type {
    HEARD_CREATED,
    HEARD_QUEUED,
    HEARD_STATE,
    HEARD_STARTED,
    HEARD_FINISHED,
    HEARD_CLOCK,
    HEARD_ERROR,
    HEARD_OTHER /* any type that this client does not know */
};
/* A message of the server. The messages that have a key are named beside it. */
struct heard {
    enum heard_type type;
    char token[TOKEN_LENGTH + 1];    /* session.created, session.queued */
    int resumed, interrupted, fatal; /* session.created; playback.finished; error */
    int place;                       /* session.queued */
    uint32_t turn;
    int64_t position_us, next_us;   /* playback.started, playback.finished */
    uint32_t next_agent, next_user; /* session.created: sequence numbers that the server expects */
    char code[32];                  /* error */
    char state[16];                 /* state: idle, listening, speaking */
};
/* Reads a message. ERR_INPUT: it is no JSON object with a type. Keys that are missing or of another type count as 0 or
   "". */
int heard_parse(struct heard *heard, const char *text, size_t length);

#endif
