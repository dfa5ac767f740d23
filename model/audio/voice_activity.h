/* voice_activity.h: a talk mask from the sound alone: the level of each video frame's 640 samples, above 120 Hz,
   against the room's and the voice's. It depends on speech, not on offset, level or polarity of the recording. Steady
   sound is no speech however loud; sound below -60 dB of full scale is not heard. Used where no mask comes with the
   clip or from the dialogue system. */
#ifndef MODEL_AUDIO_VOICE_ACTIVITY_H
#define MODEL_AUDIO_VOICE_ACTIVITY_H

enum { VOICE_ROOM_FRAMES = 50 }; /* what stays for so long (2 s) is the room */

/* A stream hears the past alone: its first two seconds, and those after the room changes, may differ from a whole
   clip's mask. */
struct voice_activity {
    double pass[2][2];              /* the high-pass's state */
    float quiet[VOICE_ROOM_FRAMES]; /* the lowest level in each of the last frames, dB of full scale */
    double peak, loudest;           /* the voice's level; the highest of any frame */
    int active, pause;              /* state; frames below the lower threshold since it was last above */
    long frames;
};
void voice_activity_reset(struct voice_activity *vad);
/* One video frame of 16 kHz mono PCM (AUDIO_SAMPLES_PER_FRAME samples): 1 while someone speaks, else 0. */
float voice_activity_push(struct voice_activity *vad, const float *pcm);
/* 1: nothing so far was loud enough to be heard. */
int voice_activity_unheard(const struct voice_activity *vad);

/* The mask of a whole clip, which knows the room and the voice from the start; mask [frames]. Returns 1, 0 when all of
   the clip is too quiet to be heard (the mask is 0), negative: -(error code), out of memory. */
int voice_activity_clip(float *mask, long frames, const float *pcm, long samples);

#endif
