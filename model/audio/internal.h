/* internal.h: what an encoder implements behind encoder.h. Only the encoders include it. */
#ifndef MODEL_AUDIO_INTERNAL_H
#define MODEL_AUDIO_INTERNAL_H

#include "model/audio/encoder.h"

struct audio_operations {
    void (*close)(struct audio_encoder *encoder);
    void (*reset)(struct audio_encoder *encoder);
    int (*push)(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity);
    int (*flush)(struct audio_encoder *encoder, float *features, int capacity);
};

/* Open an encoder: fill in dim, lookahead, operations, state. audio_encoder_close frees whatever a failure leaves. */
int audio_logmel_open(struct audio_encoder *encoder, int dim);
int audio_wav2vec2_open(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                        const struct audio_recipe *recipe); /* works window by window */
int audio_wav2vec2_clip_open(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                             const struct audio_recipe *recipe); /* works on all of the sound, at the flush */

/* Returns the sample, or 0 (silence) if it is not finite. */
float audio_sample(float sample);

#endif
