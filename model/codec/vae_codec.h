/* vae_codec.h: the Wan video autoencoders as codecs (codec.h): wan21, wan22. */
#ifndef MODEL_CODEC_VAE_CODEC_H
#define MODEL_CODEC_VAE_CODEC_H

#include "model/codec/codec.h"
#include "model/codec/vae.h"

/* A network with its weights in an arena of their own. */
struct vae_weights {
    struct vae net;
    struct arena arena;
    elem *weights; /* device [net.table.total] */
};
/* Builds the network and allocates its weights (padding zero). */
int vae_weights_open(struct vae_weights *weights, const struct vae_config *config);
void vae_weights_close(struct vae_weights *weights);

/* "wan21" or "wan22", by the network's kind */
const char *codec_vae_name(const struct vae_config *config);
/* Name, sizes and latents of a codec at that resolution; ERR_INPUT when it cannot be. No operation may be called. */
int codec_vae_describe(struct codec *codec, const struct vae_config *config, int height, int width);
/* Opens the codec; it takes the weights over, also when it fails. Memory of a direction is allocated at its first use.
   Latents are normalised by the config's statistics, decoded pixels held within [-1, 1]. */
int codec_vae_open(struct codec *codec, struct vae_weights *weights, int height, int width);

#endif
