/* talk.h: finds when the user begins and stops talking, while the sound comes (16 kHz mono): by voice activity
   (model/audio/voice_activity.h) that has to last for some frames. */
#ifndef INFER_SERVE_TALK_H
#define INFER_SERVE_TALK_H

#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

enum {
    TALK_BEGIN_FRAMES = 5, /* frames (200 ms) of voice that are a beginning; a cough is shorter */
    TALK_END_FRAMES = 15   /* frames (600 ms) without voice that are an end; a pause for breath is shorter */
};
enum talk_event { TALK_NOTHING, TALK_BEGINS, TALK_ENDS };
struct talk {
    struct voice_activity voice;
    float frame[AUDIO_SAMPLES_PER_FRAME];
    long filled;
    int talks, run; /* 1: the user talks; run: frames in a row that say otherwise */
};
void talk_reset(struct talk *talk);
/* Takes sound up to the end of a video frame and says what that changed; *taken: samples that it took. */
enum talk_event talk_push(struct talk *talk, const float *pcm, long samples, long *taken);

#endif
