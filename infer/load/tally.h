/* tally.h: what the clients of a load have seen, all of them together. */
#ifndef INFER_LOAD_TALLY_H
#define INFER_LOAD_TALLY_H

#include <stddef.h>

#include "infer/load/spread.h"

struct tally {
    /* visits */
    long visits;      /* that came */
    long admitted;    /* with a place at once */
    long queued;      /* had to wait */
    long entered;     /* of the queued: got a place */
    long refused;     /* sent away: sessions and queue were full */
    long not_let_in;  /* by HTTP: token, host or connections= */
    long failed;      /* ended by the server or the network in another way */
    char reason[128]; /* of the last that failed or was not let in */
    int present, most_present;
    /* connections that broke on purpose */
    long broken, resumed, expired;
    /* turns */
    long turns, turns_played, interruptions, interruptions_answered, unanswered;
    /* units */
    long pictures, sounds, clip_pictures, pictures_lost;
    size_t received, sent; /* bytes */
    /* seconds */
    struct spread connected;     /* from the connection's begin to the server's consent */
    struct spread first_picture; /* from session.create to the first picture, of those admitted at once */
    struct spread waited;        /* of the queued: from session.create to session.created */
    struct spread back;          /* from a resumption's session.create to the first picture after it */
    struct spread late_sound;    /* a unit came so much later than the client's clock needed it; negative: earlier */
    struct spread late_picture;  /* the same for pictures */
    struct spread finished;      /* from an interruption to its playback.finished */
    struct spread after_stop;    /* from an interruption to the first picture after it */
};

#endif
