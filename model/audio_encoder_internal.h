/* audio_encoder_internal.h: what an encoder implements behind audio_encoder.h. Included by the encoders alone. */
#ifndef MODEL_AUDIO_ENCODER_INTERNAL_H
#define MODEL_AUDIO_ENCODER_INTERNAL_H

#include "model/audio_encoder.h"

/* Opens the logmel encoder: fills dim, lookahead, state. */
int audio_logmel_open(struct audio_encoder *encoder, int dim);
void audio_logmel_close(struct audio_encoder *encoder);
void audio_logmel_reset(struct audio_encoder *encoder);
int audio_logmel_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity);
int audio_logmel_flush(struct audio_encoder *encoder, float *features, int capacity);

#endif
