/* decoder_net.h: the networks that decode in a codec's place, behind one interface, so that whoever trains, stores or
   runs one need not know its kind. Latents in, pixels out; causal; the first latent makes one video frame, every later
   one four.
     light     light_decoder.h: stands alone, of any width and depth; public weights come as such
     residual  residual_decoder.h: corrects the codec's linear decode, and sees the true picture of the first latent
   Latents are real [F, C, h, w] as the DiT makes them, pixels real [frames, 3, H, W] in [0, 1], not clamped. */
#ifndef MODEL_CODEC_DECODER_NET_H
#define MODEL_CODEC_DECODER_NET_H

#include "model/codec/codec.h"
#include "model/codec/light_decoder.h"
#include "model/codec/residual_decoder.h"

enum decoder_kind { DECODER_LIGHT, DECODER_RESIDUAL };
struct decoder_config { /* sizes; only those of `kind` are read */
    enum decoder_kind kind;
    struct light_decoder_config light;
    struct residual_config residual;
};
struct decoder_net {
    enum decoder_kind kind;
    struct param_table *table; /* the network's, which lies in this struct: do not move the struct */
    union {
        struct light_decoder light;
        struct residual_decoder residual;
    } of;
};
/* Makes a network. ERR_USAGE: a size is out of range, or the sizes do not go together. */
int decoder_net_create(struct decoder_net *net, const struct decoder_config *config);
void decoder_net_destroy(struct decoder_net *net);       /* one that is all zeros is allowed */
int decoder_net_channels(const struct decoder_net *net); /* channels of the latents */
/* Pixels along a side for one latent position: the codec's stride. */
int decoder_net_stride(const struct decoder_net *net);
/* Turns a slice's fresh random weights, host floats, into those that training for this codec starts from. */
void decoder_net_begin(const struct decoder_net *net, const struct codec *codec, int slice, float *values);

/* Lays out what passes over clips need. STREAM: at most `frames` latent frames at a time; TRAIN: up to `batch` whole
   clips of `frames`. h, w: latent rows and columns. acts: zeros, or laid out before, which frees what they had.
   ERR_DEVICE: out of memory. */
struct decoder_acts {
    struct light_acts *light;
    struct residual_acts *residual;
};
int decoder_acts_layout(struct decoder_acts *acts, const struct decoder_net *net, enum decoder_memory memory, int batch,
                        int frames, int h, int w, struct arena *arena);
void decoder_acts_free(struct decoder_acts *acts);
/* Bytes of workspace (kernels/workspace.h) for TRAIN. */
size_t decoder_net_workspace(const struct decoder_net *net, int batch, int frames, int h, int w);

/* STREAM. decoder_stream_begin starts a clip, with the true picture of its first latent (device [3, H, W] in [0, 1],
   copied; NULL: it is not known). decoder_stream_decode takes any number of latent frames and returns the number of
   video frames that it has written, packed. */
void decoder_stream_begin(const struct decoder_net *net, struct decoder_acts *acts, const real *picture);
int decoder_stream_decode(const struct decoder_net *net, const struct params *params, struct decoder_acts *acts,
                          const real *latents, int frames, real *pixels);

/* TRAIN. Forward: latents [batch, F, C, h, w] and the pictures [batch, 3, H, W] of the first latents (NULL: not known)
   to pixels [batch, 4F-3, 3, H, W]; batch is at most the layout's. Backward adds the parameters' gradients. */
void decoder_net_forward(const struct decoder_net *net, const struct params *params, struct decoder_acts *acts,
                         int batch, const real *latents, const real *pictures, real *pixels);
void decoder_net_backward(const struct decoder_net *net, const struct params *params, struct decoder_acts *acts,
                          const real *dpixels);

#endif
