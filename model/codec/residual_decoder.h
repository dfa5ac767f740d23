/* residual_decoder.h: a small causal network that corrects a codec's linear decode, forward, streaming and backward. It
   sees the latent frame z_t, the one before it, z_ref, which is the clip's first latent and stands before itself, and
   that latent's true picture. Pixels inside are in [-1, 1]; q = patch, p = 4 q = stride, w0, w1, w2 = width:
     y = (A z_t + a) / 10                                         12 p^2 numbers a position: patches p x p of 4 pictures
     x = conv3([z_t, z_(t-1), z_ref])                             h x w positions, w0 wide
     x = grow(blocks[0] blocks of x)                              2 h x 2 w, w1 wide
     x = grow(blocks[1] blocks of x)                              4 h x 4 w, w2 wide
     x = x + conv3([y, picture], both as patches of q x q)
     residual = conv3(relu(blocks[2] blocks of x))                12 q^2 numbers a position: patches q x q of 4 pictures
     pixels = (y + residual + 1) / 2
     block(x) = x + conv3(relu(conv3(relu(x))))                   grow(x) = pixel shuffle by 2 of conv1(relu(x))
   convK has a kernel of K x K, zeros outside and a bias. There are no norms. A latent frame makes 4 video frames; the
   first latent stands for one picture, and the mean of its four is given. A picture that nobody has is that mean of y.
   A and a begin as ten times the codec's own decode (residual_decoder_begin), and the residual begins near zero, so
   that training starts at the codec's quality. The division by ten is a learning rate of a tenth for the
   linear decode: Adam moves every number by about the rate, however large its gradient is, so that no optimiser has to
   know of two rates. Widths of 64, 48, 32 with 2, 1, 1 blocks were the best that were tried at 64 x 64 pixels and 48
   channels: 378,352 parameters, 20 million products a picture.
   Latents are real [F, C, h, w] as the DiT makes them, pixels real [frames, 3, H, W] in [0, 1], not clamped. */
#ifndef MODEL_CODEC_RESIDUAL_DECODER_H
#define MODEL_CODEC_RESIDUAL_DECODER_H

#include "kernels/arena.h"
#include "model/codec/codec.h"
#include "model/codec/decoder_memory.h"
#include "model/params/params.h"

enum {
    RESIDUAL_LEVELS = 3,
    RESIDUAL_BLOCKS_MAX = 16,
    RESIDUAL_PATCH_MAX = 16,
    RESIDUAL_GROWTH = 4,        /* growth of a side in front of the last layer */
    RESIDUAL_LINEAR_SCALE = 10, /* A and a are so many times the linear decode */
    RESIDUAL_LAYERS_MAX = 4 + RESIDUAL_LEVELS * (RESIDUAL_BLOCKS_MAX + 1)
};

struct residual_config {
    int channels; /* channels of the latents */
    int width[RESIDUAL_LEVELS], blocks[RESIDUAL_LEVELS];
    int patch; /* q: side of the patch that the last layer makes at each position; the stride is 4 q */
};
enum residual_kind { RESIDUAL_LINEAR, RESIDUAL_FIRST, RESIDUAL_BLOCK, RESIDUAL_GROW, RESIDUAL_ENTER, RESIDUAL_LAST };
struct residual_layer { /* each has a slice of its own */
    enum residual_kind kind;
    int level;
    long ci, co;       /* channels in and out of its convolution; BLOCK: of both convolutions */
    int kernel;        /* 1 or 3 */
    size_t w[2], b[2]; /* offsets in the layer's slice; BLOCK has two of each, the others one */
};
struct residual_decoder {
    struct residual_config config;
    struct param_table table;
    struct residual_layer layers[RESIDUAL_LAYERS_MAX];
    int count;
};
/* Makes the layers and their table. ERR_USAGE: a size is out of range. */
int residual_decoder_create(struct residual_decoder *net, const struct residual_config *config);
void residual_decoder_destroy(struct residual_decoder *net);
int residual_decoder_stride(const struct residual_config *config);
/* Turns a layer's fresh random weights, host floats of its slice, into those that training starts from: the linear
   decode is the codec's, or zero for a codec that has none (codec_linear). */
void residual_decoder_begin(const struct residual_decoder *net, const struct codec *codec, int layer, float *slice);

/* Lays out what passes over clips need. STREAM: at most `frames` latent frames at a time; TRAIN: up to `batch` whole
   clips of `frames`. h, w: latent rows and columns. */
struct residual_acts;
int residual_acts_layout(struct residual_acts **acts, const struct residual_decoder *net, enum decoder_memory memory,
                         int batch, int frames, int h, int w, struct arena *arena);
void residual_acts_free(struct residual_acts *acts);
/* Bytes of workspace (kernels/workspace.h) that TRAIN wants. */
size_t residual_decoder_workspace(const struct residual_decoder *net, int batch, int frames, int h, int w);

/* STREAM. residual_stream_begin starts a clip with the true picture of its first latent (real [3, H, W] in [0, 1],
   copied; NULL: nobody has it). residual_stream_decode takes any number of latent frames up to the layout's and returns
   the number of video frames made (1 for the first latent, 4 for each later one); pixels are packed. */
void residual_stream_begin(struct residual_acts *acts, const real *picture);
int residual_stream_decode(const struct residual_decoder *net, const struct params *params, struct residual_acts *acts,
                           const real *latents, int frames, real *pixels);

/* TRAIN. Forward: latents [batch, F, C, h, w] and the first latents' pictures [batch, 3, H, W] in [0, 1] (NULL: nobody
   has them) to pixels [batch, 4F-3, 3, H, W]; batch at most the layout's. Backward adds the parameters' gradients. */
void residual_decoder_forward(const struct residual_decoder *net, const struct params *params,
                              struct residual_acts *acts, int batch, const real *latents, const real *pictures,
                              real *pixels);
void residual_decoder_backward(const struct residual_decoder *net, const struct params *params,
                               struct residual_acts *acts, const real *dpixels);

#endif
