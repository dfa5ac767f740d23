/* light_decoder_file.h: light decoders (model/codec/light_decoder.h) from and to safetensors files in the names and
   shapes of the public tiny autoencoders: "decoder.1.weight" [co, ci, 3, 3], a memory block's first weight [co, 2 ci,
   3, 3] with the frame itself before the past one, "decoder.7.conv.weight" [co n, ci, 1, 1]. A file's tensors tell all
   sizes but how far a stage upsamples: metadata "scale" ("2,2,2", also without it), and the clamp: metadata "clamp"
   ("3", also without it). Where growth is 8 frames in all, the first stage's last frame alone is taken, as the public
   code does. "encoder." tensors are left alone. */
#ifndef CHECKPOINTS_LIGHT_DECODER_FILE_H
#define CHECKPOINTS_LIGHT_DECODER_FILE_H

#include "checkpoints/safetensors.h"
#include "model/codec/codec.h"
#include "model/codec/light_decoder.h"

/* The sizes that a file's tensors have. ERR_INPUT: not such a decoder, or one of another kind ("super"). */
int light_file_describe(struct light_decoder_config *config, const struct safetensors *file);
/* To host values [net->table.total], padding zero. Missing, surplus and mis-shaped tensors are all listed (ERR_INPUT).
   */
int light_file_read(float *values, const struct light_decoder *net, const struct safetensors *file);
/* To device weights. */
int light_file_load(elem *weights, const struct light_decoder *net, const struct safetensors *file);
/* The check alone: a file's header is enough. */
int light_file_check(const struct light_decoder *net, const struct safetensors *file);
/* From host values [net->table.total], F32. */
int light_file_save(const char *path, const struct light_decoder *net, const float *values);
/* Opens the file and makes it the codec's decoder (codec_use_decoder). ERR_INPUT names the file: also when its latents
   or its enlargement are not the codec's. */
int light_file_use(struct codec *codec, const char *path);

#endif
