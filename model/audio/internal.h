/* internal.h: what an encoder implements behind encoder.h. Included by the encoders alone. */
#ifndef MODEL_AUDIO_INTERNAL_H
#define MODEL_AUDIO_INTERNAL_H

#include "model/audio/encoder.h"

struct audio_operations {
    void (*close)(struct audio_encoder *encoder);
    void (*reset)(struct audio_encoder *encoder);
    int (*push)(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity);
    int (*flush)(struct audio_encoder *encoder, float *features, int capacity);
};

/* Open an encoder: fill dim, lookahead, operations, state. What they leave in a failure, audio_encoder_close frees. */
int audio_logmel_open(struct audio_encoder *encoder, int dim);
int audio_wav2vec2_open(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                        const struct audio_recipe *recipe); /* window by window */
int audio_wav2vec2_clip_open(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                             const struct audio_recipe *recipe); /* all of the sound at once, when it has ended */

/* A sample that can be used: what is not finite is silence. */
float audio_sample(float sample);

#endif
