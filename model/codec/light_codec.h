/* light_codec.h: a light decoder as the decoding half of a codec (codec.h). It works through latent frames one at a
   time, or some at once where pictures are small, so its memory does not depend on how many come. */
#ifndef MODEL_CODEC_LIGHT_CODEC_H
#define MODEL_CODEC_LIGHT_CODEC_H

#include "model/codec/codec.h"
#include "model/codec/light_decoder.h"

/* For the codec's sizes. On success net and weights (device, [net->table.total]) belong to the decoder. ERR_DEVICE. */
int light_codec_open(struct codec_decoder *decoder, const struct codec *codec, const struct light_decoder *net,
                     elem *weights);

#endif
