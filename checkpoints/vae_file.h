/* vae_file.h: a Wan video autoencoder from safetensors: the original names (of the published .pth, converted) or
   Diffusers', F32, F16 or BF16, with or without a prefix. */
#ifndef CHECKPOINTS_VAE_FILE_H
#define CHECKPOINTS_VAE_FILE_H

#include <stdint.h>
#include "checkpoints/checkpoint.h"
#include "model/codec/vae_codec.h"

/* path: what shards.h opens; a folder whose vae/ holds it will do. Sizes come from the tensors' shapes; statistics from
   Diffusers' config.json beside the file, which must agree with them, else the published ones for 16 and 48 channels.
   ERR_INPUT: it is no such file; missing, surplus and mis-shaped tensors, all of them. Values are not read. */
int vae_file_config(struct vae_config *config, const char *path);
/* The same, and reads the weights into an arena; they must be finite. *checksum: CRC-32 of the values as little-endian
   floats in the order of the parameter table and the checkpoints' order of elements: the same in both namings. */
int vae_file_open(struct vae_weights *weights, const char *path, uint32_t *checksum);
/* The checksum alone; needs no device. */
int vae_file_checksum(const char *path, uint32_t *checksum);

#endif
