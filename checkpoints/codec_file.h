/* codec_file.h: reads and writes codecs: the tensors of a codec that travels with its data (pca) are one safetensors
   file; other codecs' weights stay where they are (wan21, wan22: vae_file.h). */
#ifndef CHECKPOINTS_CODEC_FILE_H
#define CHECKPOINTS_CODEC_FILE_H

#include <stdio.h>
#include "kernels/memory_plan.h"
#include "model/codec/codec.h"
#include "model/codec/tiles.h"
#include "model/codec/vae_codec.h"

/* Where a codec is: its name ("": whatever the file holds), the file or folder, and the checksum that its weights must
   have ("": any). */
struct codec_source {
    const char *name, *path, *checksum;
    struct codec_tiles tiles; /* an autoencoder's; zeros: none. Other codecs take no tiles */
    enum vae_halves halves;   /* an autoencoder's; zero: both. Other codecs are small, and whole */
};
/* Opens a codec. ERR_INPUT names the file and what is wrong: another codec, other weights, tensors that do not fit. */
int codec_file_open(struct codec *codec, const struct codec_source *source, int height, int width);
/* Fills in name, sizes, checksum and place of an external codec without a device, so that no operation may be called.
   Reads all of its weights once. */
int codec_file_describe(struct codec *codec, const struct codec_source *source, int height, int width);
/* Reads the pixels along a latent position's side. */
int codec_file_stride(const char *path, int *stride);
/* Prints the memory and the operations that a codec takes, without reading its weights. */
int codec_file_print(const struct codec_source *source, int height, int width, FILE *out);
/* Plans an external codec without reading its weights (vae_codec.h). */
int codec_file_plan(const struct codec_source *source, int height, int width, struct memory_plan *shared,
                    struct memory_plan *stream);

/* Writes the tensors of a codec that is not external. */
int codec_file_write(const char *path, const struct codec *codec);

#endif
