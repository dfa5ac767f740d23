/* decoder_file.h: networks that decode in a codec's place (model/codec/decoder_net.h) from and to safetensors files.
   Which one a file holds, its tensors tell (decoder_sizes.h). Convolutions are [co, ci, 3, 3] in a file.
     light     in the names and shapes of the public tiny autoencoders: "decoder.1.weight", a memory block's first
               weight [co, 2 ci, 3, 3] with the frame itself before the past one, "decoder.7.conv.weight" [co n, ci, 1,
               1]. How far a level upsamples is metadata "scale" ("2,2,2", also without it), the clamp metadata "clamp"
               ("3", also without it). Where growth is 8 frames in all, the first level's last frame alone is taken, as
               the public code does. "encoder." tensors are left alone.
     residual  names of our own, "residual.first.weight" [w0, 3 C, 3, 3] (docs/formats.md) */
#ifndef CHECKPOINTS_DECODER_FILE_H
#define CHECKPOINTS_DECODER_FILE_H

#include "checkpoints/safetensors.h"
#include "model/codec/codec.h"
#include "model/codec/decoder_net.h"

/* The network with a file's sizes, whose tensors are all there: a header is enough. ERR_INPUT: it is no such file;
   missing, surplus and mis-shaped tensors are all listed. Nothing is to be destroyed then. */
int decoder_file_create(struct decoder_net *net, const struct safetensors *file);
/* That check alone, for a network of known sizes. */
int decoder_file_check(const struct decoder_net *net, const struct safetensors *file);
/* To host values [net->table->total], padding zero; checked as above. */
int decoder_file_read(float *values, const struct decoder_net *net, const struct safetensors *file);
/* To device weights. */
int decoder_file_load(elem *weights, const struct decoder_net *net, const struct safetensors *file);
/* From host values [net->table->total], F32. */
int decoder_file_save(const char *path, const struct decoder_net *net, const float *values);
/* Opens the file and makes its network the codec's decoder (codec_use_decoder). ERR_INPUT names the file: also when its
   latents or its enlargement are not the codec's. */
int decoder_file_use(struct codec *codec, const char *path);

#endif
