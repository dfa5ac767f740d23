/* talk.h: when the user begins and stops to talk, as their sound comes: voice activity (model/audio/voice_activity.h),
   and as long as it takes to be sure of it. 16 kHz mono. */
#ifndef INFER_SERVE_TALK_H
#define INFER_SERVE_TALK_H

#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

enum {
    TALK_BEGIN_FRAMES = 5, /* of voice: 200 ms; a cough is no word */
    TALK_END_FRAMES = 15   /* without: 600 ms; a pause for breath is no end */
};
enum talk_event { TALK_NOTHING, TALK_BEGINS, TALK_ENDS };
struct talk {
    struct voice_activity voice;
    float frame[AUDIO_SAMPLES_PER_FRAME];
    long filled;
    int talks, run; /* frames in a row that say otherwise */
};
void talk_reset(struct talk *talk);
/* Takes sound up to the end of a video frame of it and says what that changed; *taken: samples. */
enum talk_event talk_push(struct talk *talk, const float *pcm, long samples, long *taken);

#endif
