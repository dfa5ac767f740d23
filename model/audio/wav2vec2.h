/* wav2vec2.h: the speech encoder wav2vec 2.0 (Baevski 2020), in both shapes that public checkpoints have, at any size.
   Inference only. Names of parameters are those of Transformers' Wav2Vec2Model.
     signal [n]                     16 kHz mono; normalised to mean 0, deviation 1 when the checkpoint wants that
     convolutions over time         no padding; norm and exact GELU after each:
                                      one norm a channel over all time after the first one alone (base), or
                                      LayerNorm over channels after every one (large, robust)
     features [T, C]                one row every `hop` samples (320: 50 a second), each of `reach` samples (400)
     LayerNorm, linear              [T, dim]
     positions                      + GELU(grouped convolution over time)
     layers                         post-norm (base) or pre-norm ("stable": large, robust)
   Hidden states: 0 is the first layer's input, i the output of layer i; with pre-norm the last one is normed once more.
   Two sets of statistics run over time: mean and variance of the signal, and of the first convolution's channels. They
   are kept in the buffers and merged block by block, so that a whole clip and a stream run the same code: a clip
   measures everything first, a stream measures as it goes (wav2vec2_encoder.c). All memory is on the device unless
   marked host. Failures are those of device.h; the caller must keep to the sizes laid out. */
#ifndef MODEL_AUDIO_WAV2VEC2_H
#define MODEL_AUDIO_WAV2VEC2_H

#include "kernels/arena.h"
#include "model/params/params.h"

enum { WAV2VEC2_CONVS_MAX = 16, WAV2VEC2_LAYERS_MAX = 64, WAV2VEC2_STATES_MAX = 80 };

struct wav2vec2_config {
    int convs; /* convolutions over time */
    int conv_dim[WAV2VEC2_CONVS_MAX], conv_kernel[WAV2VEC2_CONVS_MAX], conv_stride[WAV2VEC2_CONVS_MAX];
    int conv_bias;
    int norm_every; /* 1: LayerNorm after every convolution; 0: a norm over time after the first */
    int dim, layers, heads, ffn_dim;
    int position_kernel, position_groups;
    int pre_norm;
    double eps;    /* added to variances by the LayerNorms outside the convolutions */
    int normalise; /* 1: the signal is brought to mean 0, deviation 1 */
};
/* The config of wav2vec2-base. */
extern const struct wav2vec2_config wav2vec2_base;

struct wav2vec2 {
    struct wav2vec2_config config;
    struct param_table table; /* slice 0: convolutions, projection, positions, norm; 1 + i: layer i */
    int hop, reach;           /* samples from one feature to the next; samples that one feature sees */
    struct {
        size_t w, b, norm_w, norm_b;
    } conv[WAV2VEC2_CONVS_MAX]; /* w [out, kernel, in] */
    struct {
        size_t norm_w, norm_b, w, b;
    } projection;
    struct {
        size_t w, b;
    } position; /* w [dim, kernel, dim / groups], the weight norm folded in */
    size_t norm_w, norm_b;
    struct {
        size_t q_w, q_b, k_w, k_b, v_w, v_b, o_w, o_b, norm_w, norm_b, in_w, in_b, out_w, out_b, last_w, last_b;
    } layer;
};
/* Makes shape and table. ERR_USAGE names a value that is out of range. */
int wav2vec2_create(struct wav2vec2 *net, const struct wav2vec2_config *config);
void wav2vec2_destroy(struct wav2vec2 *net);
/* Number of features of n samples; 0 when they are fewer than `reach`. */
long wav2vec2_frames(const struct wav2vec2 *net, long samples);
/* Samples that `frames` features take. */
static inline long wav2vec2_samples(const struct wav2vec2 *net, long frames) {
    return (frames - 1) * net->hop + net->reach;
}

/* Everything that one stream or clip needs besides the weights. */
struct wav2vec2_buffers {
    long block, rows;                  /* most features made at once; most rows of the transformer */
    real *pcm;                         /* the block's samples */
    real *mean, *variance;             /* [1] statistics of the signal */
    real *first_mean, *first_variance; /* statistics of the first convolution's channels */
    elem *signal, *wave[2], *unfolded;
    real *pre;
    real *row_mean, *row_rstd;
    resid *x;
    elem *h, *q, *k, *v, *o, *inner;
    real *lse;
    elem *group, *group_unfolded, *group_out;
};
void wav2vec2_layout(struct wav2vec2_buffers *buffers, const struct wav2vec2 *net, long block, long rows,
                     struct arena *arena);

/* Uploads a block's samples (host). */
void wav2vec2_take(struct wav2vec2_buffers *b, const float *pcm, long samples);
/* Merges the block's first `samples` samples, with `weight`, into the signal's statistics (1: they replace them). */
void wav2vec2_measure_signal(struct wav2vec2_buffers *b, long samples, double weight);
/* Runs the first convolution over the block of `samples` and merges its first `rows` outputs, with `weight`, into its
   statistics. Nets without such statistics do nothing. */
void wav2vec2_measure_first(const struct wav2vec2 *net, const struct params *params, struct wav2vec2_buffers *b,
                            long samples, long rows, double weight);
/* Computes features [frames, C] of the current block with the present statistics. */
void wav2vec2_features(const struct wav2vec2 *net, const struct params *params, struct wav2vec2_buffers *b, long frames,
                       real *features);

/* The hidden states that are wanted. Row i of each is taken at row first + i step, interpolated linearly. */
struct wav2vec2_tap {
    const int *state; /* host [count] */
    int count;
    long rows;
    double first, step;
    real *out; /* [count, rows, dim] */
};
/* Runs projection and transformer over n rows of features. */
void wav2vec2_transform(const struct wav2vec2 *net, const struct params *params, struct wav2vec2_buffers *b,
                        const real *features, long n, const struct wav2vec2_tap *tap);

/* Runs a whole clip as Transformers does, in memory that it allocates and frees. All arguments are host memory. before:
   rows that features are interpolated to, ends aligned, before the projection; 0: not. rows: rows that hidden states
   are interpolated to; 0: not. out [count, rows, dim]. A clip shorter than `reach` is continued by silence. */
int wav2vec2_clip(const struct wav2vec2 *net, const struct params *params, const float *pcm, long samples, long before,
                  const int *state, int count, long rows, float *out);

#endif
