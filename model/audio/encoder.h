/* encoder.h: audio encoders behind one streaming interface: 16 kHz mono float PCM in, one feature vector a video
   frame (25 a second) out. Feature f is centred on video frame f, or begins with it (wav2vec2). */
#ifndef MODEL_AUDIO_ENCODER_H
#define MODEL_AUDIO_ENCODER_H

#include "base/media_rates.h"
#include "model/audio/recipe.h"
#include "model/audio/wav2vec2.h"

enum { AUDIO_LOOKAHEAD_ALL = 1 << 30 }; /* of encoders that need all of the sound first */

struct audio_operations;
struct audio_encoder {
    char name[32]; /* "logmel", "wav2vec2" */
    int dim;       /* features a frame */
    int lookahead; /* samples needed beyond the end of frame f's 640 before feature f can come out, at most */
    const struct audio_operations *operations;
    void *state;
};
/* name "logmel": `dim` log-mel bands (and nothing else); fixed scale, no clip-wide statistics. ERR_USAGE otherwise. */
int audio_encoder_open(struct audio_encoder *encoder, const char *name, int dim);
/* wav2vec2 by a recipe: one stream; net and weights stay the caller's and may be shared by many streams. ERR_USAGE: the
   recipe asks for what this net cannot give. */
int audio_encoder_open_wav2vec2(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                                const struct audio_recipe *recipe);
void audio_encoder_close(struct audio_encoder *encoder);
void audio_encoder_reset(struct audio_encoder *encoder);
/* Pushes samples; writes the features that are complete, at most `capacity` frames; returns how many. What does not fit
   comes with the next call (its samples are kept; with capacity for all that is complete nothing is allocated).
   Negative: -(error code). */
int audio_encoder_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity);
/* End of stream: the remaining frames, the missing samples taken as silence; n samples give n/640 frames, rounded up.
   To be called again when it returns `capacity`; 0 ends it. */
int audio_encoder_flush(struct audio_encoder *encoder, float *features, int capacity);

#endif
