/* sound_encoder.h: an audio encoder by its recipe (model/audio/recipe.h), with the weights that it needs: what prepare,
   the live session and the evaluation open. Opening reads shapes and checksums alone; the weights are loaded with the
   first stream and shared by all. */
#ifndef CHECKPOINTS_SOUND_ENCODER_H
#define CHECKPOINTS_SOUND_ENCODER_H

#include "checkpoints/wav2vec2_file.h"
#include "model/audio/encoder.h"

enum { LOGMEL_BANDS = 32 }; /* when nothing is said */

struct sound_encoder {
    struct audio_recipe recipe; /* whole: with the weights' checksum and what the checkpoint says */
    int dim;                    /* features a video frame */
    struct wav2vec2_file file;
    struct params params;
    struct arena weights;
    float *silence; /* [dim], once asked for */
};
/* dim 0: the encoder's own. weights: the checkpoint (wav2vec2_file.h); NULL or "": none. A recipe with a checksum wants
   exactly those weights. ERR_USAGE: encoder, dim or states that cannot be, or weights that are not named; ERR_INPUT:
   the checkpoint. */
int sound_encoder_open(struct sound_encoder *encoder, const struct audio_recipe *recipe, int dim, const char *weights);
/* The same from a recipe's text, as data sets and students have it. */
int sound_encoder_open_text(struct sound_encoder *encoder, const char *recipe, int dim, const char *weights);
/* A new stream (device_init first). */
int sound_encoder_stream(struct sound_encoder *encoder, struct audio_encoder *stream);
/* The feature [dim] of silence, half a second into it. */
int sound_encoder_silence(struct sound_encoder *encoder, const float **silence);
void sound_encoder_close(struct sound_encoder *encoder); /* after its streams */

#endif
