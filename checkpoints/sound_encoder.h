/* sound_encoder.h: opens an audio encoder by its recipe (model/audio/recipe.h) with the weights that it needs, for
   prepare, live sessions and evaluation. Opening reads only shapes and checksums; the weights are loaded with the first
   stream and shared by all streams. */
#ifndef CHECKPOINTS_SOUND_ENCODER_H
#define CHECKPOINTS_SOUND_ENCODER_H

#include "checkpoints/wav2vec2_file.h"
#include "model/audio/encoder.h"

enum { LOGMEL_BANDS = 32 }; /* default number of features of logmel */

struct sound_encoder {
    struct audio_recipe recipe; /* completed by the weights' checksum and the checkpoint's own values */
    int dim;                    /* features of a video frame */
    struct wav2vec2_file file;
    struct params params;
    struct arena weights;
    float *silence; /* [dim], made when first asked for */
};
/* Opens an encoder. dim 0: as many features as it makes. weights: the checkpoint (wav2vec2_file.h); NULL or "": none. A
   recipe with a checksum accepts exactly those weights. ERR_USAGE: no such encoder, dim or states, or no weights named
   where they are needed; ERR_INPUT: the checkpoint is at fault. */
int sound_encoder_open(struct sound_encoder *encoder, const struct audio_recipe *recipe, int dim, const char *weights);
/* Opens an encoder from a recipe's text, as data sets and students have it. */
int sound_encoder_open_text(struct sound_encoder *encoder, const char *recipe, int dim, const char *weights);
/* Opens a new stream; call device_init before. */
int sound_encoder_stream(struct sound_encoder *encoder, struct audio_encoder *stream);
/* Plans the weights, which all streams share, and one stream. A plan that is NULL is left out. */
int sound_encoder_plan(const struct sound_encoder *encoder, struct memory_plan *shared, struct memory_plan *stream);
/* Returns the feature [dim] of silence, half a second after it began. */
int sound_encoder_silence(struct sound_encoder *encoder, const float **silence);
void sound_encoder_close(struct sound_encoder *encoder); /* close its streams before */

#endif
