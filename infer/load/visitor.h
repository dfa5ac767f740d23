/* visitor.h: one simulated client of a live server: it asks for a session, talks by turns as the plan says, sends its
   microphone in real time, reports what it plays, interrupts turns, loses its connection and comes back by its token,
   and leaves when its stay is over. It has no socket and no clock: drive.h, which has the socket, asks what is to be
   sent and passes on what came. Its memory is fixed, because sound is made when it is sent. */
#ifndef INFER_LOAD_VISITOR_H
#define INFER_LOAD_VISITOR_H

#include <stdint.h>

#include "infer/live_client.h"
#include "infer/load/audience.h"
#include "infer/load/tally.h"

enum {
    VISITOR_RATE = 16000,                             /* samples a second of both parties' sound */
    VISITOR_PIECE = 2 * VISITOR_RATE,                 /* bytes of a second, in pieces of which the agent's sound goes */
    VISITOR_MESSAGE_MAX = UNIT_HEADER + VISITOR_PIECE /* bytes of the longest message that it sends */
};
/* All that the visitors of a load share. */
struct company {
    const struct audience *audience;
    const char *reference, *codecs; /* values for session.create */
    const unsigned char *picture;   /* bytes of the picture's file to upload */
    size_t picture_bytes;
    int16_t voice[VISITOR_RATE]; /* a second of voice, which is repeated; company_open makes it */
    struct tally *tally;
};
void company_open(struct company *company);

enum visitor_phase {
    VISITOR_COMING, /* has not said anything on this connection */
    VISITOR_ASKED,  /* has asked for a session */
    VISITOR_QUEUED,
    VISITOR_IN,
    VISITOR_LEAVING, /* has something to say before it goes */
    VISITOR_GONE
};
enum visitor_turn { TURN_GAP, TURN_USER, TURN_ANSWER, TURN_AGENT };

struct visitor {
    struct company *company;
    long number;   /* number of its visit */
    double leaves; /* time at which it leaves */
    enum visitor_phase phase;
    char token[TOKEN_LENGTH + 1]; /* "": there is no session to come back to */
    int comes_back, resumed;      /* 1: it asks for its session again; it has got it, on this connection */
    double asked, queued_at;      /* times; queued_at 0: it was not queued */
    int seen;                     /* 1: a picture that is not of the idle clip has come on this connection */
    size_t picture_sent;
    int picture_whole;
    uint32_t sequence[UNIT_KINDS], pictures_next; /* numbers of the next units to send, of the next picture to come */
    int pictures_began;
    struct player player;
    double reported;      /* time at which it last reported its position */
    double microphone;    /* time at which its microphone was switched on */
    long microphone_sent; /* pieces of 20 ms that were sent or given up */
    /* the conversation */
    struct exchange exchange;
    long exchanges;
    enum visitor_turn turn_phase;
    double until;           /* time at which the phase is over, or the agent's turn is given up */
    uint32_t turn;          /* number of the agent's turn, from 1 */
    long samples;           /* samples of that turn in all */
    uint32_t turn_sequence; /* sequence number of its first unit */
    int end_said;
    double interrupt_at, interrupted; /* times at which it is to be, and was, interrupted; 0: not */
    double stopped;                   /* time of an interruption after which no picture has come yet; 0: none */
    int64_t stop_us;                  /* media time from which on a picture is one after that interruption */
};
/* Begins the plan's visit of this number, which leaves at that time. */
void visitor_open(struct visitor *visitor, struct company *company, long number, double leaves);
/* Says that a connection is being made: the visit's first one, or another after the old one broke. */
void visitor_connect(struct visitor *visitor, double now);
/* Writes the next message that is due into `message`, VISITOR_MESSAGE_MAX bytes; returns its length, 0: none is due. */
size_t visitor_say(struct visitor *visitor, double now, unsigned char *message, int *binary);
/* Handle what the server said. A unit's payload is not looked at: `message` need only hold the header. */
void visitor_hear_text(struct visitor *visitor, double now, const char *text, size_t length);
void visitor_hear_unit(struct visitor *visitor, double now, const unsigned char *message, size_t length);

#endif
