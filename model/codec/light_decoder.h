/* light_decoder.h: a small causal decoder from latents to video, forward, streaming and backward: the shape of the tiny
   autoencoders that are in use for Wan and other video models (TAEHV, public description), at any width and depth.
   All convolutions are 3 x 3 on channels-last frames, ReLU, no norm:
     z = 3 tanh(latent / 3), or another clamp;  x = relu(conv(z))
     three levels of: `blocks` memory blocks;  growth: 1 x 1 to n frames for each;  nearest upsampling;  conv without
     bias x = relu(x);  pixels = pixel shuffle by `patch` of conv(x), three colours in [0, 1], not clamped
   A memory block sees each frame beside the one before it (nothing before the first), which here is a convolution over
   two frames:
     relu(x + conv(relu(conv(relu(conv([before, x]))))))
   Growth is done before the upsampling; a 1 x 1 layer gives the same on the smaller picture.
   A latent frame makes 4 video frames; the first latent's last one alone is kept (3 are trimmed), so that F latents
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
    int channels;                                /* of the latents */
    int first, level[LIGHT_LEVELS];              /* widths: of the first level, and of what follows each level */
    int blocks;                                  /* memory blocks a level */
    int grow[LIGHT_LEVELS], scale[LIGHT_LEVELS]; /* frames for a frame, growth of the sides: 1 or 2 each */
    int patch;
    double clamp; /* 3 in the public weights; 0: none */
};
enum light_kind { LIGHT_CONV, LIGHT_MEMORY, LIGHT_GROW };
struct light_layer {
    enum light_kind kind;
    int ci, co;       /* GROW: co is ci */
    int frames, side; /* of the input: frames a latent frame, rows a latent row */
    int relu;         /* CONV: whether it ends in one */
    int grow, scale;  /* GROW */
    int bias;
    size_t w[3], b[3]; /* in the layer's slice; MEMORY has three, the others one */
};
struct light_decoder {
    struct light_decoder_config config;
    struct param_table table;
    struct light_layer layers[LIGHT_LAYERS_MAX];
    int count;
};
/* ERR_USAGE when growth is not 4 in all or a size is out of range. */
int light_decoder_create(struct light_decoder *net, const struct light_decoder_config *config);
void light_decoder_destroy(struct light_decoder *net);
/* Makes of a layer's fresh random weights, host floats of its slice, those that training starts from: levels begin near
   the identity and pixels at 1/2. From plain random weights most units die before anything is learnt. */
void light_decoder_begin(const struct light_decoder *net, int layer, float *slice);
/* Pixels for a latent position, along a side: the codec's stride. */
int light_decoder_stride(const struct light_decoder_config *config);

/* What passes over clips need. STREAM: at most `frames` latent frames at a time; TRAIN: up to `batch` whole clips of
   `frames`. h, w: latent rows and columns. */
struct light_acts;
int light_acts_layout(struct light_acts **acts, const struct light_decoder *net, enum decoder_memory memory, int batch,
                      int frames, int h, int w, struct arena *arena);
void light_acts_free(struct light_acts *acts);
/* Bytes of workspace (kernels/workspace.h) that TRAIN wants: its widest convolution is the last, to pixels of 3
   colours. */
size_t light_decoder_workspace(const struct light_decoder *net, int batch, int frames, int h, int w);

/* STREAM: a clip starts; then any number of latent frames, as many at once as the layout says. Returns the number of
   video frames (1 for the first latent, 4 for each later one); pixels are packed. */
void light_stream_reset(struct light_acts *acts);
int light_stream_decode(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                        const real *latents, int frames, real *pixels);

/* TRAIN: latents [batch, F, C, h, w] to pixels [batch, 4F-3, 3, H, W], batch at most the layout's; then the gradients
   of the parameters, added. */
void light_decoder_forward(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                           int batch, const real *latents, real *pixels);
void light_decoder_backward(const struct light_decoder *net, const struct params *params, struct light_acts *acts,
                            const real *dpixels);

#endif
