/* block.c: one DiT block, forward and backward. x is the residual stream, M = modulation + e0 of the frame:
     x += (Wo a + bo) M2,  a = attention(rope(RMS(Wq y)), rope(RMS(Wk y)), Wv y),  y = LN(x)(1 + M1) + M0
     x += Wo a + bo,       a = attention(RMS(Wq y), text keys and values),         y = LN(x) w + b
     x += Wo a + bo        likewise for talk, then listen: a frame's queries see that frame's audio tokens
     x += FFN(y) M5,       FFN(y) = W2 gelu(W1 y + b1) + b2,                       y = LN(x)(1 + M4) + M3
   One kernel computes each sum together with the norm that follows it; the last sum waits for the first norm of the
   next block or of the head. The backward walks the same lines from the bottom up; back.dx is the stream's gradient all
   the way. */
#include "model/dit/private.h"

#include "base/error.h"
#include "kernels/device.h"

/* Returns the step behind an attention; only self-attention's branch has a gate. */
static struct dit_step step_of(const struct attention_query *q, const struct dit_attention_offsets *at,
                               const resid *before) {
    return (struct dit_step){.x = q->x, .before = before, .branch = q->out, .bias = at->o_b};
}
static struct dit_step gated(struct dit_step step, const real *m, long at) {
    step.gate = m + at;
    step.gate_at = (size_t)at;
    return step;
}

/* Grouping of a cross-attention's queries: all of a sample's tokens see its text, a frame's tokens see its audio. */
struct cross_layer {
    const struct dit_attention_offsets *at;
    size_t norm_w, norm_b;
    const struct attention_query *q;
    const struct attention_keys *keys;
    struct dit_step front;
    const elem *source;
    real *dsource_sum;
    long samples, queries, tokens,
        width; /* attention's batch; queries and keys of each of its samples; width of the keys' source */
};

static struct cross_layer text_layer(const struct dit_pass *pass, int block, const struct dit_block_acts *a) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    struct dit_condition *c = &pass->acts->condition;
    return (struct cross_layer){.at = &at->cross,
                                .norm_w = at->norm3_w,
                                .norm_b = at->norm3_b,
                                .q = &a->cross,
                                .keys = &c->text_keys[block],
                                .front = gated(step_of(&a->self, &at->self, pass->acts->x[block]), a->m, 2 * pass->d),
                                .source = c->text,
                                .dsource_sum = pass->acts->back.dtext,
                                .samples = pass->B,
                                .queries = pass->F * pass->P,
                                .tokens = pass->config->text_len,
                                .width = pass->d};
}

static struct cross_layer audio_layer(const struct dit_pass *pass, int block, int stream,
                                      const struct dit_block_acts *a) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    const struct dit_config *config = pass->config;
    struct dit_condition *c = &pass->acts->condition;
    long source = stream * pass->G * config->audio_tokens * config->audio_width;
    real *dtokens = pass->acts->back.dtokens;
    struct dit_step behind_text = step_of(&a->cross, &at->cross, a->self.x);
    return (struct cross_layer){.at = &at->audio[stream],
                                .norm_w = at->audio_norm_w[stream],
                                .norm_b = at->audio_norm_b[stream],
                                .q = &a->audio[stream],
                                .keys = &c->audio_keys[stream][block],
                                .front = stream == AUDIO_TALK
                                             ? behind_text
                                             : step_of(&a->audio[AUDIO_TALK], &at->audio[AUDIO_TALK], a->cross.x),
                                .source = c->tokens + source,
                                .dsource_sum = dtokens ? dtokens + source : NULL,
                                .samples = pass->G,
                                .queries = pass->P,
                                .tokens = config->audio_tokens,
                                .width = config->audio_width};
}

/* Returns the step in front of the FFN. */
static struct dit_step ffn_front(const struct dit_pass *pass, int block, const struct dit_block_acts *a) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    return at->has_audio ? step_of(&a->audio[AUDIO_LISTEN], &at->audio[AUDIO_LISTEN], a->audio[AUDIO_TALK].x)
                         : step_of(&a->cross, &at->cross, a->self.x);
}

/* Returns the step behind the FFN. */
static struct dit_step block_end(const struct dit_pass *pass, int block) {
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    struct dit_step end = {pass->acts->x[block + 1], ffn_front(pass, block, a).x, a->ffn_out,
                           .bias = pass->net->blocks[block].ffn2_b};
    return gated(end, a->m, 5 * pass->d);
}

/* Where a pass leaves its own keys and values for attention. */
struct own_place {
    elem *k, *v;
    long stride; /* elements between samples */
    int at;      /* index of their range among all ranges */
};
static struct own_place own_place(const struct dit_pass *pass, int block) {
    const struct dit_history *history = pass->in->history;
    const struct attention_keys *own = &pass->acts->blocks[block].own;
    if (history && history->own)
        return (struct own_place){history->own->k[block], history->own->v[block], history->own->stride,
                                  history->before};
    return (struct own_place){own->k, own->v, pass->F * pass->tokens * pass->heads * pass->D,
                              history ? history->count : 0};
}

/* Lists the key ranges of self-attention: the history, if any, and the pass's own frames. Returns their number. */
static int self_ranges(const struct dit_pass *pass, int block, struct attention_range *ranges) {
    const struct dit_history *history = pass->in->history;
    struct own_place own = own_place(pass, block);
    int count = history ? history->count : 0;
    for (int i = 0; i < count; i++) ranges[i + (i >= own.at)] = history->ranges[block * count + i];
    ranges[own.at] = (struct attention_range){
        .k = own.k, .v = own.v, .length = pass->F * pass->tokens, .k_stride = own.stride, .v_stride = own.stride};
    return count + 1;
}

static int wants_gradients(const struct attention_range *r) { return r->dk || r->dv || r->dk_sum || r->dv_sum; }

/* Joins ranges that are neighbours in memory and want no gradients. Returns the number that is left. */
static int join_ranges(const struct dit_pass *pass, struct attention_range *ranges, int count) {
    int n = 0;
    for (int i = 1; i < count; i++) {
        struct attention_range *last = &ranges[n], next = ranges[i];
        long size = last->length * pass->heads * pass->D;
        if (!wants_gradients(last) && !wants_gradients(&next) && next.k == last->k + size && next.v == last->v + size &&
            next.k_stride == last->k_stride && next.v_stride == last->v_stride)
            last->length += next.length;
        else
            ranges[++n] = next;
    }
    return n + 1;
}

/* RMSNorm and rotation of queries or keys in one kernel, for networks that are not divided. normed, if not NULL,
   receives the normed but unrotated keys for the cache. */
static void norm_rope(const struct dit_pass *pass, elem *y, long y_stride, elem *normed, long normed_stride, real *rstd,
                      const elem *raw, const elem *w) {
    rmsnorm_rope_forward(y, normed, rstd, raw, w, pass->acts->rope_cos, pass->acts->rope_sin, pass->B,
                         pass->F * pass->P, pass->H, pass->D, y_stride, normed_stride, pass->eps);
}

/* Backward of norm_rope. dx: one of the three parts of back.dqkv. */
static void norm_rope_backward(const struct dit_pass *pass, elem *dx, real *dw, const elem *dy, const elem *raw,
                               const real *rstd, const elem *w) {
    rmsnorm_rope_backward(dx, 3 * pass->d, dw, dy, raw, rstd, w, pass->acts->rope_cos, pass->acts->rope_sin, pass->B,
                          pass->F * pass->P, pass->H, pass->D);
}

/* In a divided network each rank norms its own rows; ranks then exchange tokens for heads, and each rotates all tokens
   of its own heads. */
static int start_heads(const struct dit_pass *pass, int exchange, const elem *rows) {
    return sequence_start_heads(pass->net->sequence, &pass->acts->exchange[exchange], rows, pass->G, pass->tokens,
                                pass->H, pass->D);
}
static int finish_heads(const struct dit_pass *pass, int exchange, elem *by_heads) {
    return sequence_finish_heads(pass->net->sequence, &pass->acts->exchange[exchange], by_heads);
}
static int start_tokens(const struct dit_pass *pass, int exchange, const elem *by_heads) {
    return sequence_start_tokens(pass->net->sequence, &pass->acts->exchange[exchange], by_heads, pass->G, pass->tokens,
                                 pass->H, pass->D);
}
static int finish_tokens(const struct dit_pass *pass, int exchange, elem *rows) {
    return sequence_finish_tokens(pass->net->sequence, &pass->acts->exchange[exchange], rows);
}

/* Rotates packed `from` into `to`, where samples are to_stride apart. */
static void turn_to(const struct dit_pass *pass, elem *to, long to_stride, const elem *from, int sign) {
    long tokens = pass->F * pass->tokens, stride = tokens * pass->heads * pass->D;
    rope_apply(to, from, pass->acts->rope_cos, pass->acts->rope_sin, pass->B, tokens, pass->heads, pass->D, stride,
               to_stride, sign);
}

static void turn(const struct dit_pass *pass, elem *by_heads, int sign) {
    turn_to(pass, by_heads, pass->F * pass->tokens * pass->heads * pass->D, by_heads, sign);
}

/* ---- forward ---- */

/* Copies packed keys or values to where they are kept, unless that is where they are. */
static void keep(const struct dit_pass *pass, elem *to, long stride, const elem *from) {
    if (to == from) return;
    size_t bytes = (size_t)(pass->F * pass->tokens * pass->heads * pass->D) * sizeof(elem);
    mem_copy_rows(to, (size_t)stride * sizeof(elem), from, bytes, bytes, (size_t)pass->B);
}

static void project(const struct dit_pass *pass, elem *y, const elem *x, const elem *w, size_t weight, size_t bias) {
    dit_linear(pass, y, x, w, weight, bias, pass->N, pass->d, pass->d);
}

/* Computes queries, keys and values from q->y as attention reads them, and copies keys and values to the cache. One
   product makes all three, because their weights are one matrix (layout.c) and their results are equally spaced. */
static void self_inputs(const struct dit_pass *pass, int block, const elem *w, const struct dit_kv_output *kv) {
    const struct dit_attention_offsets *at = &pass->net->blocks[block].self;
    const struct attention_query *q = &pass->acts->blocks[block].self;
    const struct attention_keys *own = &pass->acts->blocks[block].own;
    struct own_place place = own_place(pass, block);
    long packed = pass->F * pass->P * pass->d;
    dit_linear_inputs(pass, q->q_raw, own->k_raw - q->q_raw, q->y, w, at);
    norm_rope(pass, q->q, packed, NULL, 0, q->q_rstd, q->q_raw, w + at->norm_q);
    norm_rope(pass, place.k, place.stride, kv ? kv->k[block] : NULL, kv ? kv->stride : 0, own->k_rstd, own->k_raw,
              w + at->norm_k);
    keep(pass, place.v, place.stride, own->v);
    if (kv && kv->v[block] != place.v) keep(pass, kv->v[block], kv->stride, own->v);
}

/* The same in a divided network; each exchange runs beside the products that follow. */
static int self_inputs_divided(const struct dit_pass *pass, int block, const elem *w, const struct dit_kv_output *kv) {
    const struct dit_attention_offsets *at = &pass->net->blocks[block].self;
    const struct attention_query *q = &pass->acts->blocks[block].self;
    const struct attention_keys *own = &pass->acts->blocks[block].own;
    struct own_place place = own_place(pass, block);
    project(pass, q->q_raw, q->y, w, at->q_w, at->q_b);
    rmsnorm_forward(q->q, q->q_rstd, q->q_raw, w + at->norm_q, pass->N, pass->d, pass->eps);
    TRY(start_heads(pass, 0, q->q));
    project(pass, own->k_raw, q->y, w, at->k_w, at->k_b);
    rmsnorm_forward(own->k, own->k_rstd, own->k_raw, w + at->norm_k, pass->N, pass->d, pass->eps);
    TRY(start_heads(pass, 1, own->k));
    project(pass, own->v, q->y, w, at->v_w, at->v_b);
    TRY(start_heads(pass, 2, own->v));
    TRY(finish_heads(pass, 0, q->q));
    turn(pass, q->q, 1);
    TRY(finish_heads(pass, 1, own->k));
    if (kv) keep(pass, kv->k[block], kv->stride, own->k);
    turn_to(pass, place.k, place.stride, own->k, 1);
    TRY(finish_heads(pass, 2, own->v));
    keep(pass, place.v, place.stride, own->v);
    if (kv && kv->v[block] != place.v) keep(pass, kv->v[block], kv->stride, own->v);
    return OK;
}

/* Takes the step that is owed to the stream in front of a block or the head, or one that adds nothing. */
static struct dit_step take_owed(struct dit_pass *pass, int block) {
    struct dit_step front = {.before = pass->acts->x[block]};
    if (pass->owed != DIT_NOTHING_OWED) front = block_end(pass, pass->owed);
    pass->owed = DIT_NOTHING_OWED;
    return front;
}

static int self_forward(struct dit_pass *pass, int block, const elem *w, const struct dit_kv_output *kv) {
    const struct dit_attention_offsets *at = &pass->net->blocks[block].self;
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    const struct attention_query *q = &a->self;
    const struct dit_history *history = pass->in->history;
    struct dit_step front = take_owed(pass, block);
    if (history && history->give) history->give(history->of, block);
    dit_modulated_operand(pass, q->y, q->mean, q->rstd, &front, a->m);
    if (dit_divided(pass))
        TRY(self_inputs_divided(pass, block, w, kv));
    else
        self_inputs(pass, block, w, kv);
    if (kv && kv->take) kv->take(kv->of, block);
    struct attention_range ranges[ATTENTION_RANGES_MAX];
    int count = join_ranges(pass, ranges, self_ranges(pass, block, ranges));
    attention_forward(q->o_heads, q->lse, q->q, ranges, count, pass->B, pass->F * pass->tokens, pass->heads, pass->D,
                      pass->scale);
    if (dit_divided(pass)) {
        TRY(start_tokens(pass, 0, q->o_heads));
        TRY(finish_tokens(pass, 0, q->o));
    }
    dit_operand_of(pass, q->o, pass->N, pass->d);
    project(pass, q->out, q->o, w, at->o_w, at->o_b);
    return OK;
}

static void cross_forward(const struct dit_pass *pass, const struct cross_layer *layer, const elem *w) {
    const struct dit_attention_offsets *at = layer->at;
    const struct attention_query *q = layer->q;
    long N = pass->N, d = pass->d;
    dit_affine_operand(pass, q, &layer->front, w + layer->norm_w, w + layer->norm_b);
    project(pass, q->q_raw, q->y, w, at->q_w, at->q_b);
    rmsnorm_forward(q->q, q->q_rstd, q->q_raw, w + at->norm_q, N, d, pass->eps);
    struct attention_range range = dit_condition_range(pass, layer->keys, layer->tokens);
    attention_forward(q->o, q->lse, q->q, &range, 1, layer->samples, layer->queries, pass->H, pass->D, pass->scale);
    dit_operand_of(pass, q->o, N, d);
    project(pass, q->out, q->o, w, at->o_w, at->o_b);
}

static void ffn_forward(struct dit_pass *pass, int block, const elem *w) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    struct dit_step front = ffn_front(pass, block, a);
    dit_modulated_operand(pass, a->ffn_y, a->ffn_mean, a->ffn_rstd, &front, a->m + 3 * pass->d);
    dit_two_layers(pass, a->ffn_out, a->ffn_h, a->ffn_pre, a->ffn_y, w, at);
    pass->owed = block;
}

void dit_head_norm_forward(struct dit_pass *pass) {
    struct dit_acts *a = pass->acts;
    struct dit_step front = take_owed(pass, pass->config->layers);
    dit_modulated_rows(pass, a->head_y, a->head_mean, a->head_rstd, &front, a->head_m, 2 * pass->d);
}

void dit_settle(struct dit_pass *pass) {
    if (pass->owed == DIT_NOTHING_OWED) return;
    struct dit_step end = block_end(pass, pass->owed);
    residual_forward(end.x, end.before, end.branch, end.gate, pass->N, pass->d, pass->P, 6 * pass->d);
    pass->owed = DIT_NOTHING_OWED;
}

int dit_block_forward(struct dit_pass *pass, int block, const elem *w, const struct dit_kv_output *kv) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    dit_condition_keys(pass, block, w);
    modulation_forward(a->m, w + at->modulation, pass->acts->e0, pass->G, 6 * pass->d);
    TRY(self_forward(pass, block, w, kv));
    struct cross_layer text = text_layer(pass, block, a);
    cross_forward(pass, &text, w);
    for (int s = 0; s < AUDIO_STREAMS && at->has_audio; s++) {
        struct cross_layer audio = audio_layer(pass, block, s, a);
        cross_forward(pass, &audio, w);
    }
    ffn_forward(pass, block, w);
    pass->acts->held_block = block;
    return OK;
}

/* ---- backward ---- Each layer begins with its branch's gradient in back.a. The backward of the norm behind the layer
   has left it there and has added the gradients of the gate and the last bias. The FFN, which no norm of this block
   follows, first makes it from the stream's gradient. */

/* Where the gradients of a step's gate and bias go; NULL: they are not wanted, or there is no gate. */
static real *dgate_of(const struct dit_pass *pass, const struct dit_step *step, const real *g) {
    return g && step->gate ? pass->acts->back.dm + step->gate_at : NULL;
}

/* Backward of a layer's last product, except for its bias, whose gradient is complete already. */
static void last_product_backward(elem *dx, const elem *dy, const elem *x, const elem *w, real *g, size_t weight,
                                  long n, long din, long dout) {
    if (g) linear_backward_weight(g + weight, NULL, dy, x, n, din, dout);
    linear_backward_input(dx, dy, w + weight, n, din, dout, 0);
}

static void ffn_backward(struct dit_pass *pass, int block, const elem *w, real *g) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    struct dit_backward_acts *b = &pass->acts->back;
    real *dm = g ? b->dm : NULL;
    elem *dpre = b->wide;
    long N = pass->N, d = pass->d, wide = pass->config->ffn_dim;
    struct dit_step end = block_end(pass, block), front = ffn_front(pass, block, a);
    residual_backward(b->a, dgate_of(pass, &end, g), grad_at(g, end.bias), b->dx, end.branch, end.gate, N, d, pass->P,
                      6 * d);
    if (g) linear_backward_weight(g + at->ffn2_w, NULL, b->a, a->ffn_h, N, wide, d);
    linear_gelu_backward_input(dpre, b->a, w + at->ffn2_w, a->ffn_pre, N, wide, d);
    linear_grads(g, at->ffn0_w, at->ffn0_b, dpre, a->ffn_y, N, d, wide);
    linear_backward_input(b->a, dpre, w + at->ffn0_w, N, d, wide, 0);
    residual_modulate_backward(b->dx, grad_at(dm, (size_t)(3 * d)), grad_at(dm, (size_t)(4 * d)), b->a,
                               dgate_of(pass, &front, g), grad_at(g, front.bias), b->a, front.x, a->ffn_mean,
                               a->ffn_rstd, a->m + 4 * d, front.branch, front.gate, 6 * d, N, d, pass->P, 6 * d);
}

static void cross_backward(struct dit_pass *pass, const struct cross_layer *layer, const elem *w, real *g) {
    const struct dit_attention_offsets *at = layer->at;
    const struct attention_query *q = layer->q;
    struct dit_backward_acts *b = &pass->acts->back;
    long N = pass->N, d = pass->d;
    const struct dit_step *front = &layer->front;
    last_product_backward(b->b, b->a, q->o, w, g, at->o_w, N, d, d);
    struct attention_range range = dit_condition_range(pass, layer->keys, layer->tokens);
    range.dk = g ? b->dkeys : NULL;
    range.dv = g ? b->dvalues : NULL;
    attention_backward(b->dq, b->b, q->o, q->lse, q->q, &range, 1, layer->samples, layer->queries, pass->H, pass->D,
                       pass->scale);
    if (g)
        dit_condition_keys_backward(pass, layer->keys, at, w, g, layer->source, layer->dsource_sum,
                                    layer->samples * layer->tokens, layer->width);
    rmsnorm_backward(b->dq, grad_at(g, at->norm_q), b->dq, q->q_raw, q->q_rstd, w + at->norm_q, N, d);
    linear_grads(g, at->q_w, at->q_b, b->dq, q->y, N, d, d);
    linear_backward_input(b->a, b->dq, w + at->q_w, N, d, d, 0);
    residual_layernorm_backward(b->dx, grad_at(g, layer->norm_w), grad_at(g, layer->norm_b), b->a,
                                dgate_of(pass, front, g), grad_at(g, front->bias), b->a, front->x, q->mean, q->rstd,
                                w + layer->norm_w, front->branch, front->gate, 6 * d, N, d, pass->P);
}

/* Adds what later chunks collected (own, samples kv_stride apart) to grad [B, F tokens, heads D]; sums in real. */
static void add_own(struct dit_pass *pass, elem *grad, const real *own) {
    real *sum = pass->acts->back.wide;
    long n = pass->F * pass->tokens * pass->heads * pass->D;
    size_t bytes = (size_t)n * sizeof(real);
    mem_copy_rows(sum, bytes, own, (size_t)pass->gradients->kv_stride * sizeof(real), bytes, (size_t)pass->B);
    real_add_elem(sum, grad, pass->B * n);
    elem_from_real(grad, sum, pass->B * n);
}

/* Copies a gradient [N, d] to its third of back.dqkv's rows. */
static void put(struct dit_pass *pass, int part, const elem *grad) {
    size_t width = (size_t)pass->d * sizeof(elem);
    mem_copy_rows(pass->acts->back.dqkv + part * pass->d, 3 * width, grad, width, width, (size_t)pass->N);
}

/* Goes back from the gradients of what attention read, back.dq, dk and dv, to those of the projections' outputs, side
   by side in back.dqkv. What later chunks collected belongs to the keys before rotation. */
static void self_inputs_backward(struct dit_pass *pass, int block, const elem *w, real *g) {
    const struct dit_attention_offsets *at = &pass->net->blocks[block].self;
    const struct attention_query *q = &pass->acts->blocks[block].self;
    const struct attention_keys *own = &pass->acts->blocks[block].own;
    const struct dit_gradients *gradients = pass->gradients;
    struct dit_backward_acts *b = &pass->acts->back;
    if (gradients->dv_own) add_own(pass, b->dv, gradients->dv_own[block]);
    if (gradients->dk_own) {
        turn(pass, b->dk, -1);
        add_own(pass, b->dk, gradients->dk_own[block]);
        rmsnorm_backward(b->dk, grad_at(g, at->norm_k), b->dk, own->k_raw, own->k_rstd, w + at->norm_k, pass->N,
                         pass->d);
        put(pass, 1, b->dk);
    } else {
        norm_rope_backward(pass, b->dqkv + pass->d, grad_at(g, at->norm_k), b->dk, own->k_raw, own->k_rstd,
                           w + at->norm_k);
    }
    norm_rope_backward(pass, b->dqkv, grad_at(g, at->norm_q), b->dq, q->q_raw, q->q_rstd, w + at->norm_q);
    put(pass, 2, b->dv);
}

static int self_inputs_backward_divided(struct dit_pass *pass, int block, const elem *w, real *g) {
    const struct dit_attention_offsets *at = &pass->net->blocks[block].self;
    const struct attention_query *q = &pass->acts->blocks[block].self;
    const struct attention_keys *own = &pass->acts->blocks[block].own;
    const struct dit_gradients *gradients = pass->gradients;
    struct dit_backward_acts *b = &pass->acts->back;
    turn(pass, b->dq, -1);
    TRY(start_tokens(pass, 0, b->dq));
    turn(pass, b->dk, -1);
    if (gradients->dk_own) add_own(pass, b->dk, gradients->dk_own[block]);
    TRY(start_tokens(pass, 1, b->dk));
    if (gradients->dv_own) add_own(pass, b->dv, gradients->dv_own[block]);
    TRY(start_tokens(pass, 2, b->dv));
    TRY(finish_tokens(pass, 0, b->dq));
    rmsnorm_backward(b->dq, grad_at(g, at->norm_q), b->dq, q->q_raw, q->q_rstd, w + at->norm_q, pass->N, pass->d);
    put(pass, 0, b->dq);
    TRY(finish_tokens(pass, 1, b->dk));
    rmsnorm_backward(b->dk, grad_at(g, at->norm_k), b->dk, own->k_raw, own->k_rstd, w + at->norm_k, pass->N, pass->d);
    put(pass, 1, b->dk);
    TRY(finish_tokens(pass, 2, b->dv));
    put(pass, 2, b->dv);
    return OK;
}

static int self_backward(struct dit_pass *pass, int block, const elem *w, real *g) {
    const struct dit_attention_offsets *at = &pass->net->blocks[block].self;
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    const struct attention_query *q = &a->self;
    struct dit_backward_acts *b = &pass->acts->back;
    real *dm = g ? b->dm : NULL;
    long N = pass->N, d = pass->d;
    last_product_backward(b->b, b->a, q->o, w, g, at->o_w, N, d, d);
    if (dit_divided(pass)) {
        TRY(start_heads(pass, 0, b->b));
        TRY(finish_heads(pass, 0, b->b));
    }
    struct attention_range ranges[ATTENTION_RANGES_MAX];
    int count = self_ranges(pass, block, ranges), own = own_place(pass, block).at;
    ranges[own].dk = b->dk;
    ranges[own].dv = b->dv;
    count = join_ranges(pass, ranges, count);
    attention_backward(b->dq, b->b, q->o_heads, q->lse, q->q, ranges, count, pass->B, pass->F * pass->tokens,
                       pass->heads, pass->D, pass->scale);
    if (dit_divided(pass))
        TRY(self_inputs_backward_divided(pass, block, w, g));
    else
        self_inputs_backward(pass, block, w, g);
    linear_grads(g, at->q_w, at->q_b, b->dqkv, q->y, N, d, 3 * d);
    linear_backward_input(b->a, b->dqkv, w + at->q_w, N, d, 3 * d, 0);
    layernorm_modulate_backward(b->dx, dm, grad_at(dm, (size_t)d), b->a, pass->acts->x[block], q->mean, q->rstd,
                                a->m + d, N, d, pass->P, 6 * d);
    return OK;
}

int dit_block_backward(struct dit_pass *pass, int block, const elem *w, real *g) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    const struct dit_block_acts *a = &pass->acts->blocks[block];
    struct dit_backward_acts *b = &pass->acts->back;
    long width = 6 * pass->d;
    if (g) mem_zero(b->dm, (size_t)(pass->G * width) * sizeof(real));
    ffn_backward(pass, block, w, g);
    for (int s = AUDIO_STREAMS - 1; s >= 0 && at->has_audio; s--) {
        struct cross_layer audio = audio_layer(pass, block, s, a);
        cross_backward(pass, &audio, w, g);
    }
    struct cross_layer text = text_layer(pass, block, a);
    cross_backward(pass, &text, w, g);
    TRY(self_backward(pass, block, w, g));
    if (g) modulation_backward(g + at->modulation, b->de0, b->dm, pass->G, width);
    return OK;
}
