/* condition.c: what the DiT takes from text and audio: the text embedding, the audio tokens (MultiTalk's projection,
   one for talk and listen) and every block's keys and values of both. None of these depends on t or the latents, so the
   first pass that finds them not ready computes them and later passes read them; every backward goes back through them.
     text    c = W2 gelu(W1 x + b1) + b2                                             [B text_len, d]
     audio   h1 = relu(proj1 w) for latent 0 (5 features), relu(proj1_vf w) for later ones (8 features);
             h2 = relu(proj2 h1);  tokens = LN(proj3 h2 viewed [audio_tokens, audio_width])
     keys    k = RMS(Wk s + bk) wk over the whole width, v = Wv s + bv, s = c or the frame's tokens. */
#include "model/dit/private.h"

#include "kernels/device.h"

void dit_condition_reset(struct dit_acts *acts, int text, int audio) {
    if (text) acts->condition.text_blocks = -1;
    if (audio) acts->condition.audio_blocks = -1;
    acts->position_count = 0;
}

/* ---- audio tokens ---- */

/* Rows of the stacked audio buffers, [stream, sample, frame]. first: 1 if each sample begins with latent frame 0, else
   0; rest: its other frames. */
struct audio_rows {
    long samples, frames, first, rest, all;
};

static struct audio_rows audio_rows(const struct dit_pass *pass) {
    struct audio_rows r = {.samples = AUDIO_STREAMS * pass->B, .frames = pass->F};
    r.first = pass->in->first_frame == 0;
    r.rest = r.frames - r.first;
    r.all = r.samples * r.frames;
    return r;
}

static void gather_windows(struct dit_pass *pass, const struct audio_rows *r) {
    struct dit_condition *c = &pass->acts->condition;
    const struct dit_input *in = pass->in;
    size_t feature = (size_t)pass->config->audio_dim * sizeof(elem), from = (size_t)in->audio_stride * sizeof(elem);
    size_t window0 = AUDIO_WINDOW_FIRST * feature, window = AUDIO_WINDOW * feature;
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        char *to0 = (char *)c->window0 + (size_t)(s * pass->B) * window0;
        char *to = (char *)c->window + (size_t)(s * pass->B * r->rest) * window;
        const char *rest = (const char *)in->audio[s] + (size_t)r->first * window;
        if (r->first) mem_copy_rows(to0, window0, in->audio[s], from, window0, (size_t)pass->B);
        if (r->rest) mem_copy_rows(to, (size_t)r->rest * window, rest, from, (size_t)r->rest * window, (size_t)pass->B);
    }
}

/* Between rows in frame order, whole [samples, frames, width], and gathered apart: part0 [samples, width] of latent 0
   and part [samples, rest, width]. */
static void scatter_frames(elem *whole, const elem *part0, const elem *part, const struct audio_rows *r, long width) {
    size_t row = (size_t)width * sizeof(elem), pitch = (size_t)r->frames * row, rest = (size_t)r->rest * row;
    if (r->first) mem_copy_rows(whole, pitch, part0, row, row, (size_t)r->samples);
    if (r->rest) mem_copy_rows(whole + r->first * width, pitch, part, rest, rest, (size_t)r->samples);
}

static void gather_frames(elem *part0, elem *part, const elem *whole, const struct audio_rows *r, long width) {
    size_t row = (size_t)width * sizeof(elem), pitch = (size_t)r->frames * row, rest = (size_t)r->rest * row;
    if (r->first) mem_copy_rows(part0, row, whole, pitch, row, (size_t)r->samples);
    if (r->rest) mem_copy_rows(part, rest, whole + r->first * width, pitch, rest, (size_t)r->samples);
}

static void audio_tokens_forward(struct dit_pass *pass, const elem *w) {
    const struct dit_config *config = pass->config;
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_condition *c = &pass->acts->condition;
    struct audio_rows r = audio_rows(pass);
    long window0 = (long)AUDIO_WINDOW_FIRST * config->audio_dim, window = (long)AUDIO_WINDOW * config->audio_dim;
    long hidden = config->audio_hidden, width = config->audio_width;
    gather_windows(pass, &r);
    if (r.first)
        linear_forward(c->hidden1_part0, c->window0, w + at->audio1_w, w + at->audio1_b, r.samples, window0, hidden, 0);
    if (r.rest)
        linear_forward(c->hidden1_part, c->window, w + at->audio1vf_w, w + at->audio1vf_b, r.samples * r.rest, window,
                       hidden, 0);
    scatter_frames(c->hidden1, c->hidden1_part0, c->hidden1_part, &r, hidden);
    relu_forward(c->hidden1, c->hidden1, r.all * hidden);
    linear_forward(c->hidden2, c->hidden1, w + at->audio2_w, w + at->audio2_b, r.all, hidden, hidden, 0);
    relu_forward(c->hidden2, c->hidden2, r.all * hidden);
    linear_forward_real(c->tokens_raw, c->hidden2, w + at->audio3_w, w + at->audio3_b, r.all, hidden,
                        config->audio_tokens * width);
    layernorm_forward(c->tokens, c->tokens_mean, c->tokens_rstd, c->tokens_raw, w + at->audio_norm_w,
                      w + at->audio_norm_b, r.all * config->audio_tokens, width, (real)DIT_AUDIO_NORM_EPS);
}

static void audio_tokens_backward(struct dit_pass *pass, const elem *w, real *g) {
    const struct dit_config *config = pass->config;
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_condition *c = &pass->acts->condition;
    struct dit_backward_acts *b = &pass->acts->back;
    struct audio_rows r = audio_rows(pass);
    long window0 = (long)AUDIO_WINDOW_FIRST * config->audio_dim, window = (long)AUDIO_WINDOW * config->audio_dim;
    long hidden = config->audio_hidden, width = config->audio_width, out = config->audio_tokens * width;
    elem_from_real(b->dtokens_elem, b->dtokens, r.all * out);
    mem_zero(b->dtokens_raw, (size_t)(r.all * out) * sizeof(resid));
    layernorm_backward(b->dtokens_raw, g + at->audio_norm_w, g + at->audio_norm_b, b->dtokens_elem, c->tokens_raw,
                       c->tokens_mean, c->tokens_rstd, w + at->audio_norm_w, r.all * config->audio_tokens, width);
    elem_from_real(b->dtokens_elem, b->dtokens_raw, r.all * out);
    linear_grads(g, at->audio3_w, at->audio3_b, b->dtokens_elem, c->hidden2, r.all, hidden, out);
    linear_backward_input(b->dhidden2, b->dtokens_elem, w + at->audio3_w, r.all, hidden, out, 0);
    relu_backward(b->dhidden2, b->dhidden2, c->hidden2, r.all * hidden);
    linear_grads(g, at->audio2_w, at->audio2_b, b->dhidden2, c->hidden1, r.all, hidden, hidden);
    linear_backward_input(b->dhidden1, b->dhidden2, w + at->audio2_w, r.all, hidden, hidden, 0);
    relu_backward(b->dhidden1, b->dhidden1, c->hidden1, r.all * hidden);
    gather_frames(b->dhidden1_part0, b->dhidden1_part, b->dhidden1, &r, hidden);
    if (r.first) linear_grads(g, at->audio1_w, at->audio1_b, b->dhidden1_part0, c->window0, r.samples, window0, hidden);
    if (r.rest)
        linear_grads(g, at->audio1vf_w, at->audio1vf_b, b->dhidden1_part, c->window, r.samples * r.rest, window,
                     hidden);
}

/* ---- embeddings ---- */

static int text_ready(const struct dit_pass *pass, int blocks) {
    const struct dit_condition *c = &pass->acts->condition;
    return c->text_blocks >= blocks && c->text_batch == pass->B;
}

static int audio_ready(const struct dit_pass *pass, int blocks) {
    const struct dit_condition *c = &pass->acts->condition;
    return c->audio_blocks >= blocks && c->audio_batch == pass->B && c->audio_frames == pass->F &&
           c->audio_first == pass->in->first_frame;
}

void dit_condition_embed(struct dit_pass *pass, const elem *w) {
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_condition *c = &pass->acts->condition;
    if (!text_ready(pass, 0)) {
        long rows = pass->B * pass->config->text_len;
        linear_gelu_forward(c->text_h, c->text_pre, pass->in->text, w + at->text0_w, w + at->text0_b, rows,
                            pass->config->text_dim, pass->d);
        linear_forward(c->text, c->text_h, w + at->text2_w, w + at->text2_b, rows, pass->d, pass->d, 0);
        c->text_blocks = 0;
        c->text_batch = (int)pass->B;
    }
    if (pass->config->audio_dim && !audio_ready(pass, 0)) {
        audio_tokens_forward(pass, w);
        c->audio_blocks = 0;
        c->audio_batch = (int)pass->B;
        c->audio_first = pass->in->first_frame;
        c->audio_frames = (int)pass->F;
    }
}

void dit_condition_embed_backward(struct dit_pass *pass, const elem *w, real *g) {
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_condition *c = &pass->acts->condition;
    struct dit_backward_acts *b = &pass->acts->back;
    long rows = pass->B * pass->config->text_len, d = pass->d;
    /* dkeys and dvalues hold text_len rows of width d a sample and are free by now. */
    elem_from_real(b->dkeys, b->dtext, rows * d);
    linear_grads(g, at->text2_w, at->text2_b, b->dkeys, c->text_h, rows, d, d);
    linear_gelu_backward_input(b->dvalues, b->dkeys, w + at->text2_w, c->text_pre, rows, d, d);
    linear_grads(g, at->text0_w, at->text0_b, b->dvalues, pass->in->text, rows, pass->config->text_dim, d);
    if (pass->config->audio_dim) audio_tokens_backward(pass, w, g);
}

/* ---- keys and values ---- */

static void keys_forward(const struct dit_pass *pass, const struct attention_keys *keys,
                         const struct dit_attention_offsets *at, const elem *w, const elem *source, long rows,
                         long width) {
    long d = pass->d;
    dit_operand_of(pass, source, rows, width);
    dit_linear(pass, keys->k_raw, source, w, at->k_w, at->k_b, rows, width, d);
    rmsnorm_forward(keys->k, keys->k_rstd, keys->k_raw, w + at->norm_k, rows, d, pass->eps);
    dit_linear(pass, keys->v, source, w, at->v_w, at->v_b, rows, width, d);
}

void dit_condition_keys(struct dit_pass *pass, int block, const elem *w) {
    const struct dit_block_offsets *at = &pass->net->blocks[block];
    const struct dit_config *config = pass->config;
    struct dit_condition *c = &pass->acts->condition;
    if (!text_ready(pass, block + 1)) {
        keys_forward(pass, &c->text_keys[block], &at->cross, w, c->text, pass->B * config->text_len, pass->d);
        c->text_blocks = block + 1;
    }
    if (!config->audio_dim || audio_ready(pass, block + 1)) return;
    long rows = pass->G * config->audio_tokens, width = config->audio_width;
    for (int s = 0; s < AUDIO_STREAMS && at->has_audio; s++)
        keys_forward(pass, &c->audio_keys[s][block], &at->audio[s], w, c->tokens + s * rows * width, rows, width);
    c->audio_blocks = block + 1;
}

struct attention_range dit_condition_range(const struct dit_pass *pass, const struct attention_keys *keys,
                                           long tokens) {
    return (struct attention_range){
        .k = keys->k, .v = keys->v, .length = tokens, .k_stride = tokens * pass->d, .v_stride = tokens * pass->d};
}

void dit_condition_keys_backward(struct dit_pass *pass, const struct attention_keys *keys,
                                 const struct dit_attention_offsets *at, const elem *w, real *g, const elem *source,
                                 real *dsource_sum, long rows, long width) {
    struct dit_backward_acts *b = &pass->acts->back;
    long d = pass->d;
    rmsnorm_backward(b->dkeys, grad_at(g, at->norm_k), b->dkeys, keys->k_raw, keys->k_rstd, w + at->norm_k, rows, d);
    linear_grads(g, at->k_w, at->k_b, b->dkeys, source, rows, width, d);
    linear_grads(g, at->v_w, at->v_b, b->dvalues, source, rows, width, d);
    linear_backward_input(b->dsource, b->dkeys, w + at->k_w, rows, width, d, 0);
    linear_backward_input(b->dsource, b->dvalues, w + at->v_w, rows, width, d, 1);
    real_add_elem(dsource_sum, b->dsource, rows * width);
}
