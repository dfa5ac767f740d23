/* microphone.h: the user's sound between a client's clock and the avatar's. It comes at the pace of the client's
   microphone and is taken at the pace of the avatar's time; the two may differ for ever, so what piles up is dropped
   from the old end, and what is missing is silence. 16 kHz mono float. */
#ifndef INFER_SERVE_MICROPHONE_H
#define INFER_SERVE_MICROPHONE_H

enum {
    MICROPHONE_SPARE = 1600,           /* samples that may wait beyond a need before they are dropped: 100 ms */
    MICROPHONE_RESERVE = 640,          /* samples that stay in hand after a shortage: 40 ms */
    MICROPHONE_MAX = 16000 + 2 * 16000 /* samples that wait at most: a chunk of up to two seconds, and a second */
};
struct microphone {
    float samples[MICROPHONE_MAX];
    long waiting;
    int live; /* something came since the last taking */
};
void microphone_push(struct microphone *microphone, const float *pcm, long samples);
/* The next samples; 1: some of them were heard, 0: nobody is there, all is silence. */
int microphone_take(struct microphone *microphone, float *pcm, long samples);

#endif
