/* wav2vec2_clip.c: a whole clip through the speech encoder. Both sets of statistics are measured over all of the clip
   first, then features are made, both in blocks; then the transformer sees everything at once. */
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/params/transfer.h"
#include "model/audio/wav2vec2.h"

enum { BLOCK = 50 }; /* features made at once */

struct clip {
    const struct wav2vec2 *net;
    const struct params *params;
    struct arena arena;
    struct wav2vec2_buffers buffers;
    real *features, *resampled, *out;
    long frames, rows; /* features; rows of the transformer */
};

static void layout(struct clip *k, long before, long out) {
    long C = k->net->config.conv_dim[k->net->config.convs - 1];
    k->features = ARENA_TAKE(&k->arena, "features", real, k->frames * C);
    k->resampled = before > 0 ? ARENA_TAKE(&k->arena, "features resampled", real, before * C) : k->features;
    wav2vec2_layout(&k->buffers, k->net, k->frames < BLOCK ? k->frames : BLOCK, k->rows, &k->arena);
    k->out = ARENA_TAKE(&k->arena, "hidden states", real, out);
}

/* Measures mean and variance of all samples; each block's weight is its share of the samples so far. */
static void measure_signal(struct clip *k, const float *pcm, long samples) {
    long piece = wav2vec2_samples(k->net, k->buffers.block);
    for (long at = 0; at < samples; at += piece) {
        long n = samples - at < piece ? samples - at : piece;
        wav2vec2_take(&k->buffers, pcm + at, n);
        wav2vec2_measure_signal(&k->buffers, n, (double)n / (double)(at + n));
    }
}

/* Measures the first convolution's outputs likewise, including those that no feature uses. */
static void measure_first(struct clip *k, const float *pcm, long samples) {
    const struct wav2vec2_config *c = &k->net->config;
    long piece = wav2vec2_samples(k->net, k->buffers.block), kernel = c->conv_kernel[0], stride = c->conv_stride[0];
    long all = (samples - kernel) / stride + 1, most = (piece - kernel) / stride + 1;
    for (long at = 0; at < all; at += most) {
        long rows = all - at < most ? all - at : most, n = (rows - 1) * stride + kernel;
        wav2vec2_take(&k->buffers, pcm + at * stride, n);
        wav2vec2_measure_first(k->net, k->params, &k->buffers, n, rows, (double)rows / (double)(at + rows));
    }
}

static void make_features(struct clip *k, const float *pcm) {
    long C = k->net->config.conv_dim[k->net->config.convs - 1];
    for (long at = 0; at < k->frames; at += k->buffers.block) {
        long n = k->frames - at < k->buffers.block ? k->frames - at : k->buffers.block;
        wav2vec2_take(&k->buffers, pcm + at * k->net->hop, wav2vec2_samples(k->net, n));
        wav2vec2_features(k->net, k->params, &k->buffers, n, k->features + at * C);
    }
}

/* Distance between rows when `from` rows are interpolated to `to`, ends aligned. */
static double step_of(long from, long to) { return to > 1 ? (double)(from - 1) / (double)(to - 1) : 0; }

static int run(struct clip *k, const float *pcm, long samples, long before, const int *state, int count, long rows,
               float *out) {
    long C = k->net->config.conv_dim[k->net->config.convs - 1], n = count * rows * k->net->config.dim;
    layout(k, before, n);
    TRY(arena_commit(&k->arena));
    layout(k, before, n);
    measure_signal(k, pcm, samples);
    measure_first(k, pcm, samples);
    make_features(k, pcm);
    if (before > 0) interpolate_rows(k->resampled, k->features, k->frames, before, C, 0, step_of(k->frames, before));
    struct wav2vec2_tap tap = {
        .state = state, .count = count, .rows = rows, .step = step_of(k->rows, rows), .out = k->out};
    wav2vec2_transform(k->net, k->params, &k->buffers, k->resampled, k->rows, &tap);
    transfer_from_real(out, k->out, n);
    return device_sync();
}

int wav2vec2_clip(const struct wav2vec2 *net, const struct params *params, const float *pcm, long samples, long before,
                  const int *state, int count, long rows, float *out) {
    struct clip clip = {.net = net, .params = params};
    float *longer = NULL;
    if (samples < net->reach) {
        longer = calloc((size_t)net->reach, sizeof *longer);
        if (!longer) return error_set(ERR_DEVICE, "out of memory for a clip");
        if (samples > 0) memcpy(longer, pcm, sizeof *pcm * (size_t)samples);
        pcm = longer;
        samples = net->reach;
    }
    clip.frames = wav2vec2_frames(net, samples);
    clip.rows = before > 0 ? before : clip.frames;
    arena_begin(&clip.arena, "speech encoder");
    int code = run(&clip, pcm, samples, before, state, count, rows > 0 ? rows : clip.rows, out);
    arena_free(&clip.arena);
    free(longer);
    return code;
}
