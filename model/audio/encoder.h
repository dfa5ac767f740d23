/* encoder.h: audio encoders behind one streaming interface: 16 kHz mono float PCM in, one feature vector a video
   frame (25 a second) out. Feature f is centred on video frame f, or begins with it (wav2vec2). */
#ifndef MODEL_AUDIO_ENCODER_H
#define MODEL_AUDIO_ENCODER_H

#include "base/media_rates.h"
#include "kernels/memory_plan.h"
#include "model/audio/recipe.h"
#include "model/audio/wav2vec2.h"

enum { AUDIO_LOOKAHEAD_ALL = 1 << 30 }; /* lookahead of encoders that need all of the sound first */

struct audio_operations;
struct audio_encoder {
    char name[32]; /* "logmel", "wav2vec2" */
    int dim;       /* features of a video frame */
    int lookahead; /* most samples that feature f needs beyond the end of frame f's own 640 */
    const struct audio_operations *operations;
    void *state;
};
/* Opens the encoder "logmel": `dim` log-mel bands on a fixed scale, without statistics of the clip. ERR_USAGE: any
   other name, or dim out of range. */
int audio_encoder_open(struct audio_encoder *encoder, const char *name, int dim);
/* Opens one stream of wav2vec2, as a recipe says; net and weights stay the caller's and may be shared by many streams.
   ERR_USAGE: the recipe asks for what this net does not have. */
int audio_encoder_open_wav2vec2(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                                const struct audio_recipe *recipe);
/* Plans such a stream. */
int audio_encoder_plan_wav2vec2(const struct wav2vec2 *net, const struct audio_recipe *recipe,
                                struct memory_plan *plan);
void audio_encoder_close(struct audio_encoder *encoder);
void audio_encoder_reset(struct audio_encoder *encoder);
/* Pushes samples and writes the features that are complete, at most `capacity` frames; returns their number, or -(error
   code). What does not fit comes with the next call: its samples are kept. With enough capacity nothing is
   allocated. */
int audio_encoder_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity);
/* Ends the stream: writes the remaining frames, with silence for missing samples, so that n samples give n/640 frames,
   rounded up. Call it again until it returns less than `capacity`. */
int audio_encoder_flush(struct audio_encoder *encoder, float *features, int capacity);

#endif
