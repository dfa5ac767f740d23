/* wav2vec2_file.h: a wav2vec2 checkpoint of Transformers' names: a safetensors file, or a folder with
   model.safetensors. config.json beside it gives the shape; without one the shape is read from the tensors, heads taken
   64 wide and the strides those of every public checkpoint. preprocessor_config.json beside it says whether the signal
   is normalised (it is when there is none) and must not ask for another rate than 16 kHz.
   Tensors may stand under "wav2vec2." or not; those of heads and of pretraining alone are passed over. The positional
   convolution's weight norm (one length for each tap, over all its filters) is folded in while reading, from weight_g
   and weight_v or from parametrizations.weight.original0 and original1.
   Errors: ERR_INPUT with the file's name; tensors that do not fit are listed, all of them. */
#ifndef CHECKPOINTS_WAV2VEC2_FILE_H
#define CHECKPOINTS_WAV2VEC2_FILE_H

#include "base/fileio.h"
#include "checkpoints/safetensors.h"
#include "model/audio/wav2vec2.h"

struct wav2vec2_file {
    struct wav2vec2 net;
    char path[FILE_PATH_MAX]; /* of the safetensors file */
    char id[16];              /* checksum of the file and the shape, eight hexadecimal digits */
};
/* Shape and checksum alone: nothing on the device. */
int wav2vec2_file_open(struct wav2vec2_file *file, const char *path);
/* Weights [net.table.total] (device). */
int wav2vec2_file_load(const struct wav2vec2_file *file, elem *weights);
void wav2vec2_file_close(struct wav2vec2_file *file);

#endif
