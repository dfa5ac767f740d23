/* private.h: what the files of the DiT share: the activations of one forward and the pass over them. layout.c has the
   parameter table and the plan of buffers, condition.c text and audio keys and values, block.c one block, dit.c
   embeddings, head and the order of everything.
   Rows: N = B F P tokens, G = B F frames; d = dim. Device pointers throughout, owned by the activation arena. In a
   network divided over ranks (sequence.h) P and N count the rank's own tokens, and self-attention's queries, keys and
   values take two forms, one after the other in the same memory: own rows of all heads, [N, d], and "by heads", all
   tokens of the rank's own heads, [G tokens, heads D]. */
#ifndef MODEL_DIT_PRIVATE_H
#define MODEL_DIT_PRIVATE_H

#include "model/dit/dit.h"

/* torch's default for nn.LayerNorm, which the audio projection's last norm is */
#define DIT_AUDIO_NORM_EPS 1e-5
#define DIT_NONE           ((size_t)-1)

/* The query side of one attention layer, from the norm in front of it to the residual stream behind it. */
struct attention_query {
    real *mean, *rstd; /* the norm's statistics, [N] */
    elem *y;           /* the norm's output [N, d] */
    elem *q_raw;       /* queries before RMSNorm */
    real *q_rstd;      /* RMSNorm's statistic [N] */
    elem *q;           /* queries as attention reads them (self-attention: rotated) */
    elem *o;           /* attention's output */
    elem *o_heads;     /* self-attention: o by heads; o itself when nothing is divided */
    real *lse;         /* log-sum-exp of the scores [samples, heads, queries], N heads in all */
    elem *out;         /* output projection's result, before the gate */
    resid *x;          /* the residual stream behind the layer */
};
/* The key side. k is as attention reads it; self-attention's keys go to the cache before their rotation. */
struct attention_keys {
    elem
        *k_raw; /* keys before RMSNorm; self-attention's k_raw and v lie behind q_raw, as one product makes all three */
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
    /* Number of blocks, from the first, whose keys and values are ready (0: only the embedding; -1: nothing), and the
       samples and frames that they are ready for. */
    int text_blocks, text_batch, audio_blocks, audio_batch, audio_first, audio_frames;
    elem *text_pre, *text_h, *text;   /* [B text_len, d] */
    struct attention_keys *text_keys; /* [layers] */
    /* Audio projection. Both streams are stacked: rows [stream, sample, frame]. The first layer is another one for
       reference frames, whose rows are gathered apart (part0). */
    elem *window0, *window;             /* [2 B, 5 audio_dim], [2 B F, 8 audio_dim] */
    elem *hidden1_part0, *hidden1_part; /* the first layer's outputs, gathered likewise */
    elem *hidden1, *hidden2;            /* [2 B F, audio_hidden] */
    resid *tokens_raw;                  /* [2 B F tokens, audio_width] before the norm */
    real *tokens_mean, *tokens_rstd;
    elem *tokens;
    struct attention_keys *audio_keys[AUDIO_STREAMS]; /* [layers] */
};

/* Buffers of backward alone; NULL with DIT_FORWARD_ONLY. */
struct dit_backward_acts {
    resid *dx;                  /* [N, d] */
    elem *a, *b, *dq, *dk, *dv; /* [N, d] */
    void *wide;                 /* elem [N, ffn_dim]; at other times real [N, d], then dqkv */
    elem *dqkv;                 /* elem [N, 3, d] in wide: a token's query, key and value gradients side by side */
    real *dm, *de0, *de;        /* [G, 6 d], [G, 6 d], [G, d] */
    elem *time_wide, *time_a;   /* [G, 6 d], [G, d] */
    real *time_b;               /* [G, d] */
    real *dclean;           /* [B, F, C, H, W] gradient of the clean latents, then of the gate; only with clean_floor */
    real *dhead_out;        /* [N, 4 out_channels] */
    elem *dhead, *dpatches; /* [N, 4 out_channels], [N, 4 in_channels] */
    /* Text and audio: dtext and dtokens are sums over all blocks, the rest serves one block at a time. */
    real *dtext, *dtokens;           /* [B text_len, d], [2 B F tokens, audio_width] */
    elem *dkeys, *dvalues, *dsource; /* sized for text or one audio stream, whichever is larger */
    elem *dhidden2, *dhidden1, *dhidden1_part0, *dhidden1_part;
    resid *dtokens_raw;
    elem *dtokens_elem;
};

/* Rows that a quantised network's next products read: codes and a scale a row. */
struct dit_operand {
    uint8_t *codes;
    real *scale;
};

enum { DIT_EXCHANGES = 3 }; /* exchanges under way at once: queries, keys, values */

struct dit_acts {
    enum dit_memory memory;
    int B, F, layers;                         /* sizes laid out for */
    int last_batch, last_frames, last_blocks; /* those of the last forward; 0: there was none */
    int *positions; /* host [F] positions that the RoPE table was made for; position_count of them */
    int position_count;
    elem *patches;             /* [N, 4 in_channels] */
    real *rope_cos, *rope_sin; /* [F P, head_dim / 2] */
    elem *time_s;              /* [G, freq_dim] */
    real *time_pre;            /* [G, d] */
    elem *time_h;
    real *e; /* [G, d] */
    elem *e_silu;
    real *e0;                      /* [G, 6 d] */
    resid **x;                     /* [layers + 1] input of every block, then of the head */
    struct dit_block_acts *blocks; /* [layers]; they share buffers unless DIT_SAVE_ALL */
    int held_block;                /* block whose values are in those shared buffers */
    real *head_e, *head_m;         /* [G, 2 d] */
    real *head_mean, *head_rstd;
    elem *head_y;
    real *head_out; /* [N, 4 out_channels] */
    real *gate;     /* [B, F, C, H, W] before 1 / (1 + exp(-gate)); only with reference_gate */
    struct dit_condition condition;
    struct dit_operand operand; /* only in a quantised network */
    struct dit_backward_acts back;
    /* Only in a network divided over ranks: */
    struct sequence_slot exchange[DIT_EXCHANGES];
    void *whole; /* [G tokens, 4 channels] patches or the head's output of all ranks */
};

/* One call: its sizes and where everything is. */
enum { DIT_NOTHING_OWED = -1 };
struct dit_pass {
    const struct dit *net;
    const struct dit_config *config;
    const struct params *params;
    struct dit_acts *acts;
    const struct dit_input *in;
    const struct dit_gradients *gradients; /* backward only */
    int blocks;                            /* number of blocks that run */
    int owed; /* block whose FFN the next norm still has to add to the residual stream, or DIT_NOTHING_OWED */
    long B, F, P, G, N, d;
    long H, D;          /* heads, width of a head */
    long tokens, heads; /* tokens of a whole frame, heads of this rank: P and H when nothing is divided */
    real scale, eps;
};

static inline int dit_divided(const struct dit_pass *pass) { return sequence_divides(pass->net->sequence); }

static inline real *grad_at(real *grads, size_t offset) { return grads ? grads + offset : NULL; }

/* Adds dw and db of a linear layer at these offsets, when there is a gradient arena. */
static inline void linear_grads(real *grads, size_t w, size_t b, const elem *dy, const elem *x, long n, long din,
                                long dout) {
    if (grads) linear_backward_weight(grads + w, grads + b, dy, x, n, din, dout);
}

/* One step of the residual stream: x = before + branch gate, computed together with the norm of the layer that
   follows. */
struct dit_step {
    resid *x;
    const resid *before;
    const elem *branch; /* NULL: nothing is added, and the stream is `before` */
    const real *gate;   /* NULL: a gate of 1 */
    size_t gate_at;     /* offset of the gate in a frame's modulation */
    size_t bias;        /* offset of the bias of the branch's last product */
};

/* ---- products.c: the blocks' linear layers, of elem or quantised ---- */
/* Makes rows x [n, width] the operand of the products that follow; in a network of elem nothing is to be done. */
void dit_operand_of(const struct dit_pass *pass, const elem *x, long n, long width);
/* y [n, dout] = x w^T + b, with offsets of weight and bias in w. A quantised network does not read x [n, din], but the
   operand that was made last: by dit_operand_of, or by a norm below. */
void dit_linear(const struct dit_pass *pass, elem *y, const elem *x, const elem *w, size_t weight, size_t bias, long n,
                long din, long dout);
/* The three layers for an attention's queries, keys and values of x [N, d]; their results begin y_stride apart. */
void dit_linear_inputs(const struct dit_pass *pass, elem *y, long y_stride, const elem *x, const elem *w,
                       const struct dit_attention_offsets *at);
/* The FFN: y [N, d] = W2 gelu(W1 x + b1) + b2, with h [N, ffn_dim] in between. pre: what a backward needs, or NULL. */
void dit_two_layers(const struct dit_pass *pass, elem *y, elem *h, elem *pre, const elem *x, const elem *w,
                    const struct dit_block_offsets *at);
/* Norms of the stream behind a step, whose results y [N, d] are rows, or the operand of the products that follow. m:
   shift and scale of the modulation, `stride` elements from frame to frame. w, b: weights in its place. */
void dit_modulated_rows(const struct dit_pass *pass, elem *y, real *mean, real *rstd, const struct dit_step *front,
                        const real *m, long stride);
void dit_modulated_operand(const struct dit_pass *pass, elem *y, real *mean, real *rstd, const struct dit_step *front,
                           const real *m);
void dit_affine_operand(const struct dit_pass *pass, const struct attention_query *q, const struct dit_step *front,
                        const elem *w, const elem *b);

/* ---- condition.c ---- */
/* Computes the text embedding and audio tokens if they are not ready. w: weights of slice 0. */
void dit_condition_embed(struct dit_pass *pass, const elem *w);
/* Computes text and audio keys and values of one block if they are not ready. w: the block's weights. */
void dit_condition_keys(struct dit_pass *pass, int block, const elem *w);
/* Returns the key range of cross-attention: `tokens` keys of each group, which is a sample (text) or a frame
   (audio). */
struct attention_range dit_condition_range(const struct dit_pass *pass, const struct attention_keys *keys, long tokens);
/* Goes back from the gradients of one layer's keys and values (back.dkeys and back.dvalues, which it destroys): adds to
   the gradients of the k and v weights and to the source's sum. */
void dit_condition_keys_backward(struct dit_pass *pass, const struct attention_keys *keys,
                                 const struct dit_attention_offsets *at, const elem *w, real *g, const elem *source,
                                 real *dsource_sum, long rows, long width);
/* Goes back from those sums to the weights of the text embedding and the audio projection. */
void dit_condition_embed_backward(struct dit_pass *pass, const elem *w, real *g);

/* ---- block.c ---- */
/* Runs one block from acts->x[block] on, with what the block before still owes to it; on return acts->x[block + 1] is
   owed (pass->owed). kv: where keys and values are to be left, or NULL. */
int dit_block_forward(struct dit_pass *pass, int block, const elem *w, const struct dit_kv_output *kv);
/* Computes the head's norm, head_y with its mean and rstd, from the stream; what is owed is added on the way. */
void dit_head_norm_forward(struct dit_pass *pass);
/* Adds what is owed to the stream, where no norm follows. */
void dit_settle(struct dit_pass *pass);
/* back.dx: gradient of the block's output on entry, of its input on return; adds to back.de0. g NULL: inputs only. */
int dit_block_backward(struct dit_pass *pass, int block, const elem *w, real *g);

#endif
