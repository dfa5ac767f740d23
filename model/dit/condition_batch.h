/* condition_batch.h: what a batch of clips is conditioned on, on the device: text, the audio windows of all latent
   frames, and the windows of silence that guidance compares with. */
#ifndef MODEL_DIT_CONDITION_BATCH_H
#define MODEL_DIT_CONDITION_BATCH_H

#include "kernels/arena.h"
#include "model/dit/dit.h"
#include "model/dit/rollout.h"

/* What a loader delivers, on the host; features are not yet multiplied by the mask. */
struct condition_host {
    const float *features[AUDIO_STREAMS]; /* [B, T, D] */
    const float *mask[AUDIO_STREAMS];     /* [B, T] */
    const float *text;                    /* [B, text_len, text_dim] */
    const float *empty; /* [text_len, text_dim], the prompt of dropped text: empty or negative; NULL: zeros */
};
enum { CLIP_FRAMES_MAX = 1024, AUDIO_ALL = (1 << AUDIO_STREAMS) - 1 };
struct condition_batch {
    int B, F, T; /* samples, latent frames, video frames (base/media_rates.h) */
    int text_len, text_dim, audio_dim, mute_input;
    int positions[CLIP_FRAMES_MAX]; /* 0 .. F-1 */
    real *text_real;                /* [B, text_len, text_dim] */
    real *features[AUDIO_STREAMS];  /* [B, T, D] */
    real *mask[AUDIO_STREAMS];      /* [B, T] */
    elem *text;                     /* text_real in the networks' type */
    struct audio_reach reach;       /* the student's, whose look-ahead may be limited */
    elem *windows[AUDIO_STREAMS];   /* [B, F, 8, D] features times mask; zeros for streams in mute_input */
    elem *heard[AUDIO_STREAMS];     /* the same as far as the student hears; the same memory where that is all */
    elem *silence;                  /* [B, F, 8, D] zeros, in place of dropped sound */
    elem *no_text;                  /* [B, text_len, text_dim] the empty or negative prompt, in place of dropped text */
};

/* Takes device memory for B clips of F latent frames from the arena (arena.h: called while planning and once more).
   causal: the student whose rollouts hear these clips; NULL: networks that see whole clips alone. */
void condition_batch_layout(struct condition_batch *c, const struct dit_config *config,
                            const struct causal_config *causal, int B, int F, struct arena *arena);
/* Copies text and audio of B samples to the device and makes the windows. */
void condition_batch_upload(struct condition_batch *c, const struct condition_host *host);
/* Makes `part` a view of samples first .. first + count - 1 of a batch; the memory stays the batch's. */
void condition_batch_part(struct condition_batch *part, const struct condition_batch *whole, int first, int count);
/* Makes windows and text again from the real arrays, when those have been filled by other means. */
void condition_batch_refresh(struct condition_batch *c);

/* Returns the input of a network that sees the whole clip: latents [B][F, C, H, W], t device [B, F]. dropped: bits 1 <<
   enum audio_stream of streams that are silenced (AUDIO_ALL: both). */
struct dit_input condition_batch_clip(const struct condition_batch *c, int dropped, const real *latents,
                                      long latent_stride, const real *t);
/* Returns the conditions of a rollout over the same clip, which hears no further than the student does. */
struct rollout_condition condition_batch_rollout(const struct condition_batch *c);

#endif
