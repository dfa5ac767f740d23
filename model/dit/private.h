/* private.h: what the files of the DiT share: the activations of one forward and the pass over them.
   layout.c parameter table and buffers; condition.c text and audio keys and values; block.c one block;
   dit.c embeddings, head and the order of it all. Rows: N = B F P tokens, G = B F frames; d = dim. Device pointers
   throughout, owned by the activation arena.
   Divided over ranks (sequence.h), P and N are the rank's own tokens, and self-attention has its queries, keys and
   values in two forms, one after the other in the same memory: own rows of all heads [N, d], and by heads: all tokens
   of the rank's own heads [G tokens, heads D]. */
#ifndef MODEL_DIT_PRIVATE_H
#define MODEL_DIT_PRIVATE_H

#include "model/dit/dit.h"

/* torch's default for nn.LayerNorm, which the audio projection's last norm is */
#define DIT_AUDIO_NORM_EPS 1e-5
#define DIT_NONE           ((size_t)-1)

/* The query side of one attention layer, from the norm in front of it to the residual stream behind it. */
struct attention_query {
    real *mean, *rstd; /* of the norm, [N] */
    elem *y;           /* its output [N, d] */
    elem *q_raw;       /* before RMSNorm */
    real *q_rstd;      /* [N] */
    elem *q;           /* as the attention sees it (self: rotated) */
    elem *o;           /* attention's output */
    elem *o_heads;     /* self: the same by heads; o itself when nothing is divided */
    real *lse;         /* [samples, heads, queries], N heads in all */
    elem *out;         /* after the output projection, before the gate */
    resid *x;          /* the residual stream behind the layer */
};
/* The key side. k: as the attention sees it, but self-attention's are exported before their rotation. */
struct attention_keys {
    elem *k_raw; /* before RMSNorm; of self-attention k_raw and v follow q_raw, as one product makes them */
    real *k_rstd;
    elem *k, *v;
};

struct dit_block_acts {
    real *m; /* modulation [G, 6 d]: shift, scale, gate of self-attention, then of the FFN; the gate is read last beside
                the next block's first norm, so that neighbours never share it */
    struct attention_query self, cross, audio[AUDIO_STREAMS];
    struct attention_keys own;
    real *ffn_mean, *ffn_rstd;
    elem *ffn_y, *ffn_pre, *ffn_h, *ffn_out;
};

struct dit_condition {
    /* What is ready: -1 nothing, else the embedding and the keys and values of that many leading blocks, for this
       many samples and these frames. */
    int text_blocks, text_batch, audio_blocks, audio_batch, audio_first, audio_frames;
    elem *text_pre, *text_h, *text;   /* [B text_len, d] */
    struct attention_keys *text_keys; /* [layers] */
    /* Audio projection. Streams are stacked: rows [stream, sample, frame]. Reference frames and the others, which have
       layers of their own, are gathered apart. */
    elem *window0, *window;             /* [2 B, 5 audio_dim], [2 B F, 8 audio_dim] */
    elem *hidden1_part0, *hidden1_part; /* gathered alike */
    elem *hidden1, *hidden2;            /* [2 B F, audio_hidden] */
    resid *tokens_raw;                  /* [2 B F tokens, audio_width] before the norm */
    real *tokens_mean, *tokens_rstd;
    elem *tokens;
    struct attention_keys *audio_keys[AUDIO_STREAMS]; /* [layers] */
};

/* Backward's own buffers; NULL in DIT_FORWARD_ONLY. */
struct dit_backward_acts {
    resid *dx;                  /* [N, d] */
    elem *a, *b, *dq, *dk, *dv; /* [N, d] */
    void *wide;                 /* elem [N, ffn_dim], or real [N, d], then elem [N, 3, d]: */
    elem *dqkv;                 /* queries', keys' and values' gradients, a token's side by side */
    real *dm, *de0, *de;        /* [G, 6 d], [G, 6 d], [G, d] */
    elem *time_wide, *time_a;   /* [G, 6 d], [G, d] */
    real *time_b;               /* [G, d] */
    real *dclean;               /* [B, F, C, H, W]: gradient of the head's latents, with clean_floor */
    real *dhead_out;            /* [N, 4 out_channels] */
    elem *dhead, *dpatches;     /* [N, 4 out_channels], [N, 4 in_channels] */
    /* Condition: sums over the blocks in real, the rest for one block at a time. */
    real *dtext, *dtokens;           /* [B text_len, d], [2 B F tokens, audio_width] */
    elem *dkeys, *dvalues, *dsource; /* the larger of text's and one stream's */
    elem *dhidden2, *dhidden1, *dhidden1_part0, *dhidden1_part;
    resid *dtokens_raw;
    elem *dtokens_elem;
};

enum { DIT_EXCHANGES = 3 }; /* under way at once: of queries, keys and values */

struct dit_acts {
    enum dit_memory memory;
    int B, F, layers;                         /* capacity */
    int last_batch, last_frames, last_blocks; /* of the last forward; 0: none */
    int *positions;                           /* host [F]: of the RoPE table; */
    int position_count;
    elem *patches;             /* [N, 4 in_channels] */
    real *rope_cos, *rope_sin; /* [F P, head_dim / 2] */
    elem *time_s;              /* [G, freq_dim] */
    real *time_pre;            /* [G, d] */
    elem *time_h;
    real *e; /* [G, d] */
    elem *e_silu;
    real *e0;                      /* [G, 6 d] */
    resid **x;                     /* [layers + 1]: input of every block, then of the head */
    struct dit_block_acts *blocks; /* [layers]; they share buffers unless DIT_SAVE_ALL */
    int held_block;                /* which block's values are in those shared buffers */
    real *head_e, *head_m;         /* [G, 2 d] */
    real *head_mean, *head_rstd;
    elem *head_y;
    real *head_out; /* [N, 4 out_channels] */
    struct dit_condition condition;
    struct dit_backward_acts back;
    /* Divided over ranks: */
    struct sequence_slot exchange[DIT_EXCHANGES];
    void *whole; /* [G tokens, 4 channels]: patches or the head's output of all ranks */
};

/* One call's sizes and where everything is. */
enum { DIT_NOTHING_OWED = -1 };
struct dit_pass {
    const struct dit *net;
    const struct dit_config *config;
    const struct params *params;
    struct dit_acts *acts;
    const struct dit_input *in;
    const struct dit_gradients *gradients; /* backward only */
    int blocks;                            /* how many run */
    int owed; /* block whose FFN is not yet in the residual stream: acts->x behind it comes with the next norm */
    long B, F, P, G, N, d;
    long H, D;          /* heads, their width */
    long tokens, heads; /* of a whole frame; whose self-attention is this rank's: P and H when nothing is divided */
    real scale, eps;
};

static inline int dit_divided(const struct dit_pass *pass) { return sequence_divides(pass->net->sequence); }

static inline real *grad_at(real *grads, size_t offset) { return grads ? grads + offset : NULL; }

/* dw, db of a linear layer at those offsets, when there is a gradient arena. */
static inline void linear_grads(real *grads, size_t w, size_t b, const elem *dy, const elem *x, long n, long din,
                                long dout) {
    if (grads) linear_backward_weight(grads + w, grads + b, dy, x, n, din, dout);
}

/* ---- condition.c ---- */
/* Text embedding and audio tokens, if they are not ready. w: weights of slice 0. */
void dit_condition_embed(struct dit_pass *pass, const elem *w);
/* Text and audio keys and values of one block, if they are not ready; w: the block's weights. */
void dit_condition_keys(struct dit_pass *pass, int block, const elem *w);
/* The range that frame-grouped or text attention reads. */
struct attention_range dit_condition_range(const struct dit_pass *pass, const struct attention_keys *keys, long tokens);
/* From the gradients of one layer's keys and values (back.dkeys, back.dvalues; destroyed) to its k and v weights and,
   added, to the source's gradient sum. */
void dit_condition_keys_backward(struct dit_pass *pass, const struct attention_keys *keys,
                                 const struct dit_attention_offsets *at, const elem *w, real *g, const elem *source,
                                 real *dsource_sum, long rows, long width);
/* From the sums to the text embedding's and the audio projection's weights. */
void dit_condition_embed_backward(struct dit_pass *pass, const elem *w, real *g);

/* ---- block.c ---- */
/* From acts->x[block], or what the block before owes to it, on; acts->x[block + 1] is owed then. kv: where own keys and
   values go, or NULL. */
int dit_block_forward(struct dit_pass *pass, int block, const elem *w, const struct dit_kv_output *kv);
/* y, mean, rstd of LN(acts->x[block]) (1 + scale) + shift, the first norm of a block or of the head (block = layers);
   what is owed is added to the stream on the way. m: shift and scale, `stride` from group to group. */
void dit_norm_forward(struct dit_pass *pass, int block, elem *y, real *mean, real *rstd, const real *m, long stride);
/* Adds what is owed to the stream without a norm. */
void dit_settle(struct dit_pass *pass);
/* back.dx: gradient of the block's output on entry, of its input on return; adds to back.de0. g NULL: inputs only. */
int dit_block_backward(struct dit_pass *pass, int block, const elem *w, real *g);

#endif
