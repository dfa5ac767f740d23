/* microphone.h: queue of the user's sound between a client's clock and the avatar's, 16 kHz mono float. Sound comes at
   the pace of the client's microphone and is taken at the pace of the avatar's time. The two may differ for ever, so
   what piles up is dropped from the old end, and what is missing is silence. Sound that waits is delay, so no more is
   kept than the connection's jitter was seen to need. */
#ifndef INFER_SERVE_MICROPHONE_H
#define INFER_SERVE_MICROPHONE_H

#include "infer/serve/arrivals.h"

enum {
    MICROPHONE_SPARE = 1600,           /* samples that may wait beyond a need before they are dropped: 100 ms */
    MICROPHONE_RESERVE = 320,          /* samples that stay in hand after a shortage: 20 ms */
    MICROPHONE_CALM = 80,              /* samples that stay in hand when no shortage threatens: 5 ms */
    MICROPHONE_LOOKS = 16,             /* takings after which what was never needed is dropped */
    MICROPHONE_MAX = 16000 + 2 * 16000 /* samples that wait at most: a chunk of up to two seconds, and a second */
};
struct microphone {
    float samples[MICROPHONE_MAX];
    long waiting;
    int live;   /* 1: something came since the last taking */
    long least; /* samples that were left over by each of the last `looks` takings */
    int looks;
    struct arrivals arrivals;
};
void microphone_push(struct microphone *microphone, const float *pcm, long samples, double now);
/* Takes the next samples, and in *came when the last of them came. 1: some of them are the user's; 0: nobody is there,
   all are silence. */
int microphone_take(struct microphone *microphone, float *pcm, long samples, double *came);

#endif
