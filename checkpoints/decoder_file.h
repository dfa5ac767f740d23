/* decoder_file.h: reads and writes, as safetensors, networks that decode in a codec's place
   (model/codec/decoder_net.h). A file's tensors tell which kind it holds (decoder_sizes.h). Convolutions are [co, ci,
   3, 3] in a file.
     light     names and shapes of the public tiny autoencoders: "decoder.1.weight"; a memory block's first weight
               [co, 2 ci, 3, 3], the frame's own channels before those of the past one; "decoder.7.conv.weight"
               [co n, ci, 1, 1]. Metadata "scale" says how far each level upsamples (default "2,2,2"), metadata "clamp"
               where latents are clamped (default "3"). Where growth in time is 8 in all, only the first level's last
               frame is taken, as in the public code. "encoder." tensors are passed over.
     residual  names of our own, "residual.first.weight" [w0, 3 C, 3, 3] (docs/formats.md) */
#ifndef CHECKPOINTS_DECODER_FILE_H
#define CHECKPOINTS_DECODER_FILE_H

#include "checkpoints/safetensors.h"
#include "kernels/memory_plan.h"
#include "model/codec/codec.h"
#include "model/codec/decoder_net.h"

/* Makes the network that a file's header describes, and checks that all tensors are there. ERR_INPUT: it is no such
   file; missing, surplus and mis-shaped tensors are all listed. There is nothing to destroy then. */
int decoder_file_create(struct decoder_net *net, const struct safetensors *file);
/* Only checks the tensors, for a network of known sizes. */
int decoder_file_check(const struct decoder_net *net, const struct safetensors *file);
/* Reads into host values [net->table->total], with zeros for padding; checks the tensors first. */
int decoder_file_read(float *values, const struct decoder_net *net, const struct safetensors *file);
/* Reads into device weights. */
int decoder_file_load(elem *weights, const struct decoder_net *net, const struct safetensors *file);
/* Writes host values [net->table->total] as F32. */
int decoder_file_save(const char *path, const struct decoder_net *net, const float *values);
/* Opens a file and makes its network the codec's decoder (codec_use_decoder). ERR_INPUT names the file, also when its
   latent channels or its stride are not the codec's. */
int decoder_file_use(struct codec *codec, const char *path);
/* Plans what decoder_file_use would take (decoder_codec.h), from the file's header and the codec's sizes. */
int decoder_file_plan(const struct codec *codec, const char *path, struct memory_plan *shared,
                      struct memory_plan *stream);

#endif
