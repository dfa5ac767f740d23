/* codec_file.h: codecs from and to files: the tensors of a codec that travels (pca) as one safetensors file, and the
   codecs whose weights stay where they are (wan21, wan22: vae_file.h). */
#ifndef CHECKPOINTS_CODEC_FILE_H
#define CHECKPOINTS_CODEC_FILE_H

#include <stdio.h>
#include "model/codec/codec.h"

/* Where a codec is: its name ("": whatever the file holds), the file or folder, and what its weights' checksum has to
   be ("": any). */
struct codec_source {
    const char *name, *path, *checksum;
};
/* ERR_INPUT names the file and what is wrong: another codec, other weights, tensors that do not fit. */
int codec_file_open(struct codec *codec, const struct codec_source *source, int height, int width);
/* Name, sizes, checksum and place of an external codec, with no device: its operations are not there. Reads all of its
   weights once. */
int codec_file_describe(struct codec *codec, const struct codec_source *source, int height, int width);
/* Pixels of a latent's side. */
int codec_file_stride(const char *path, int *stride);
/* Its memory and operations; values are not read. */
int codec_file_print(const struct codec_source *source, int height, int width, FILE *out);

/* The tensors of a codec that has some (not external). */
int codec_file_write(const char *path, const struct codec *codec);

#endif
