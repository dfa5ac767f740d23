/* rollout.h: the causal few-step student at work, chunk by chunk: one function for training and streaming.
   Prefill: the clean reference at t = 0. Then per chunk N passes at sigma[0] > ... > sigma[N-1]; after each pass but
   the last the x0 prediction x - sigma v is noised again to the next level with fresh noise:
   x = (1 - sigma') x0 + sigma' noise. The history entry of a chunk is the K/V of its last pass; with clean_pass, of an
   extra pass over the last x0 at t = 0.
   Random numbers: noise of (sample, absolute latent frame, element, purpose, pass, step): base/philox.h; pass 0 is the
   starting noise. So a sample's noise depends neither on the batch around it nor on where a stream was cut.
   The gradient of a rollout is that of one pass a chunk, `exit`, with its input and its history held constant:
   rollout_chunk keeps the input, rollout_rerun runs that pass again, saving, and rollout_rerun_backward follows at
   once. */
#ifndef MODEL_DIT_ROLLOUT_H
#define MODEL_DIT_ROLLOUT_H

#include "model/dit/kv_cache.h"
#include "model/dit/recorded_pass.h"

enum { ROLLOUT_STEPS_MAX = 8 };
struct rollout_config {
    struct causal_config causal;
    int steps;                       /* N */
    double sigma[ROLLOUT_STEPS_MAX]; /* in (0, 1], falling */
    int clean_pass;
};
struct rollout_noise {
    uint64_t seed, step;
    int purpose; /* enum random_purpose */
    long sample0;
};
/* Conditions of the batch. Windows cover latent frames window_first .. ; the stream moves them along. */
struct rollout_condition {
    const elem *text;                 /* [B, text_len, text_dim] */
    const elem *audio[AUDIO_STREAMS]; /* window of frame f at (f - window_first) * AUDIO_WINDOW * audio_dim */
    long audio_stride;                /* elements between samples */
    int window_first;
};

struct rollout {
    const struct dit *net;
    struct rollout_config config;
    int batch; /* samples in hand, at most those laid out */
    struct kv_cache *cache;
    struct dit_acts *acts; /* DIT_FORWARD_ONLY, chunk frames */
    int next_chunk;        /* 1 before the first */
    /* device: x [B, C frames] is the pass's input; x0 its velocity, then its x0 prediction; t [N + 1][B C] the levels'
       1000 sigma, the last of them 0 */
    real *x, *x0, *t;
    int borrows;                      /* acts, x, x0 and t are another's */
    struct recorded_passes *recorded; /* rollout_record */
};
/* capacity: kv_cache.h. Called twice (arena.h; free what the planning call made). ERR_USAGE names what does not fit. */
int rollout_layout(struct rollout *r, const struct dit *net, const struct rollout_config *config, int batch,
                   int capacity, struct arena *arena);
/* The memory that chunks are worked out in, without a cache: for streams that take turns with it, chunk by chunk. They
   share their text as well, whose keys and values lie there. */
int rollout_layout_work(struct rollout *work, const struct dit *net, const struct rollout_config *config, int batch,
                        struct arena *arena);
/* One of those streams: it has a cache of its own. `work` outlives it. */
int rollout_layout_stream(struct rollout *r, const struct rollout *work, int capacity, struct arena *arena);
void rollout_free(struct rollout *r);
/* From here on the passes of chunks are recorded and replayed where the device does that (kernels/recordings.h): for
   streams, whose ring slots and sizes soon come round again. The same bits. Networks divided over ranks or with
   adapters run as ever. */
int rollout_record(struct rollout *r);
/* No more: what was recorded is dropped. */
void rollout_direct(struct rollout *r);
/* Chunks from a clip's first until every kind of pass has come: while the history grows, then once round the ring.
   After one clip of so many all plans of libraries are made, after two all recordings. */
int rollout_chunk_kinds(const struct causal_config *causal);
struct recording_counts rollout_recordings(const struct rollout *r); /* zeros: nothing is recorded */
/* Clips of `batch` samples from here on. */
void rollout_batch(struct rollout *r, int batch);
/* The next clip's first chunk is the next one, also before rollout_begin. */
void rollout_rewind(struct rollout *r);
/* First latent frame of the next chunk. */
static inline int rollout_next_frame(const struct rollout *r) {
    return (r->next_chunk - 1) * r->config.causal.chunk + 1;
}
/* Starts a clip: clears the cache and runs the reference [B][1, C, H, W] (sample stride given) at t = 0. Text is read
   here, audio of frame 0 too. */
int rollout_begin(struct rollout *r, const struct params *params, const real *reference, long stride,
                  const struct rollout_condition *condition);
/* The next chunk: x0 [B][C frames] of the pass `exit` (0..N-1; N-1 is what is served) into out; exit_input, if not
   NULL, gets that pass's input; all N passes always run. Strides between samples in elements. */
int rollout_chunk(struct rollout *r, const struct params *params, const struct rollout_condition *condition,
                  const struct rollout_noise *noise, int exit, real *out, long out_stride, real *exit_input,
                  long exit_stride);
/* The pass `exit` of chunk i again, from its recorded input and with its history as a constant, through acts that can
   save; x0 (into out, NULL: not wanted) is bit-equal to the first run's (on cuda up to elem's rounding: there the FFN's
   product is another kernel where its argument is kept). Nothing enters the cache. The history must still be there
   (training capacity). */
int rollout_rerun(struct rollout *r, const struct params *params, struct dit_acts *acts,
                  const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                  long exit_stride, real *out, long out_stride);
/* Backward of rollout_rerun with the same arguments: dx0 [B][C frames] -> weight gradients in params. */
int rollout_rerun_backward(struct rollout *r, const struct params *params, struct dit_acts *acts,
                           const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                           long exit_stride, const real *dx0, long dx0_stride);

#endif
