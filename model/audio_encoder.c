/* audio_encoder.c: picks an audio encoder by its name and passes the calls on. See audio_encoder.h. */
#include "model/audio_encoder.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "model/audio_encoder_internal.h"

int audio_encoder_open(struct audio_encoder *encoder, const char *name, int dim) {
    memset(encoder, 0, sizeof *encoder);
    if (strcmp(name, "logmel")) return error_set(ERR_USAGE, "audio encoder %s: not known here (logmel is)", name);
    snprintf(encoder->name, sizeof encoder->name, "%s", name);
    return audio_logmel_open(encoder, dim);
}

void audio_encoder_close(struct audio_encoder *encoder) {
    if (encoder->state) audio_logmel_close(encoder);
    memset(encoder, 0, sizeof *encoder);
}

void audio_encoder_reset(struct audio_encoder *encoder) { audio_logmel_reset(encoder); }

int audio_encoder_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity) {
    return audio_logmel_push(encoder, pcm, samples, features, capacity);
}

int audio_encoder_flush(struct audio_encoder *encoder, float *features, int capacity) {
    return audio_logmel_flush(encoder, features, capacity);
}
