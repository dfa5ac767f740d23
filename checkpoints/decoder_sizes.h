/* decoder_sizes.h: finds out which network (model/codec/decoder_net.h) a safetensors file holds and its sizes, from the
   names and shapes of its tensors and, where these do not tell, from its metadata (docs/formats.md). */
#ifndef CHECKPOINTS_DECODER_SIZES_H
#define CHECKPOINTS_DECODER_SIZES_H

#include "checkpoints/safetensors.h"
#include "model/codec/decoder_net.h"

/* Beginnings of the names of each kind's tensors. */
#define DECODER_FILE_LIGHT    "decoder."
#define DECODER_FILE_RESIDUAL "residual."

/* Reads the sizes. ERR_INPUT: the file holds no such network, or a light decoder of the kind "super". */
int decoder_sizes_read(struct decoder_config *config, const struct safetensors *file);

/* The metadata that a network's file has; pairs ends with NULL. Do not copy the struct, because pairs points into
   it. */
struct decoder_metadata {
    const char *pairs[7];
    char scale[16], clamp[32];
};
void decoder_sizes_write(struct decoder_metadata *metadata, const struct decoder_net *net);

#endif
