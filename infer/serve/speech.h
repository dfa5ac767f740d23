/* speech.h: queue of the agent's speech that waits to be spoken: turns one after the other, handed out one video frame
   at a time. At most SPEECH_SECONDS wait. 16-bit mono PCM at the session's rate. */
#ifndef INFER_SERVE_SPEECH_H
#define INFER_SERVE_SPEECH_H

#include <stdint.h>

#include "infer/serve/arrivals.h"

enum { SPEECH_SECONDS = 120, SPEECH_TURNS = 64, SPEECH_FRAME_MAX = 24000 / 25 };
enum speech_result { SPEECH_TAKEN, SPEECH_STALE /* its turn is over: dropped */, SPEECH_FULL /* dropped whole */ };
struct speech_turn {
    uint32_t turn;
    int ended, sounded; /* 1: no more sound comes; some sound has come */
    long waiting;       /* samples that wait */
};
struct speech {
    int rate;
    int16_t *samples; /* ring; grows up to SPEECH_SECONDS */
    long capacity, head, waiting;
    struct speech_turn turns[SPEECH_TURNS]; /* oldest first; the last one is still being filled */
    int count;
    uint32_t over; /* turns up to this one take no more sound */
    struct arrivals arrivals;
};
void speech_open(struct speech *speech, int rate);
void speech_close(struct speech *speech);
/* Appends sound of a turn, little-endian as it came; a higher turn than the one being filled ends that one. */
enum speech_result speech_push(struct speech *speech, uint32_t turn, const unsigned char *pcm, long samples,
                               double now);
/* Ends a turn; 0: the newest. A turn that is ended before any sound of it came still takes its place in the queue, so
   that its end is reported in order. SPEECH_STALE: it was over before; SPEECH_FULL: too many turns wait, so it is over
   without having been queued. */
enum speech_result speech_end(struct speech *speech, uint32_t turn);
/* Drops this turn (0: the newest) and those before it, and all that comes of them later; returns the turn. */
uint32_t speech_interrupt(struct speech *speech, uint32_t turn);
/* Number of the turn to be spoken next; 0: none. *frames: whole video frames of it that wait, with the last, short one
   if the turn has ended. *ended: 1: no more of it will come. */
uint32_t speech_next(const struct speech *speech, long *frames, int *ended);
/* Takes the next turn off the queue if it ended without any sound, and returns it; 0: it is none of these. */
uint32_t speech_pass(struct speech *speech);
/* Takes a video frame of the next turn, filled up with silence at the turn's end; *last: 1: it was the turn's last.
   Call only while frames wait. Returns when the last of its samples came. */
double speech_take(struct speech *speech, int16_t *frame, int *last);

#endif
