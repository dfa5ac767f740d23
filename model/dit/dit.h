/* dit.h: the Wan video diffusion transformer with talk and listen audio attention, forward and backward.
   Formulas: Wan2.1/2.2 model (docs/model.md): patch 1x2x2, per-frame time, AdaLN with six modulations, self-attention
   with q/k RMSNorm over the whole width and 3-axis RoPE, text cross-attention, talk and listen cross-attention by frame
   (MultiTalk's projection, zero-initialised output), FFN with tanh-GELU.
   One function serves the bidirectional teacher and the causal student: the queries are the frames given, the keys are
   an optional history (kv_cache.h) and those frames. The letters of shapes are those of kernels.h; N = B F P rows. */
#ifndef MODEL_DIT_DIT_H
#define MODEL_DIT_DIT_H

#include "base/media_rates.h"
#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/params/params.h"
#include "model/params/sequence.h"

struct dit_config {
    int dim, ffn_dim, heads, layers;
    int in_channels, out_channels; /* latent channels */
    int height, width;             /* latent size, even */
    int freq_dim;                  /* width of the sinusoidal time embedding (256) */
    int text_len, text_dim;        /* rows of the text input, padding included; their width */
    int audio_dim;                 /* width of a video frame's sound features; 0: no audio modules (bare Wan) */
    int audio_tokens;              /* audio tokens of a latent frame */
    int audio_width;               /* width of an audio token */
    int audio_hidden;              /* hidden width of the audio projection */
    int audio_every;               /* blocks 0, audio_every, 2 audio_every and so on have audio attention */
    int mute_input; /* bits 1 << enum audio_stream of streams replaced by silence (ablations); no part of the network */
    double rope_theta_t, rope_theta_hw; /* base of RoPE's frequencies in time, in space (10000) */
    double eps;                         /* added to variances by the norms (1e-6) */
    /* 0: the head's output is the velocity, as in Wan. Above 0: it is the clean latents x0, and v = (x - x0)/max(sigma,
       clean_floor). For latents whose tokens are about as wide as the model, which then has no room to carry their
       noise to its output. */
    double clean_floor;
    /* 1: a second output of the head opens a gate, number by number, through which the reference's own latents are
       added to the clean ones (clean_floor above 0). What stands still is copied so, however a reference was framed or
       tinted, and the network's width is left to what moves. */
    int reference_gate;
    /* Type of the linear layers' weights in the blocks: enum quantised_type. Such a network runs forward only, and
       makes the operands of those layers quantised too, token by token; all else is as in one of elem. */
    enum quantised_type weights;
};

enum audio_stream { AUDIO_TALK, AUDIO_LISTEN, AUDIO_STREAMS };
enum { DIT_TAPS_MAX = 4 };

/* Offsets of one block's parameters inside its slice. (size_t)-1: the block has no such part. */
struct dit_attention_offsets {
    size_t q_w, q_b, k_w, k_b, v_w, v_b, o_w, o_b, norm_q, norm_k;
};
struct dit_block_offsets {
    size_t modulation;
    struct dit_attention_offsets self, cross, audio[AUDIO_STREAMS];
    size_t norm3_w, norm3_b, audio_norm_w[AUDIO_STREAMS], audio_norm_b[AUDIO_STREAMS];
    size_t ffn0_w, ffn0_b, ffn2_w, ffn2_b;
    int has_audio;
};
struct dit_embed_offsets {
    size_t patch_w, patch_b, text0_w, text0_b, text2_w, text2_b, time0_w, time0_b, time2_w, time2_b, time_proj_w,
        time_proj_b;
    size_t audio1_w, audio1_b, audio1vf_w, audio1vf_b, audio2_w, audio2_b, audio3_w, audio3_b, audio_norm_w,
        audio_norm_b;
};
struct dit_head_offsets {
    size_t modulation, w, b, gate_w, gate_b;
};

struct dit {
    struct dit_config config;
    struct param_table table; /* slice 0: embeddings; 1..layers: blocks; layers+1: head; then a discriminator's own */
    struct dit_embed_offsets embed;
    struct dit_block_offsets *blocks; /* [layers] */
    struct dit_head_offsets head;
    struct rope_axes axes;
    const struct sequence *sequence; /* division of tokens over ranks; NULL: none */
};

/* Builds the parameter table. open not 0: the table is left open for more slices, and the caller closes it. ERR_USAGE
   names what does not fit in the config. */
int dit_create(struct dit *net, const struct dit_config *config, int open);
void dit_destroy(struct dit *net);
/* 1: a parameter whose weights become quantised where config.weights says so: a linear layer's weight in a block. */
int dit_param_quantises(const struct param *param);
static inline int dit_tokens(const struct dit_config *c) { return (c->height / 2) * (c->width / 2); }
/* Numbers of a frame that the network makes. */
static inline long dit_frame(const struct dit_config *c) { return (long)c->out_channels * c->height * c->width; }
/* Divides every frame's tokens and self-attention's heads over the ranks of a group (sequence.h), which all make the
   same passes. Call it before anything is laid out. Inputs and velocity stay whole on every rank. ERR_USAGE: more ranks
   than heads or tokens. */
int dit_divide(struct dit *net, const struct sequence *sequence);

/* What a forward keeps for a backward. */
enum dit_memory {
    DIT_FORWARD_ONLY, /* no backward can follow */
    DIT_SAVE_BLOCKS,  /* the input of every block; backward runs each block again (key `recompute: block`) */
    DIT_SAVE_ALL      /* all activations */
};

/* Text and audio keys and values of every block. They depend on neither t nor the latents, so a rollout computes them
   once (text a clip, audio a chunk) and all passes use them; a pass that finds them not ready computes them. */
struct dit_condition;
/* All activations of one forward of up to B samples and F frames: device memory from `arena`, host tables of pointers
   by malloc. Called twice, as arena.h says (the first call's object may be dropped by dit_acts_free). */
struct dit_acts;
int dit_acts_layout(struct dit_acts **acts, const struct dit *net, int B, int F, enum dit_memory memory,
                    struct arena *arena);
void dit_acts_free(struct dit_acts *acts);
/* Forgets what was computed from text, from audio, or both. Call it for new text, for new audio, and for both when
   weights are new or when others have used the memory meanwhile (arena_fork). The table of rotations is forgotten in
   any case. A change of the number of samples or of the frames is noticed without this call; new contents behind the
   same pointers are not. */
void dit_condition_reset(struct dit_acts *acts, int text, int audio);

/* Where a forward leaves each layer's keys and values, sample b's at k[layer] + b stride. In dit_input.kv_output keys
   are after RMSNorm and before RoPE. A divided network leaves, here and in the history, all tokens of the rank's own
   heads. */
struct dit_kv_output {
    elem *const *k, *const *v; /* host arrays [layers] of device pointers to sample 0, first frame */
    long stride;               /* elements between samples */
    /* Takes over what has been left of a layer, before the next leaves its own there; NULL: it stays there. */
    void (*take)(void *of, int layer);
    void *of; /* argument of take */
};

/* Keys and values of earlier frames: layer's range r is ranges[layer * count + r]. Keys are already rotated. */
struct dit_history {
    const struct attention_range *ranges;
    int count;
    /* Where the pass leaves its own keys, rotated, and its values, so that they lie between the history's, behind the
       first `before` ranges: attention reads neighbours in memory as one range. NULL: the pass uses its own memory, and
       its range comes last. */
    const struct dit_kv_output *own;
    int before;
    /* Puts a layer's keys and values where its ranges say, before its attention; NULL: they are there. */
    void (*give)(void *of, int layer);
    void *of; /* argument of give */
};

struct dit_input {
    int batch, frames;
    int first_frame;      /* latent index of the first of the frames; 0: the reference is among them */
    const int *positions; /* host [frames], temporal RoPE positions */
    const real *latents;  /* device [B][frames, C, H, W], sample b at b latent_stride */
    long latent_stride;
    /* Device [B][C, H, W], the reference's clean latents, for a network with reference_gate where it is not among the
       frames (first_frame above 0). */
    const real *reference;
    long reference_stride;
    const real *t;    /* device [B, frames], timesteps: 1000 sigma */
    const elem *text; /* device [B, text_len, text_dim] */
    /* Device windows (kernels.h: audio_windows) [B][frames, 8, audio_dim], sample b at b audio_stride. Zeros for
       silence; NULL only without audio modules. */
    const elem *audio[AUDIO_STREAMS];
    long audio_stride;
    const struct dit_history *history;     /* NULL: none */
    const struct dit_kv_output *kv_output; /* NULL: not wanted */
    int blocks; /* above 0: only the first `blocks` blocks run, and no head (discriminator trunk); 0: everything */
};

/* Runs the network. velocity: device real, laid out like latents with velocity_stride between samples; NULL if and only
   if in->blocks > 0. */
int dit_forward(const struct dit *net, const struct params *params, struct dit_acts *acts, const struct dit_input *in,
                real *velocity, long velocity_stride);

/* Computes beforehand what a pass of this input would find not ready: rotations, embeddings, text and audio keys. A
   forward that follows queues work that depends on the pointers and sizes of its input alone, and reads neither
   positions nor text and audio: it can be recorded (kernels/recordings.h). */
int dit_prepare(const struct dit *net, const struct params *params, struct dit_acts *acts, const struct dit_input *in);

/* Returns the residual stream behind block `block`, [N, dim], of the last forward with DIT_SAVE_BLOCKS or DIT_SAVE_ALL;
   NULL when there was none. In a divided network this, like a tap's gradient, has the rank's own rows only. */
const resid *dit_tap(const struct dit_acts *acts, int block);

struct dit_gradients {
    const real *dvelocity; /* laid out like velocity; NULL: gradients enter at taps only */
    long dvelocity_stride;
    int taps; /* number of gradients that enter behind blocks */
    int tap_block[DIT_TAPS_MAX];
    const resid *tap_grad[DIT_TAPS_MAX]; /* [N, dim] */
    real *dlatents;                      /* laid out like latents; added to; NULL: not wanted */
    long dlatents_stride;
    /* Gradients of the frames' own keys and values that came from later chunks (block-causal training, ode_init), added
       to this pass's: sample b's at [layer] + b kv_stride, keys before RoPE. NULL: none. */
    const real *const *dk_own, *const *dv_own;
    long kv_stride;
    /* Gradients of the history's keys (rotated) and values are added where in->history's ranges say: dk_sum, dv_sum. */
};
/* Backward of the last forward, which had the same input and DIT_SAVE_BLOCKS or DIT_SAVE_ALL. Weight gradients are
   added when params has an arena for them. */
int dit_backward(const struct dit *net, const struct params *params, struct dit_acts *acts, const struct dit_input *in,
                 const struct dit_gradients *gradients);

/* Bytes of workspace (kernels/workspace.h) for passes of B samples of F frames that attend to `history` more frames, in
   up to two ranges; backward not 0: with their backward. At least WORKSPACE_LEAST; the same on all machines with this
   backend. */
size_t dit_workspace(const struct dit_config *config, int B, int F, int history, int backward);

/* Bytes of host memory that the products of a network with quantised weights take themselves in such passes (kernels.h:
   quantised_room); 0: other networks, and backends without. */
size_t dit_quantised_room(const struct dit_config *config, int B, int F);

/* Floating-point operations (two for each multiply-add) of one forward that attends to `history` frames besides its
   own. */
double dit_flops(const struct dit_config *config, int B, int F, int history);

#endif
