/* talk.c: see talk.h. */
#include "infer/serve/talk.h"

#include <string.h>

void talk_reset(struct talk *t) {
    memset(t, 0, sizeof *t);
    voice_activity_reset(&t->voice);
}

enum talk_event talk_push(struct talk *t, const float *pcm, long samples, long *taken) {
    long room = AUDIO_SAMPLES_PER_FRAME - t->filled;
    *taken = samples < room ? samples : room;
    memcpy(t->frame + t->filled, pcm, (size_t)*taken * sizeof *pcm);
    t->filled += *taken;
    if (t->filled < AUDIO_SAMPLES_PER_FRAME) return TALK_NOTHING;
    t->filled = 0;
    int voice = voice_activity_push(&t->voice, t->frame) > 0;
    t->run = voice == t->talks ? 0 : t->run + 1;
    if (t->run < (t->talks ? TALK_END_FRAMES : TALK_BEGIN_FRAMES)) return TALK_NOTHING;
    t->run = 0;
    t->talks = voice;
    return voice ? TALK_BEGINS : TALK_ENDS;
}
