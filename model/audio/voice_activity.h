/* voice_activity.h: computes a talk mask from sound, by comparing the level above 120 Hz of each video frame's 640
   samples with the room's level and the voice's. The recording's offset, gain and polarity do not matter. Steady sound
   is not speech, however loud; sound below -60 dB of full scale is not heard. Used where neither the clip nor a
   dialogue system brings a mask. */
#ifndef MODEL_AUDIO_VOICE_ACTIVITY_H
#define MODEL_AUDIO_VOICE_ACTIVITY_H

enum { VOICE_ROOM_FRAMES = 50 }; /* a level that lasts for so long (2 s) is the room's */

/* State of a stream, which hears the past only: in its first two seconds, and after the room changes, its mask may
   differ from that of the whole clip. */
struct voice_activity {
    double pass[2][2];              /* state of the high-pass */
    float quiet[VOICE_ROOM_FRAMES]; /* lowest level within each of the last frames, dB of full scale */
    double peak, loudest;           /* the voice's level; the loudest frame's */
    int active, pause;              /* 1: speech; frames since the level was last above the lower threshold */
    long frames;
};
void voice_activity_reset(struct voice_activity *vad);
/* Takes one video frame of 16 kHz mono PCM (AUDIO_SAMPLES_PER_FRAME samples); returns 1 while someone speaks, else
   0. */
float voice_activity_push(struct voice_activity *vad, const float *pcm);
/* Returns 1 if nothing so far was loud enough to be heard. */
int voice_activity_unheard(const struct voice_activity *vad);

/* Computes the mask [frames] of a whole clip, knowing its room and voice from the start. Returns 1; 0 when all of the
   clip is too quiet to be heard (the mask is 0 then); -(error code) when out of memory. */
int voice_activity_clip(float *mask, long frames, const float *pcm, long samples);

#endif
