/* light_decoder.h: a small causal decoder from latents to video, forward, streaming and backward: the shape of the tiny
   autoencoders that are in use for Wan and other video models (TAEHV, public description), at any width and depth.
   All convolutions are 3 x 3 on channels-last frames, with ReLU and without norms:
     z = 3 tanh(latent / 3), or another clamp;  x = relu(conv(z))
     three levels, each of
       `blocks` memory blocks
       growth: 1 x 1 convolution that makes n frames of each
       nearest upsampling
       conv without bias
     x = relu(x)
     pixels = pixel shuffle by `patch` of conv(x), three colours in [0, 1], not clamped
   A memory block sees each frame together with the one before it (zeros before the first), as a convolution over two
   frames:
     relu(x + conv(relu(conv(relu(conv([before, x]))))))
   Growth comes before the upsampling, because a 1 x 1 layer gives the same on the smaller picture.
   A latent frame makes 4 video frames; of the first latent's only the last is kept, so that F latents
   make 1 + 4(F-1) frames. Parameters carry the names of the public weights, "decoder.3.conv.0.weight"; a memory block's
   first weight is [co, 2, 3, 3, ci], place 0 the frame before (checkpoints/light_decoder_file.h permutes).
   Latents are real [F, C, h, w] as the DiT makes them, pixels real [frames, 3, H, W]. */
#ifndef MODEL_CODEC_LIGHT_DECODER_H
#define MODEL_CODEC_LIGHT_DECODER_H

#include "kernels/arena.h"
#include "model/codec/decoder_memory.h"
#include "model/params/params.h"

enum {
    LIGHT_LEVELS = 3,
    LIGHT_CLAMP_MAX = 1000000,
    LIGHT_BLOCKS_MAX = 16,
    LIGHT_LAYERS_MAX = 2 + LIGHT_LEVELS * (LIGHT_BLOCKS_MAX + 2)
};

struct light_decoder_config {
    int channels;                                /* channels of the latents */
    int first, level[LIGHT_LEVELS];              /* widths: in front of level 0, and behind each level */
    int blocks;                                  /* memory blocks of a level */
    int grow[LIGHT_LEVELS], scale[LIGHT_LEVELS]; /* frames made of one; growth of the sides; each 1 or 2 */
    int patch;                                   /* pixels of a side that the last layer makes at each position */
    double clamp;                                /* 3 in the public weights; 0: latents are not clamped */
};
enum light_kind { LIGHT_CONV, LIGHT_MEMORY, LIGHT_GROW };
struct light_layer {
    enum light_kind kind;
    int ci, co;       /* GROW: co is ci */
    int frames, side; /* size of the input: frames a latent frame, rows a latent row */
    int relu;         /* CONV: 1: ends in a ReLU */
    int grow, scale;  /* GROW: as in the config */
    int bias;
    size_t w[3], b[3]; /* offsets in the layer's slice; MEMORY has three of each, the others one */
};
struct light_decoder {
    struct light_decoder_config config;
    struct param_table table;
    struct light_layer layers[LIGHT_LAYERS_MAX];
    int count;
};
/* Makes the layers and their table. ERR_USAGE: growth in time is not 4 in all, or a size is out of range. */
int light_decoder_create(struct light_decoder *net, const struct light_decoder_config *config);
void light_decoder_destroy(struct light_decoder *net);
/* Turns a layer's fresh random weights, host floats of its slice, into those that training starts from: levels near the
   identity, pixels near 1/2. From plain random weights most ReLUs die before anything is learnt. */
void light_decoder_begin(const struct light_decoder *net, int layer, float *slice);
/* Pixels along a side for one latent position: the codec's stride. */
int light_decoder_stride(const struct light_decoder_config *config);

/* Lays out what passes over clips need. STREAM: at most `frames` latent frames at a time; TRAIN: up to `batch` whole
   clips of `frames`. h, w: latent rows and columns. */
struct light_acts;
int light_acts_layout(struct light_acts **acts, const struct light_decoder *net, enum decoder_memory memory, int batch,
                      int frames, int h, int w, struct arena *arena);
void light_acts_free(struct light_acts *acts);
/* Bytes of workspace (kernels/workspace.h) for TRAIN; the last convolution, to pixels of 3 colours, needs the most. */
size_t light_decoder_workspace(const struct light_decoder *net, int batch, int frames, int h, int w);

/* STREAM. light_stream_reset starts a clip. light_stream_decode takes any number of latent frames up to the layout's
   and returns the number of video frames made (1 for the first latent, 4 for each later one); pixels are packed. */
void light_stream_reset(struct light_acts *acts);
int light_stream_decode(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                        const real *latents, int frames, real *pixels);

/* TRAIN. Forward: latents [batch, F, C, h, w] to pixels [batch, 4F-3, 3, H, W]; batch is at most the layout's. Backward
   adds the parameters' gradients. */
void light_decoder_forward(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                           int batch, const real *latents, real *pixels);
void light_decoder_backward(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                            const real *dpixels);

#endif
