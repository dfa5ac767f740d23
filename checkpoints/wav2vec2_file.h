/* wav2vec2_file.h: reads a wav2vec2 checkpoint with Transformers' names: a safetensors file, or a folder with
   model.safetensors. config.json beside it gives the shape; without one the shape is read from the tensors, with heads
   64 wide and the strides of every public checkpoint. preprocessor_config.json beside it says whether the signal is
   normalised (default: yes) and must not ask for any rate but 16 kHz.
   Names may begin with "wav2vec2." or not; tensors of heads and of pretraining are ignored. The positional
   convolution's weight norm (one length for each tap, over all its filters) is folded in while reading, from weight_g
   and weight_v or from parametrizations.weight.original0 and original1.
   ERR_INPUT names the file and lists all tensors that do not fit. */
#ifndef CHECKPOINTS_WAV2VEC2_FILE_H
#define CHECKPOINTS_WAV2VEC2_FILE_H

#include "base/fileio.h"
#include "checkpoints/safetensors.h"
#include "model/audio/wav2vec2.h"

struct wav2vec2_file {
    struct wav2vec2 net;
    char path[FILE_PATH_MAX]; /* path of the safetensors file */
    char id[16];              /* checksum of the file and the shape, eight hexadecimal digits */
};
/* Reads shape and checksum; uses no device. */
int wav2vec2_file_open(struct wav2vec2_file *file, const char *path);
/* Loads the weights, device [net.table.total]. */
int wav2vec2_file_load(const struct wav2vec2_file *file, elem *weights);
void wav2vec2_file_close(struct wav2vec2_file *file);

#endif
