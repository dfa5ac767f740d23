/* decoder_memory.h: the two ways of running a decoding network (decoder_net.h), which differ in the memory they
   need. */
#ifndef MODEL_CODEC_DECODER_MEMORY_H
#define MODEL_CODEC_DECODER_MEMORY_H

/* STREAM: one clip, a few latent frames at a time, with the past kept. TRAIN: a batch of whole clips, with everything
   saved for the backward. */
enum decoder_memory { DECODER_STREAM, DECODER_TRAIN };

#endif
