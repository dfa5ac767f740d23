/* vae_codec.h: the Wan video autoencoders as codecs (codec.h): wan21, wan22. */
#ifndef MODEL_CODEC_VAE_CODEC_H
#define MODEL_CODEC_VAE_CODEC_H

#include "kernels/memory_plan.h"
#include "model/codec/codec.h"
#include "model/codec/tiles.h"
#include "model/codec/vae.h"

/* Which halves of a network are in memory. Where another decoder takes the codec's place, its own is not wanted; the
   encoder's slice comes first in the table, so that it can stand alone. */
enum vae_halves { VAE_BOTH, VAE_ENCODER_ALONE };

/* A network and its weights, which lie in an arena of their own. */
struct vae_weights {
    struct vae net; /* both halves' layers */
    enum vae_halves halves;
    struct arena arena;
    elem *weights; /* device [vae_weights_size] */
};
/* Elements of the weights that are in memory. */
size_t vae_weights_size(const struct vae_weights *weights);
/* Builds the network and allocates its weights; padding is zero. */
int vae_weights_open(struct vae_weights *weights, const struct vae_config *config, enum vae_halves halves);
void vae_weights_close(struct vae_weights *weights);

/* Returns the codec's name for this kind of network: "wan21" or "wan22". */
const char *codec_vae_name(const struct vae_config *config);
/* Fills in name, sizes and latents of a codec at this resolution, without weights: no operation may be called.
   ERR_INPUT: the resolution does not fit. */
int codec_vae_describe(struct codec *codec, const struct vae_config *config, int height, int width);
/* Plans the codec in tiles: what all streams share, which is weights and encoder, and what one stream takes to decode,
   which is nothing with VAE_ENCODER_ALONE. A plan that is NULL is left out. */
int codec_vae_plan(const struct vae_config *config, enum vae_halves halves, const struct codec_tiles *tiles, int height,
                   int width, struct memory_plan *shared, struct memory_plan *stream);
/* Opens the codec. The weights belong to it from now on, even when this fails. Memory for encoding and for decoding is
   allocated when each is first used. Latents are normalised by the config's statistics; decoded pixels are clamped to
   [-1, 1]. With tiles both directions work on one tile of the picture after the other and blend what overlaps; each
   tile's layers keep their past frames, in host memory while other tiles are at work, so that a stream stays causal and
   cuts of a clip change no bit. With VAE_ENCODER_ALONE, decoding without a decoder in the codec's place is -ERR_USAGE.
   ERR_USAGE: tiles.h. */
int codec_vae_open(struct codec *codec, struct vae_weights *weights, const struct codec_tiles *tiles, int height,
                   int width);

#endif
