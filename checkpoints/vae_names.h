/* vae_names.h: the names of a Wan video autoencoder's tensors in the original checkpoints and in Diffusers. */
#ifndef CHECKPOINTS_VAE_NAMES_H
#define CHECKPOINTS_VAE_NAMES_H

#include <stddef.h>
#include "model/codec/vae.h"

/* Translates a name from original to Diffusers; needs the config's kind and number of residual blocks. ERR_INPUT: `out`
   is too small. */
int vae_names_to_diffusers(const struct vae_config *config, const char *original, char *out, size_t size);

#endif
