/* decoder_memory.h: what the passes of a codec's decoding network (decoder_net.h) need memory for. */
#ifndef MODEL_CODEC_DECODER_MEMORY_H
#define MODEL_CODEC_DECODER_MEMORY_H

/* STREAM: one clip, some latent frames at a time, the past kept; TRAIN: a batch of whole clips, everything saved for
   the backward. */
enum decoder_memory { DECODER_STREAM, DECODER_TRAIN };

#endif
