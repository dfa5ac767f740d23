/* rollout.h: the causal few-step student at work, chunk by chunk: one function for training and streaming.
   Prefill: the clean reference at t = 0. Then per chunk N passes at sigma[0] > ... > sigma[N-1]; after each pass but the
   last the x0 prediction is noised again to the next level with fresh noise. The history entry of a chunk is the K/V of
   its last pass; with clean_pass, of an extra pass over the result at t = 0.
   Random numbers: noise of (sample, absolute latent frame, element, purpose, pass, step): base/philox.h. */
#ifndef MODEL_ROLLOUT_H
#define MODEL_ROLLOUT_H

#include "model/kv_cache.h"

enum { ROLLOUT_STEPS_MAX = 8 };
struct rollout_config {
    struct causal_config causal;
    int steps;                      /* N */
    double sigma[ROLLOUT_STEPS_MAX];
    int clean_pass;
};
struct rollout_noise {
    uint64_t seed, step;
    int purpose; /* enum random_purpose */
    long sample0;
};
/* Conditions of up to B samples. Windows cover latent frames window_first .. ; the stream moves them along. */
struct rollout_condition {
    const elem *text;                 /* [B, text_len, text_dim] */
    const elem *audio[AUDIO_STREAMS]; /* window of frame f at (f - window_first) * 8 * audio_dim */
    long audio_stride;
    int window_first;
};

struct rollout {
    const struct dit *net;
    struct rollout_config config;
    int batch;
    struct kv_cache *cache;
    struct dit_acts *acts;    /* DIT_FORWARD_ONLY, max(1, chunk) frames */
    int next_chunk;           /* 1 after the prefill */
    /* device buffers of one chunk: */
    real *x, *x0, *noise, *t, *coef_a, *coef_b, *velocity;
};
/* capacity: kv_cache.h. */
int rollout_layout(struct rollout *r, const struct dit *net, const struct rollout_config *config, int batch, int capacity,
                   struct arena *arena);
void rollout_free(struct rollout *r);
/* Starts a clip: clears the cache and runs the reference [B][1, C, H, W] (sample stride given) at t = 0. */
int rollout_begin(struct rollout *r, const struct params *params, const real *reference, long stride,
                  const struct rollout_condition *condition);
/* The next chunk: x0 [B][C frames] of the pass `exit` (0..N-1; N-1 is what is served) into out; exit_input, if not NULL,
   gets that pass's input; all N passes always run. Strides between samples in elements. */
int rollout_chunk(struct rollout *r, const struct params *params, const struct rollout_condition *condition,
                  const struct rollout_noise *noise, int exit, real *out, long out_stride, real *exit_input,
                  long exit_stride);
/* The pass `exit` of chunk i again, from its recorded input and with its history as a constant, through acts that can
   save; x0 is bit-equal to the first run's. The history must still be in the cache (training capacity). */
int rollout_rerun(struct rollout *r, const struct params *params, struct dit_acts *acts,
                  const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                  long exit_stride, real *out, long out_stride);
/* Backward of rollout_rerun: dx0 [B][C frames] -> weight gradients in params. */
int rollout_rerun_backward(struct rollout *r, const struct params *params, struct dit_acts *acts,
                           const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                           long exit_stride, const real *dx0, long dx0_stride);

#endif
