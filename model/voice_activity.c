/* voice_activity.c: see voice_activity.h. */
#include "model/voice_activity.h"

#include <math.h>

#include "model/audio_encoder.h"

/* Levels in dB of full scale. Speech stands 10 to 40 dB above a room; a frame counts as speech ABOVE dB over the floor,
   and goes on as speech until HANG frames in a row stay below BELOW dB. SILENCE: digital silence and dither. */
enum { HANG = 5 };
static const double ABOVE = 12, BELOW = 7, SILENCE = -60, RISE = 0.02;

void voice_activity_reset(struct voice_activity *vad) { *vad = (struct voice_activity){.floor_db = SILENCE}; }

float voice_activity_push(struct voice_activity *vad, const float *pcm) {
    double energy = 0;
    for (int i = 0; i < AUDIO_SAMPLES_PER_FRAME; i++) energy += (double)pcm[i] * pcm[i];
    double db = 10 * log10(energy / AUDIO_SAMPLES_PER_FRAME + 1e-10);
    if (db < SILENCE) db = SILENCE;
    /* The floor falls at once and rises slowly, so that speech does not lift it. */
    vad->floor_db = db < vad->floor_db ? db : vad->floor_db + RISE;
    double over = db - vad->floor_db;
    if (over > ABOVE) {
        vad->active = 1;
        vad->quiet = 0;
    } else if (over < BELOW && ++vad->quiet > HANG) {
        vad->active = 0;
    }
    vad->frames++;
    return vad->active ? 1.f : 0.f;
}
