/* visitor.h: one simulated client of a live server: it asks for a session, talks by turns as the plan says, sends its
   microphone in real time, reports what it plays, breaks into turns, loses its connection and comes back by its token,
   and leaves when its stay is over. No socket and no clock of its own: whoever has the socket (drive.h) asks what is to
   be sent and passes on what came. Its own memory is fixed: sound is made when it is sent. */
#ifndef INFER_LOAD_VISITOR_H
#define INFER_LOAD_VISITOR_H

#include <stdint.h>

#include "infer/live_client.h"
#include "infer/load/audience.h"
#include "infer/load/tally.h"

enum {
    VISITOR_RATE = 16000,                             /* of both parties' sound */
    VISITOR_PIECE = 2 * VISITOR_RATE,                 /* bytes: the agent's sound goes in pieces of a second */
    VISITOR_MESSAGE_MAX = UNIT_HEADER + VISITOR_PIECE /* the longest message that it says */
};
/* What all visitors of a load share. */
struct company {
    const struct audience *audience;
    const char *reference, *codecs; /* of session.create */
    const unsigned char *picture;   /* of an upload: the file's bytes */
    size_t picture_bytes;
    int16_t voice[VISITOR_RATE]; /* a second of voice, to be repeated; made by company_open */
    struct tally *tally;
};
void company_open(struct company *company);

enum visitor_phase {
    VISITOR_COMING, /* not yet said anything on this connection */
    VISITOR_ASKED,  /* for a session */
    VISITOR_QUEUED,
    VISITOR_IN,
    VISITOR_LEAVING, /* has something to say before it goes */
    VISITOR_GONE
};
enum visitor_turn { TURN_GAP, TURN_USER, TURN_ANSWER, TURN_AGENT };

struct visitor {
    struct company *company;
    long number;   /* of its visit */
    double leaves; /* when */
    enum visitor_phase phase;
    char token[TOKEN_LENGTH + 1]; /* "": there is no session to come back to */
    int comes_back, resumed;      /* it asks for its session again; has got it, on this connection */
    double asked, queued_at;      /* when; 0: it was not queued */
    int seen;                     /* a picture that is no clip has come on this connection */
    size_t picture_sent;
    int picture_whole;
    uint32_t sequence[UNIT_KINDS], pictures_next; /* to be sent next; expected next */
    int pictures_began;
    struct player player;
    double reported;      /* when it last told its position */
    double microphone;    /* when it was switched on */
    long microphone_sent; /* pieces of 20 ms */
    /* the conversation */
    struct exchange exchange;
    long exchanges;
    enum visitor_turn turn_phase;
    double until;           /* when the phase is over; of the agent's turn: when it is given up */
    uint32_t turn;          /* the agent's, from 1 */
    long samples;           /* of it, in all */
    uint32_t turn_sequence; /* of its first unit */
    int end_said;
    double interrupt_at, interrupted; /* when it is to be interrupted; when it was; 0: not */
    double stopped;                   /* the interruption after which no picture has come yet; 0: there is none */
    int64_t stop_us;                  /* media time from which a picture is one after it */
};
/* The visit of this number of the plan begins; it leaves at that moment. */
void visitor_open(struct visitor *visitor, struct company *company, long number, double leaves);
/* A connection is being made: the first one of a visit, or another after the old one broke. */
void visitor_connect(struct visitor *visitor, double now);
/* Writes the next message that is due into `message`, VISITOR_MESSAGE_MAX bytes; its length, 0 where there is none. */
size_t visitor_say(struct visitor *visitor, double now, unsigned char *message, int *binary);
/* What the server said. A unit's payload is not looked at: `message` has at least its header. */
void visitor_hear_text(struct visitor *visitor, double now, const char *text, size_t length);
void visitor_hear_unit(struct visitor *visitor, double now, const unsigned char *message, size_t length);

#endif
