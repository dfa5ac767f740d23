/* wav2vec2_encoder_clip.c: runs wav2vec2 over all of the sound at once, behind the streaming interface: samples are
   kept until the flush, which makes every feature. See encoder.h. n samples are F = n / 640 video frames, rounded up;
   features before or hidden states after the transformer are interpolated to F rows with their ends aligned. Memory
   grows with the sound. */
#include "model/audio/encoder.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/audio/internal.h"

struct clip {
    const struct wav2vec2 *net;
    const struct params *params;
    int state[WAV2VEC2_STATES_MAX], count, mean, before;
    float *pcm;
    long held, capacity;
    float *features; /* [frames, dim], made at the flush */
    long frames, given;
    int flushed;
};

static void clip_reset(struct audio_encoder *encoder) {
    struct clip *c = encoder->state;
    free(c->features);
    c->features = NULL;
    c->held = c->frames = c->given = c->flushed = 0;
}

static void clip_close(struct audio_encoder *encoder) {
    struct clip *c = encoder->state;
    free(c->pcm);
    free(c->features);
    free(c);
}

static int clip_push(struct audio_encoder *encoder, const float *pcm, long samples, float *features, int capacity) {
    struct clip *c = encoder->state;
    (void)features;
    (void)capacity;
    if (c->held + samples > c->capacity) {
        long wanted = 2 * (c->held + samples);
        float *grown = realloc(c->pcm, sizeof *grown * (size_t)wanted);
        if (!grown) return -error_set(ERR_DEVICE, "audio encoder: out of memory for %ld samples", wanted);
        c->pcm = grown;
        c->capacity = wanted;
    }
    for (long i = 0; i < samples; i++) c->pcm[c->held++] = audio_sample(pcm[i]);
    return 0;
}

static int encode(struct audio_encoder *encoder, struct clip *c) {
    c->frames = (c->held + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME;
    if (!c->frames) return OK;
    size_t all = (size_t)c->frames * (size_t)c->count * (size_t)c->net->config.dim;
    float *states = malloc(sizeof *states * all);
    c->features = malloc(sizeof *c->features * (size_t)c->frames * (size_t)encoder->dim);
    int code = states && c->features ? OK : error_set(ERR_DEVICE, "audio encoder: out of memory");
    if (!code)
        code = wav2vec2_clip(c->net, c->params, c->pcm, c->held, c->before ? c->frames : 0, c->state, c->count,
                             c->frames, states);
    if (!code) audio_join_states(c->features, states, c->count, c->mean, c->frames, c->net->config.dim);
    free(states);
    return code;
}

static int clip_flush(struct audio_encoder *encoder, float *features, int capacity) {
    struct clip *c = encoder->state;
    if (!c->flushed) {
        int code = encode(encoder, c);
        if (code) return -code;
        c->flushed = 1;
    }
    long n = c->frames - c->given < capacity ? c->frames - c->given : capacity;
    if (n) memcpy(features, c->features + c->given * encoder->dim, sizeof *features * (size_t)(n * encoder->dim));
    c->given += n;
    return (int)n;
}

static const struct audio_operations clip_operations = {clip_close, clip_reset, clip_push, clip_flush};

int audio_wav2vec2_clip_open(struct audio_encoder *encoder, const struct wav2vec2 *net, const struct params *params,
                             const struct audio_recipe *recipe) {
    struct clip *c = calloc(1, sizeof *c);
    if (!c) return error_set(ERR_DEVICE, "audio encoder: out of memory");
    encoder->operations = &clip_operations;
    encoder->state = c;
    encoder->lookahead = AUDIO_LOOKAHEAD_ALL;
    c->net = net;
    c->params = params;
    c->before = recipe->resample == AUDIO_BEFORE;
    TRY(audio_states(recipe->states, net->config.layers, c->state, WAV2VEC2_STATES_MAX, &c->count, &c->mean));
    encoder->dim = c->mean ? net->config.dim : c->count * net->config.dim;
    return OK;
}
