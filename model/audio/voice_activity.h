/* voice_activity.h: a talk mask from the sound alone: energy of each video frame's 640 samples against the levels of the
   room and of the voice, which it follows, with hysteresis and a hang-over. A stream finds the levels on its way,
   so that its first seconds may differ from a whole clip's mask. Used where no mask comes with the clip or from the dialogue
   system. */
#ifndef MODEL_AUDIO_VOICE_ACTIVITY_H
#define MODEL_AUDIO_VOICE_ACTIVITY_H

struct voice_activity {
    double power;             /* smoothed */
    double floor_db, peak_db; /* levels of the room and of the voice, as far as heard */
    int active, quiet;        /* state, frames below the lower threshold since it was last above */
    long frames;
};
void voice_activity_reset(struct voice_activity *vad);
/* One video frame of 16 kHz mono PCM (AUDIO_SAMPLES_PER_FRAME samples): 1 while someone speaks, else 0. */
float voice_activity_push(struct voice_activity *vad, const float *pcm);
/* The masks of a whole clip: two passes, the second starts with the levels that the first one found. mask [frames], the
   last frame filled up with silence. */
void voice_activity_clip(float *mask, long frames, const float *pcm, long samples);

#endif
