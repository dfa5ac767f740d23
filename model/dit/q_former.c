/* q_former.c: see q_former.h. */
#include "model/dit/q_former.h"

#include <math.h>
#include <stdio.h>

#include "kernels/device.h"

/* ---- parameters ---- */

static size_t add(struct param_table *table, int slice, const char *prefix, const char *name, enum param_init init,
                  double deviation, long rows, long columns) {
    char full[96];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    long matrix[] = {rows, columns, 0}, vector[] = {columns, 0};
    return param_add(table, slice, full, init, deviation, rows > 0, rows > 0 ? matrix : vector);
}
static size_t add_matrix(struct param_table *table, int slice, const char *prefix, const char *name, long dout,
                         long din) {
    return add(table, slice, prefix, name, INIT_NORMAL, 1 / sqrt((double)din), dout, din);
}
static size_t add_vector(struct param_table *table, int slice, const char *prefix, const char *name,
                         enum param_init init, long n) {
    return add(table, slice, prefix, name, init, 0, 0, n);
}

void attend_params(struct attend_offsets *at, struct param_table *table, int slice, const char *prefix, int dim) {
    at->norm_q_w = add_vector(table, slice, prefix, "norm_q.weight", INIT_ONE, dim);
    at->norm_q_b = add_vector(table, slice, prefix, "norm_q.bias", INIT_ZERO, dim);
    at->norm_kv_w = add_vector(table, slice, prefix, "norm_kv.weight", INIT_ONE, dim);
    at->norm_kv_b = add_vector(table, slice, prefix, "norm_kv.bias", INIT_ZERO, dim);
    at->q_w = add_matrix(table, slice, prefix, "q.weight", dim, dim);
    at->q_b = add_vector(table, slice, prefix, "q.bias", INIT_ZERO, dim);
    at->k_w = add_matrix(table, slice, prefix, "k.weight", dim, dim);
    at->k_b = add_vector(table, slice, prefix, "k.bias", INIT_ZERO, dim);
    at->v_w = add_matrix(table, slice, prefix, "v.weight", dim, dim);
    at->v_b = add_vector(table, slice, prefix, "v.bias", INIT_ZERO, dim);
    at->o_w = add_matrix(table, slice, prefix, "o.weight", dim, dim);
    at->o_b = add_vector(table, slice, prefix, "o.bias", INIT_ZERO, dim);
    at->rms_q = add_vector(table, slice, prefix, "rms_q.weight", INIT_ONE, dim);
    at->rms_k = add_vector(table, slice, prefix, "rms_k.weight", INIT_ONE, dim);
}

void q_former_params(struct q_former_offsets *at, struct param_table *table, int slice, const char *prefix, int dim,
                     int ffn_dim, int queries) {
    char attend[64];
    snprintf(attend, sizeof attend, "%s.attend", prefix);
    at->query = add(table, slice, prefix, "query", INIT_NORMAL, 0.02, queries, dim);
    attend_params(&at->attend, table, slice, attend, dim);
    at->norm_w = add_vector(table, slice, prefix, "norm.weight", INIT_ONE, dim);
    at->norm_b = add_vector(table, slice, prefix, "norm.bias", INIT_ZERO, dim);
    at->ffn0_w = add_matrix(table, slice, prefix, "ffn.0.weight", ffn_dim, dim);
    at->ffn0_b = add_vector(table, slice, prefix, "ffn.0.bias", INIT_ZERO, ffn_dim);
    at->ffn2_w = add_matrix(table, slice, prefix, "ffn.2.weight", dim, ffn_dim);
    at->ffn2_b = add_vector(table, slice, prefix, "ffn.2.bias", INIT_ZERO, dim);
}

/* ---- memory ---- */

static long tok_rows(const struct reader_shape *s) { return s->groups * s->queries; }
static long kv_rows(const struct reader_shape *s) { return s->groups * s->keys; }

void attend_layout(struct attend_acts *a, const struct reader_shape *s, struct arena *arena) {
    long q = tok_rows(s), k = kv_rows(s), d = s->dim;
    a->mean_q = ARENA_TAKE(arena, "reader statistics", real, q);
    a->rstd_q = ARENA_TAKE(arena, "reader statistics", real, q);
    a->rms_q = ARENA_TAKE(arena, "reader statistics", real, q);
    a->mean_kv = ARENA_TAKE(arena, "reader statistics", real, k);
    a->rstd_kv = ARENA_TAKE(arena, "reader statistics", real, k);
    a->rms_k = ARENA_TAKE(arena, "reader statistics", real, k);
    a->lse = ARENA_TAKE(arena, "reader statistics", real, q * s->heads);
    elem **queries[] = {&a->tok_norm, &a->q_raw, &a->q, &a->o, &a->y};
    elem **keys[] = {&a->kv_norm, &a->k_raw, &a->k, &a->v};
    for (int i = 0; i < 5; i++) *queries[i] = ARENA_TAKE(arena, "reader queries", elem, q * d);
    for (int i = 0; i < 4; i++) *keys[i] = ARENA_TAKE(arena, "reader keys and values", elem, k * d);
}

void q_former_layout(struct q_former_acts *a, const struct reader_shape *s, struct arena *arena) {
    long n = tok_rows(s), d = s->dim;
    attend_layout(&a->attend, s, arena);
    a->tok = ARENA_TAKE(arena, "q-former stream", resid, n * d);
    a->tok1 = ARENA_TAKE(arena, "q-former stream", resid, n * d);
    a->tok2 = ARENA_TAKE(arena, "q-former stream", resid, n * d);
    a->mean = ARENA_TAKE(arena, "q-former statistics", real, n);
    a->rstd = ARENA_TAKE(arena, "q-former statistics", real, n);
    a->norm = ARENA_TAKE(arena, "q-former ffn", elem, n * d);
    a->hidden_raw = ARENA_TAKE(arena, "q-former ffn", elem, n * s->ffn_dim);
    a->hidden = ARENA_TAKE(arena, "q-former ffn", elem, n * s->ffn_dim);
    a->y = ARENA_TAKE(arena, "q-former ffn", elem, n * d);
}

void reader_scratch_layout(struct reader_scratch *t, const struct reader_shape *s, struct arena *arena) {
    for (int i = 0; i < 2; i++) t->rows[i] = ARENA_TAKE(arena, "reader gradients", elem, tok_rows(s) * s->dim);
    for (int i = 0; i < 3; i++) t->keys[i] = ARENA_TAKE(arena, "reader gradients", elem, kv_rows(s) * s->dim);
    t->hidden = s->ffn_dim ? ARENA_TAKE(arena, "reader gradients", elem, tok_rows(s) * s->ffn_dim) : NULL;
}

/* ---- attend ---- */

static struct attention_range range_of(const struct reader_shape *s, const struct attend_acts *a) {
    return (struct attention_range){
        .k = a->k, .v = a->v, .length = s->keys, .k_stride = s->keys * s->dim, .v_stride = s->keys * s->dim};
}
static real attention_scale(const struct reader_shape *s) { return (real)(1 / sqrt((double)s->dim / s->heads)); }

void attend_forward(const struct reader_shape *s, const struct attend_offsets *at, const elem *w, struct attend_acts *a,
                    resid *out, const resid *tok, const resid *kv) {
    long q = tok_rows(s), k = kv_rows(s), d = s->dim;
    real eps = (real)s->eps;
    layernorm_forward(a->tok_norm, a->mean_q, a->rstd_q, tok, w + at->norm_q_w, w + at->norm_q_b, q, d, eps);
    linear_forward(a->q_raw, a->tok_norm, w + at->q_w, w + at->q_b, q, d, d, 0);
    rmsnorm_forward(a->q, a->rms_q, a->q_raw, w + at->rms_q, q, d, eps);
    layernorm_forward(a->kv_norm, a->mean_kv, a->rstd_kv, kv, w + at->norm_kv_w, w + at->norm_kv_b, k, d, eps);
    linear_forward(a->k_raw, a->kv_norm, w + at->k_w, w + at->k_b, k, d, d, 0);
    rmsnorm_forward(a->k, a->rms_k, a->k_raw, w + at->rms_k, k, d, eps);
    linear_forward(a->v, a->kv_norm, w + at->v_w, w + at->v_b, k, d, d, 0);
    struct attention_range range = range_of(s, a);
    attention_forward(a->o, a->lse, a->q, &range, 1, s->groups, s->queries, s->heads, d / s->heads, attention_scale(s));
    linear_forward(a->y, a->o, w + at->o_w, w + at->o_b, q, d, d, 0);
    residual_forward(out, tok, a->y, NULL, q, d, q, 0);
}

/* Weight and bias gradients of one linear layer, when wanted. */
static void linear_grads(real *grads, size_t w, size_t b, const elem *dy, const elem *x, long n, long din, long dout) {
    if (grads) linear_backward_weight(grads + w, grads + b, dy, x, n, din, dout);
}
static real *grad_at(real *grads, size_t offset) { return grads ? grads + offset : NULL; }

void attend_backward(const struct reader_shape *s, const struct attend_offsets *at, const elem *w, real *g,
                     const struct attend_acts *a, const struct reader_scratch *t, resid *dtok, resid *dkv,
                     const resid *tok, const resid *kv) {
    long q = tok_rows(s), k = kv_rows(s), d = s->dim;
    elem *dy = t->rows[0], *dout = t->rows[1], *dq = t->rows[0], *dq_norm = t->rows[1];
    elem *dk = t->keys[0], *dv = t->keys[1], *dkv_norm = t->keys[2];
    residual_backward(dy, NULL, NULL, dtok, a->y, NULL, q, d, q, 0);
    linear_grads(g, at->o_w, at->o_b, dy, a->o, q, d, d);
    linear_backward_input(dout, dy, w + at->o_w, q, d, d, 0);

    struct attention_range range = range_of(s, a);
    range.dk = dk;
    range.dv = dv;
    attention_backward(dq, dout, a->o, a->lse, a->q, &range, 1, s->groups, s->queries, s->heads, d / s->heads,
                       attention_scale(s));

    rmsnorm_backward(dq, grad_at(g, at->rms_q), dq, a->q_raw, a->rms_q, w + at->rms_q, q, d);
    linear_grads(g, at->q_w, at->q_b, dq, a->tok_norm, q, d, d);
    linear_backward_input(dq_norm, dq, w + at->q_w, q, d, d, 0);
    layernorm_backward(dtok, grad_at(g, at->norm_q_w), grad_at(g, at->norm_q_b), dq_norm, tok, a->mean_q, a->rstd_q,
                       w + at->norm_q_w, q, d);

    if (!g && !dkv) return;
    rmsnorm_backward(dk, grad_at(g, at->rms_k), dk, a->k_raw, a->rms_k, w + at->rms_k, k, d);
    linear_grads(g, at->k_w, at->k_b, dk, a->kv_norm, k, d, d);
    linear_grads(g, at->v_w, at->v_b, dv, a->kv_norm, k, d, d);
    linear_backward_input(dkv_norm, dk, w + at->k_w, k, d, d, 0);
    linear_backward_input(dkv_norm, dv, w + at->v_w, k, d, d, 1);
    layernorm_backward(dkv, grad_at(g, at->norm_kv_w), grad_at(g, at->norm_kv_b), dkv_norm, kv, a->mean_kv, a->rstd_kv,
                       w + at->norm_kv_w, k, d);
}

/* ---- q-former ---- */

void q_former_forward(const struct reader_shape *s, const struct q_former_offsets *at, const elem *w,
                      struct q_former_acts *a, const resid *kv) {
    long n = tok_rows(s), d = s->dim, width = s->queries * d;
    mem_zero(a->tok1, sizeof(resid) * (size_t)(n * d));
    modulation_forward(a->tok, w + at->query, a->tok1, s->groups, width); /* copies the queries to every group */
    attend_forward(s, &at->attend, w, &a->attend, a->tok1, a->tok, kv);
    layernorm_forward(a->norm, a->mean, a->rstd, a->tok1, w + at->norm_w, w + at->norm_b, n, d, (real)s->eps);
    linear_gelu_forward(a->hidden, a->hidden_raw, a->norm, w + at->ffn0_w, w + at->ffn0_b, n, d, s->ffn_dim);
    linear_forward(a->y, a->hidden, w + at->ffn2_w, w + at->ffn2_b, n, s->ffn_dim, d, 0);
    residual_forward(a->tok2, a->tok1, a->y, NULL, n, d, n, 0);
}

void q_former_backward(const struct reader_shape *s, const struct q_former_offsets *at, const elem *w, real *g,
                       const struct q_former_acts *a, const struct reader_scratch *t, resid *dtok, resid *dkv,
                       const resid *kv) {
    long n = tok_rows(s), d = s->dim;
    elem *dy = t->rows[0], *dnorm = t->rows[1], *dhidden = t->hidden;
    residual_backward(dy, NULL, NULL, dtok, a->y, NULL, n, d, n, 0);
    linear_grads(g, at->ffn2_w, at->ffn2_b, dy, a->hidden, n, s->ffn_dim, d);
    linear_gelu_backward_input(dhidden, dy, w + at->ffn2_w, a->hidden_raw, n, s->ffn_dim, d);
    linear_grads(g, at->ffn0_w, at->ffn0_b, dhidden, a->norm, n, d, s->ffn_dim);
    linear_backward_input(dnorm, dhidden, w + at->ffn0_w, n, d, s->ffn_dim, 0);
    layernorm_backward(dtok, grad_at(g, at->norm_w), grad_at(g, at->norm_b), dnorm, a->tok1, a->mean, a->rstd,
                       w + at->norm_w, n, d);
    attend_backward(s, &at->attend, w, g, &a->attend, t, dtok, dkv, a->tok, kv);
    if (g) modulation_backward(g + at->query, NULL, dtok, s->groups, s->queries * d);
}
