/* decoder_sizes.h: which network (model/codec/decoder_net.h) a safetensors file holds and how large it is, by the names
   and shapes of its tensors and, for what they do not tell, its metadata (docs/formats.md). */
#ifndef CHECKPOINTS_DECODER_SIZES_H
#define CHECKPOINTS_DECODER_SIZES_H

#include "checkpoints/safetensors.h"
#include "model/codec/decoder_net.h"

/* What the names of a kind's tensors begin with. */
#define DECODER_FILE_LIGHT    "decoder."
#define DECODER_FILE_RESIDUAL "residual."

/* ERR_INPUT: it holds no such network, or a light decoder of another kind ("super"). */
int decoder_sizes_read(struct decoder_config *config, const struct safetensors *file);

/* What a file's metadata says of a network; pairs ends with NULL. Not to be copied: pairs points into it. */
struct decoder_metadata {
    const char *pairs[7];
    char scale[16], clamp[32];
};
void decoder_sizes_write(struct decoder_metadata *metadata, const struct decoder_net *net);

#endif
