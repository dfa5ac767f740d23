/* decoder_codec.h: a network (decoder_net.h) as the decoding half of a codec (codec.h). It decodes latent frames one at
   a time, or a few at once where pictures are small, so that its memory does not depend on how many are pushed. */
#ifndef MODEL_CODEC_DECODER_CODEC_H
#define MODEL_CODEC_DECODER_CODEC_H

#include "kernels/memory_plan.h"
#include "model/codec/codec.h"
#include "model/codec/decoder_net.h"

/* Makes a decoder for the codec's sizes. On success net (from malloc) and weights (device, [net->table->total]) belong
   to the decoder; streams that share it (codec_share) use them too. ERR_DEVICE: out of memory. */
int decoder_codec_open(struct codec_decoder *decoder, const struct codec *codec, struct decoder_net *net,
                       elem *weights);
/* Plans it, for a codec of which only the sizes are read: the weights, which all streams share, and a stream's memory.
   A plan that is NULL is left out. */
int decoder_codec_plan(const struct codec *codec, struct decoder_net *net, struct memory_plan *shared,
                       struct memory_plan *stream);

#endif
