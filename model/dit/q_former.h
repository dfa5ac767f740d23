/* q_former.h: learned queries that read a set of tokens, forward and backward (Q-Former, Li 2023; one per tap and frame
   as in the Consistency-Aware Discriminator).
     attend:    y = tok + O attention(RMS(Q LN(tok)), RMS(K LN(kv)), V LN(kv))
     q_former:  tok = queries, repeated for every group;  tok1 = attend(tok, kv);  tok2 = tok1 + FFN(LN(tok1))
                with tanh-GELU
   A group is one set of tokens with its own copy of the queries: a latent frame's tokens, or a clip's frames. tok has
   groups x queries rows, kv groups x keys. Streams are resid, everything else elem with statistics in real. Parameters
   are offsets inside one slice, whose weights and gradients (NULL: input gradients only) the caller acquires. */
#ifndef MODEL_DIT_Q_FORMER_H
#define MODEL_DIT_Q_FORMER_H

#include "kernels/arena.h"
#include "kernels/kernels.h"
#include "model/params/params.h"

struct reader_shape {
    long groups, queries, keys; /* queries and keys: of one group */
    int dim, heads, ffn_dim;    /* ffn_dim: only q_former uses it */
    double eps;
};
struct attend_offsets {
    size_t norm_q_w, norm_q_b, norm_kv_w, norm_kv_b, q_w, q_b, k_w, k_b, v_w, v_b, o_w, o_b, rms_q, rms_k;
};
struct q_former_offsets {
    size_t query;
    struct attend_offsets attend;
    size_t norm_w, norm_b, ffn0_w, ffn0_b, ffn2_w, ffn2_b;
};

/* What a forward keeps, and the temporaries of a backward, which calls of the same or smaller shape may share. */
struct attend_acts {
    real *mean_q, *rstd_q, *mean_kv, *rstd_kv, *rms_q, *rms_k, *lse;
    elem *tok_norm, *q_raw, *q, *kv_norm, *k_raw, *k, *v, *o, *y;
};
struct q_former_acts {
    struct attend_acts attend;
    resid *tok, *tok1, *tok2; /* tok2 [groups queries, dim] is the result */
    real *mean, *rstd;
    elem *norm, *hidden_raw, *hidden, *y;
};
struct reader_scratch {
    elem *rows[2]; /* [groups queries, dim] */
    elem *keys[3]; /* [groups keys, dim] */
    elem *hidden;  /* [groups queries, ffn_dim]; NULL without an FFN */
};

/* Append the parameters to the table; their names start with `prefix`. */
void attend_params(struct attend_offsets *at, struct param_table *table, int slice, const char *prefix, int dim);
void q_former_params(struct q_former_offsets *at, struct param_table *table, int slice, const char *prefix, int dim,
                     int ffn_dim, int queries);

void attend_layout(struct attend_acts *acts, const struct reader_shape *shape, struct arena *arena);
void q_former_layout(struct q_former_acts *acts, const struct reader_shape *shape, struct arena *arena);
void reader_scratch_layout(struct reader_scratch *scratch, const struct reader_shape *shape, struct arena *arena);

void attend_forward(const struct reader_shape *shape, const struct attend_offsets *at, const elem *weights,
                    struct attend_acts *acts, resid *out, const resid *tok, const resid *kv);
/* dtok: the gradient of `out` on entry, of `tok` on return. dkv: the gradient of kv is added to it (NULL: not
   wanted). */
void attend_backward(const struct reader_shape *shape, const struct attend_offsets *at, const elem *weights,
                     real *grads, const struct attend_acts *acts, const struct reader_scratch *scratch, resid *dtok,
                     resid *dkv, const resid *tok, const resid *kv);

void q_former_forward(const struct reader_shape *shape, const struct q_former_offsets *at, const elem *weights,
                      struct q_former_acts *acts, const resid *kv);
/* dtok: the gradient of tok2; overwritten. dkv: the gradient of kv is added to it (NULL: not wanted). */
void q_former_backward(const struct reader_shape *shape, const struct q_former_offsets *at, const elem *weights,
                       real *grads, const struct q_former_acts *acts, const struct reader_scratch *scratch, resid *dtok,
                       resid *dkv, const resid *kv);

#endif
