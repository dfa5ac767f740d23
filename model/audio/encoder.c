/* encoder.c: opens an audio encoder and passes the calls on to it. See encoder.h. */
#include "model/audio/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "model/audio/internal.h"

static void begin(struct audio_encoder *encoder, const char *name) {
    memset(encoder, 0, sizeof *encoder);
    snprintf(encoder->name, sizeof encoder->name, "%s", name);
}

int audio_encoder_open(struct audio_encoder *encoder, const char *name, int dim) {
    begin(encoder, name);
    if (strcmp(name, "logmel")) return error_set(ERR_USAGE, "audio encoder %s: not known here (logmel is)", name);
    return audio_logmel_open(encoder, dim);
}

int audio_encoder_open_wav2vec2(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                                const struct audio_recipe *recipe) {
    begin(encoder, "wav2vec2");
    TRY(audio_recipe_check(recipe));
    int code = recipe->mode == AUDIO_WHOLE ? audio_wav2vec2_clip_open(encoder, net, params, recipe)
                                           : audio_wav2vec2_open(encoder, net, params, recipe);
    if (code) audio_encoder_close(encoder);
    return code;
}

void audio_encoder_close(struct audio_encoder *encoder) {
    if (encoder->state) encoder->operations->close(encoder);
    memset(encoder, 0, sizeof *encoder);
}

void audio_encoder_reset(struct audio_encoder *encoder) { encoder->operations->reset(encoder); }

int audio_encoder_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity) {
    return encoder->operations->push(encoder, pcm, samples, features, capacity);
}

int audio_encoder_flush(struct audio_encoder *encoder, float *features, int capacity) {
    return encoder->operations->flush(encoder, features, capacity);
}

float audio_sample(float sample) { return isfinite(sample) ? sample : 0; }
