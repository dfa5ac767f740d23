/* rollout.h: the causal few-step student at work, chunk by chunk: one function for training and streaming.
   One clip, with N passes a chunk at noise levels sigma[0] > ... > sigma[N-1]:

     rollout_begin   reference ---------------> pass at t = 0 -------> its K, V into the cache
     rollout_chunk   noise -------------------> pass 0 at sigma[0] --> x0 = x - sigma[0] v
     (again and      (1 - s) x0 + s noise ----> pass 1 at sigma[1] --> x0      s = sigma[1], fresh noise
     again)            ...
                     (1 - s) x0 + s noise ----> pass N-1 ------------> x0 of the chunk; its K, V into the cache
                     x0 ----------------------> pass N at t = 0 -----> its K, V into the cache instead (clean_pass only)

   Every pass of a chunk attends to the same history, the cache as it was before the chunk, and to the chunk itself;
   only the pass named above leaves the chunk in the cache. `out` is the x0 of pass `exit`: N-1 where people see the
   video, an earlier one where training draws it. Random numbers: noise is addressed by sample, absolute latent frame,
   element, purpose, pass and step (base/philox.h); pass 0 is the starting noise. So a sample's noise depends neither on
   the batch around it nor on where a stream was cut.
   The gradient of a rollout is that of one pass a chunk, `exit`, with its input and its history held constant:
   rollout_chunk copies that input out, rollout_rerun runs the pass again and saves activations, and
   rollout_rerun_backward follows at once. */
#ifndef MODEL_DIT_ROLLOUT_H
#define MODEL_DIT_ROLLOUT_H

#include "model/dit/kv_cache.h"
#include "model/dit/recorded_pass.h"

enum { ROLLOUT_STEPS_MAX = 8 };
struct rollout_config {
    struct causal_config causal;
    int steps;                       /* N, passes of a chunk */
    double sigma[ROLLOUT_STEPS_MAX]; /* noise level of each pass, in (0, 1], falling */
    int clean_pass;
};
struct rollout_noise {
    uint64_t seed, step;
    int purpose; /* enum random_purpose */
    long sample0;
};
/* Text and sound of the batch, on the device. Audio windows cover latent frames from window_first on; a stream moves
   them along, and back to 0 for a new reference. ERR_USAGE where they begin behind the frames to be made. */
struct rollout_condition {
    const elem *text;                 /* [B, text_len, text_dim] */
    const elem *audio[AUDIO_STREAMS]; /* frame f's window is at (f - window_first) * AUDIO_WINDOW * audio_dim */
    long audio_stride;                /* elements between samples */
    int window_first;
};

struct rollout {
    const struct dit *net;
    struct rollout_config config;
    int batch; /* samples of the current clips, at most those laid out */
    struct kv_cache *cache;
    struct dit_acts *acts; /* DIT_FORWARD_ONLY, for the frames of one chunk */
    int next_chunk;        /* index of the chunk made next, from 1 */
    /* Device. x [B, C frames]: the pass's input. x0: its velocity, then its x0 prediction. t [N + 1][B C]: 1000 sigma
       of every level, then 0. */
    real *x, *x0, *t;
    real *reference;                /* device [B][C, H, W] of the clips at hand, for a network with reference_gate */
    double guidance[AUDIO_STREAMS]; /* see rollout_guide; 1 after the layout */
    real *sum;                      /* as x0: the guided prediction while its passes run; NULL: laid out without */
    elem *silence;                  /* windows of a chunk in which nobody is heard */
    enum kv_type type;              /* what the caches of streams keep, and in fp8 the places that they share */
    struct kv_layer layer;
    int borrows;                      /* 1: acts, x, x0 and t belong to another rollout (rollout_layout_stream) */
    struct recorded_passes *recorded; /* NULL until rollout_record */
};
/* Lays out a rollout of `batch` samples with a cache of its own. capacity: kv_cache.h. Called twice (arena.h; free what
   the planning call made). ERR_USAGE names what does not fit. */
int rollout_layout(struct rollout *r, const struct dit *net, const struct rollout_config *config, int batch,
                   int capacity, struct arena *arena);
/* Lays out only what making a chunk needs besides the cache, for streams that take turns with it, chunk by chunk, and
   whose caches are of that type. They also share one text, because its keys and values lie there. */
int rollout_layout_work(struct rollout *work, const struct dit *net, const struct rollout_config *config, int batch,
                        enum kv_type type, struct arena *arena);
/* Lays out one of those streams: a cache (KV_STREAM) of its own, everything else borrowed from `work`, which must
   outlive it and stay where it is. */
int rollout_layout_stream(struct rollout *r, const struct rollout *work, struct arena *arena);
void rollout_free(struct rollout *r);
/* Records the passes of chunks from here on, and replays them, where the device can (kernels/recordings.h). Worth it
   for streams, whose places and sizes soon come round again. Results are the same bits. Networks divided over ranks or
   with adapters are not recorded. */
int rollout_record(struct rollout *r);
/* Ends recording and drops what was recorded. */
void rollout_direct(struct rollout *r);
/* Number of chunks, from a clip's first, until every kind of pass has come once: while the history grows, then once
   round the ring. After one clip of that length libraries have made all their plans; after two, all recordings are
   made. */
int rollout_chunk_kinds(const struct causal_config *causal);
struct recording_counts rollout_recordings(const struct rollout *r); /* zeros: nothing is recorded */
/* Sets how strongly each party's sound acts from the next chunk on, as in the teacher's guidance (sampler.h):

     v = v(nobody) + talk (v(agent) - v(nobody)) + listen (v(both) - v(agent)),

   where v(...) hears these parties and windows of zeros for the others. A student was distilled from guided velocities,
   so 1 and 1 are what it learned, and cost one pass a step; 0 does not hear the party; more than 1 exaggerates it. Each
   v with a weight other than 0 costs a pass. The cache keeps keys and values of the pass that hears both. Streams alone
   (rollout_layout_stream) can do it. */
void rollout_guide(struct rollout *r, double talk, double listen);
int rollout_guided_passes(double talk, double listen); /* passes that a step takes then */
/* Sets the number of samples of the clips that follow, at most the number laid out. */
void rollout_batch(struct rollout *r, int batch);
/* Makes chunk 1 the next one, also before rollout_begin (so that rollout_next_frame is right for the next clip). */
void rollout_rewind(struct rollout *r);
/* Latent index of the next chunk's first frame; its number of frames is causal_own's (rapr.h). */
static inline int rollout_next_frame(const struct rollout *r) { return causal_first(&r->config.causal, r->next_chunk); }
/* Starts a clip: clears the cache and runs the reference [B][1, C, H, W] (`stride` elements between samples) at t = 0.
   Reads the text and frame 0's audio window. */
int rollout_begin(struct rollout *r, const struct params *params, const real *reference, long stride,
                  const struct rollout_condition *condition);
/* Puts another reference in the place of frame 0 while the clip goes on: its keys and values replace the old ones,
   everything else stays. Between chunks, as long as frame 0 is in the cache (a sink of 1 or more). */
int rollout_change_reference(struct rollout *r, const struct params *params, const real *reference, long stride,
                             const struct rollout_condition *condition);
/* Makes the next chunk: the x0 [B][C frames] of pass `exit` (0 .. N-1; streams take N-1) goes into out, that pass's
   input into exit_input if not NULL. All N passes always run. Strides: elements between samples. */
int rollout_chunk(struct rollout *r, const struct params *params, const struct rollout_condition *condition,
                  const struct rollout_noise *noise, int exit, real *out, long out_stride, real *exit_input,
                  long exit_stride);
/* The chunk just made, as the cache has it: the input of the pass whose keys and values the cache keeps, the chunk's
   clean latents z, both [B, C frames], and that pass's noise level. They lie in the rollout's work memory until its
   next call. */
struct rollout_entry {
    real *input, *z;
    double sigma;
};
struct rollout_entry rollout_entry(struct rollout *r);
/* Runs that pass again from what entry.input holds now: its keys and values take the place of the chunk's in the cache
   (train/method/history_spoil.h). Overwrites z. */
int rollout_replace_entry(struct rollout *r, const struct params *params, const struct rollout_condition *condition);
/* Runs pass `exit` of a chunk again, from its kept input and with its history as a constant, through acts that can
   save. x0 goes into out (NULL: not wanted) and has the same bits as in the first run, but on cuda only up to elem's
   rounding: the FFN's product is another kernel there where its argument is kept. Nothing enters the cache. The history
   must still be there (training capacity). */
int rollout_rerun(struct rollout *r, const struct params *params, struct dit_acts *acts,
                  const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                  long exit_stride, real *out, long out_stride);
/* Backward of rollout_rerun, called right after it with the same arguments: from dx0 [B][C frames] to weight gradients
   in params. */
int rollout_rerun_backward(struct rollout *r, const struct params *params, struct dit_acts *acts,
                           const struct rollout_condition *condition, int chunk, int exit, const real *exit_input,
                           long exit_stride, const real *dx0, long dx0_stride);

#endif
