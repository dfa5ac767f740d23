/* vae_file.h: reads a Wan video autoencoder from safetensors, with the original names (of the published .pth,
   converted) or Diffusers', in F32, F16 or BF16, with or without a prefix. */
#ifndef CHECKPOINTS_VAE_FILE_H
#define CHECKPOINTS_VAE_FILE_H

#include <stdint.h>
#include "checkpoints/checkpoint.h"
#include "model/codec/vae_codec.h"

/* Reads sizes and statistics, no weights. path: anything that shards_open takes, or a folder with it in vae/. Sizes
   come from the tensors' shapes. Statistics come from Diffusers' config.json beside the file, which must agree with the
   shapes; without it they are the published ones for 16 and 48 channels. ERR_INPUT: it is no such file; or it lists all
   missing, surplus and mis-shaped tensors. */
int vae_file_config(struct vae_config *config, const char *path);
/* Also reads the weights of these halves, which must be finite, into an arena. *checksum, of both halves always:
   CRC-32 of the values as little-endian floats, in the order of the parameter table and the checkpoints' order of
   elements, so that it is the same in both namings. */
int vae_file_open(struct vae_weights *weights, const char *path, enum vae_halves halves, uint32_t *checksum);
/* Computes only the checksum; needs no device. */
int vae_file_checksum(const char *path, uint32_t *checksum);

#endif
