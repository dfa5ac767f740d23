/* tally.h: counts and times that the clients of a load have seen, all clients together. */
#ifndef INFER_LOAD_TALLY_H
#define INFER_LOAD_TALLY_H

#include <stddef.h>

#include "infer/load/spread.h"

struct tally {
    /* visits */
    long visits;      /* all that came */
    long admitted;    /* those that got a place at once */
    long queued;      /* those that had to wait */
    long entered;     /* queued ones that got a place */
    long refused;     /* those sent away because sessions and queue were full */
    long not_let_in;  /* those refused by HTTP: token, host or connections= */
    long failed;      /* those that the server or the network ended in another way */
    char reason[128]; /* why the last one failed or was not let in */
    int present, most_present;
    /* connections that broke on purpose */
    long broken, resumed, expired;
    /* turns */
    long turns, turns_played, interruptions, interruptions_answered, unanswered;
    /* units */
    long pictures, sounds, clip_pictures, pictures_lost;
    size_t received, sent; /* bytes */
    /* seconds */
    struct spread connected;     /* beginning of a connection to the server's consent */
    struct spread first_picture; /* session.create to the first picture, of those admitted at once */
    struct spread waited;        /* session.create to session.created, of the queued */
    struct spread back;          /* a resumption's session.create to the first picture after it */
    struct spread late_sound;    /* delay of a unit past the time at which the client had to play it; negative: early */
    struct spread late_picture;  /* delay of a picture, likewise */
    struct spread finished;      /* an interruption to its playback.finished */
    struct spread after_stop;    /* an interruption to the first picture after it */
};

#endif
