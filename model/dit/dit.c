/* dit.c: the whole DiT, forward and backward: patches, time, the blocks one after the other, the head (formulas:
   docs/model.md). Weights come and gradients go slice by slice. */
#include "model/dit/private.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"
#include "kernels/workspace.h"

/* ---- the pass ---- */

static int check_input(const struct dit *net, const struct dit_acts *acts, const struct dit_input *in) {
    if (in->batch < 1 || in->batch > acts->B || in->frames < 1 || in->frames > acts->F)
        return error_set(ERR_USAGE, "model: %d samples of %d frames do not fit in activations for %d of %d", in->batch,
                         in->frames, acts->B, acts->F);
    if (in->blocks < 0 || in->blocks > net->config.layers)
        return error_set(ERR_USAGE, "model: %d blocks asked of %d", in->blocks, net->config.layers);
    if (in->history && (in->history->count < 0 || in->history->count >= ATTENTION_RANGES_MAX))
        return error_set(ERR_USAGE, "model: history of %d ranges, at most %d", in->history->count,
                         ATTENTION_RANGES_MAX - 1);
    if (!in->latents || !in->t || !in->text || !in->positions)
        return error_set(ERR_USAGE, "model: latents, t, text or positions are missing");
    if (net->config.reference_gate && in->first_frame > 0 && !in->blocks && !in->reference)
        return error_set(ERR_USAGE, "model: the reference is missing, which a reference_gate lets through");
    if (net->config.audio_dim && (!in->audio[AUDIO_TALK] || !in->audio[AUDIO_LISTEN]))
        return error_set(ERR_USAGE, "model: talk or listen audio is missing (silence is zeros)");
    return OK;
}

static struct dit_pass pass_begin(const struct dit *net, const struct params *params, struct dit_acts *acts,
                                  const struct dit_input *in) {
    const struct dit_config *c = &net->config;
    struct dit_pass pass = {
        .net = net, .config = c, .params = params, .acts = acts, .in = in, .owed = DIT_NOTHING_OWED};
    pass.blocks = in->blocks ? in->blocks : c->layers;
    pass.B = in->batch;
    pass.F = in->frames;
    pass.tokens = dit_tokens(c);
    pass.heads = sequence_own(net->sequence, c->heads);
    pass.P = sequence_own(net->sequence, pass.tokens);
    pass.G = pass.B * pass.F;
    pass.N = pass.G * pass.P;
    pass.d = c->dim;
    pass.H = c->heads;
    pass.D = c->dim / c->heads;
    pass.scale = (real)(1 / sqrt((double)pass.D));
    pass.eps = (real)c->eps;
    return pass;
}

/* ---- forward ---- */

static void rope_prepare(struct dit_pass *pass) {
    struct dit_acts *a = pass->acts;
    size_t bytes = (size_t)pass->F * sizeof *a->positions;
    if (a->position_count == pass->F && !memcmp(a->positions, pass->in->positions, bytes)) return;
    memcpy(a->positions, pass->in->positions, bytes);
    a->position_count = (int)pass->F;
    rope_table(a->rope_cos, a->rope_sin, &pass->net->axes, a->positions, (int)pass->F, pass->config->height / 2,
               pass->config->width / 2);
}

/* e = W2 silu(W1 s + b1) + b2, e0 = W3 silu(e) + b3, one row a frame */
static void time_forward(struct dit_pass *pass, const elem *w) {
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_acts *a = pass->acts;
    long G = pass->G, d = pass->d, freq = pass->config->freq_dim;
    time_sinusoid(a->time_s, pass->in->t, G, freq);
    linear_forward_real(a->time_pre, a->time_s, w + at->time0_w, w + at->time0_b, G, freq, d);
    silu_forward(a->time_h, a->time_pre, G * d);
    linear_forward_real(a->e, a->time_h, w + at->time2_w, w + at->time2_b, G, d, d);
    silu_forward(a->e_silu, a->e, G * d);
    linear_forward_real(a->e0, a->e_silu, w + at->time_proj_w, w + at->time_proj_b, G, d, 6 * d);
}

/* In a divided network each rank makes all patches and keeps its own, because patches are cheap. */
static void patches_forward(struct dit_pass *pass) {
    const struct dit_config *c = pass->config;
    struct dit_acts *a = pass->acts;
    elem *patches = dit_divided(pass) ? a->whole : a->patches;
    patchify(patches, pass->in->latents, pass->B, pass->F, c->in_channels, c->height, c->width,
             pass->in->latent_stride);
    if (dit_divided(pass))
        sequence_take(pass->net->sequence, a->patches, patches, pass->G, pass->tokens,
                      4 * (size_t)c->in_channels * sizeof(elem));
}

static void embed_forward(struct dit_pass *pass) {
    const struct dit_config *c = pass->config;
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_acts *a = pass->acts;
    const elem *w = params_acquire(pass->params, 0);
    dit_condition_embed(pass, w);
    time_forward(pass, w);
    patches_forward(pass);
    linear_forward_real(a->x[0], a->patches, w + at->patch_w, w + at->patch_b, pass->N, 4 * c->in_channels, pass->d);
    params_release(pass->params, 0);
}

/* Puts the head's rows, gathered from all ranks, back into pictures. */
static int pictures_of(struct dit_pass *pass, const real *rows, real *pictures, long stride) {
    const struct dit_config *c = pass->config;
    struct dit_acts *a = pass->acts;
    if (dit_divided(pass)) {
        TRY(sequence_gather(pass->net->sequence, &a->exchange[0], a->whole, rows, pass->G, pass->tokens,
                            4 * (size_t)c->out_channels * sizeof(real)));
        rows = a->whole;
    }
    unpatchify(pictures, rows, pass->B, pass->F, c->out_channels, c->height, c->width, stride);
    return OK;
}

/* Makes pictures of a linear output of the head: w y + b, y the head's norm. */
static int output_forward(struct dit_pass *pass, const elem *w, size_t weight, size_t bias, real *pictures,
                          long stride) {
    struct dit_acts *a = pass->acts;
    linear_forward_real(a->head_out, a->head_y, w + weight, w + bias, pass->N, pass->d, 4 * pass->config->out_channels);
    return pictures_of(pass, a->head_out, pictures, stride);
}

/* The reference's latents: a sample's frame 0 where that is among the frames, else the input's own. */
static const real *reference_of(const struct dit_pass *pass, long *stride) {
    const struct dit_input *in = pass->in;
    *stride = in->first_frame ? in->reference_stride : in->latent_stride;
    return in->first_frame ? in->reference : in->latents;
}

/* clean += r / (1 + exp(-(Wg y + bg))), y the head's norm */
static int gate_forward(struct dit_pass *pass, const elem *w, real *clean, long stride) {
    const struct dit_head_offsets *at = &pass->net->head;
    long frame = dit_frame(pass->config), reference_stride;
    const real *reference = reference_of(pass, &reference_stride);
    TRY(output_forward(pass, w, at->gate_w, at->gate_b, pass->acts->gate, pass->F * frame));
    reference_gate_forward(clean, stride, pass->acts->gate, reference, reference_stride, pass->B, pass->F, frame);
    return OK;
}

/* o = Wh (LN(x)(1 + M1) + M0) + bh, M = modulation + e in both rows */
static int head_forward(struct dit_pass *pass, real *velocity, long stride) {
    const struct dit_config *c = pass->config;
    const struct dit_head_offsets *at = &pass->net->head;
    struct dit_acts *a = pass->acts;
    const elem *w = params_acquire(pass->params, c->layers + 1);
    long d = pass->d, G = pass->G;
    size_t row = (size_t)d * sizeof(real);
    mem_copy_rows(a->head_e, 2 * row, a->e, row, row, (size_t)G);
    mem_copy_rows(a->head_e + d, 2 * row, a->e, row, row, (size_t)G);
    modulation_forward(a->head_m, w + at->modulation, a->head_e, G, 2 * d);
    dit_head_norm_forward(pass);
    int code = output_forward(pass, w, at->w, at->b, velocity, stride);
    if (!code && c->reference_gate) code = gate_forward(pass, w, velocity, stride);
    params_release(pass->params, c->layers + 1);
    TRY(code);
    if (c->clean_floor > 0)
        clean_to_velocity(velocity, stride, pass->in->latents, pass->in->latent_stride, pass->in->t,
                          (real)c->clean_floor, pass->B, pass->F, dit_frame(c));
    return OK;
}

int dit_forward(const struct dit *net, const struct params *params, struct dit_acts *acts, const struct dit_input *in,
                real *velocity, long velocity_stride) {
    TRY(check_input(net, acts, in));
    if (!velocity != (in->blocks > 0)) return error_set(ERR_USAGE, "model: a velocity comes with all blocks");
    struct dit_pass pass = pass_begin(net, params, acts, in);
    acts->last_blocks = 0;
    rope_prepare(&pass);
    embed_forward(&pass);
    for (int l = 0; l < pass.blocks; l++) {
        const elem *w = params_acquire(params, l + 1);
        int code = dit_block_forward(&pass, l, w, in->kv_output);
        params_release(params, l + 1);
        TRY(code);
    }
    if (velocity) TRY(head_forward(&pass, velocity, velocity_stride));
    dit_settle(&pass);
    acts->last_batch = in->batch;
    acts->last_frames = in->frames;
    acts->last_blocks = pass.blocks;
    return params_status(params);
}

int dit_prepare(const struct dit *net, const struct params *params, struct dit_acts *acts, const struct dit_input *in) {
    TRY(check_input(net, acts, in));
    struct dit_pass pass = pass_begin(net, params, acts, in);
    rope_prepare(&pass);
    dit_condition_embed(&pass, params_acquire(params, 0));
    params_release(params, 0);
    for (int l = 0; l < pass.blocks; l++) {
        dit_condition_keys(&pass, l, params_acquire(params, l + 1));
        params_release(params, l + 1);
    }
    return params_status(params);
}

const resid *dit_tap(const struct dit_acts *acts, int block) {
    if (acts->memory == DIT_FORWARD_ONLY || block < 0 || block >= acts->last_blocks) return NULL;
    return acts->x[block + 1];
}

/* ---- backward ---- */

/* Takes the own tokens' rows out of the pictures' gradient, which every rank has whole. */
static void pictures_backward(struct dit_pass *pass, real *drows, const real *dpictures, long stride) {
    const struct dit_config *c = pass->config;
    real *rows = dit_divided(pass) ? pass->acts->whole : drows;
    unpatchify_backward(rows, dpictures, pass->B, pass->F, c->out_channels, c->height, c->width, stride);
    if (dit_divided(pass))
        sequence_take(pass->net->sequence, drows, rows, pass->G, pass->tokens,
                      4 * (size_t)c->out_channels * sizeof(real));
}

/* Goes back from pictures' gradient through a linear output of the head: back.a = beta back.a + its part of dy. */
static void output_backward(struct dit_pass *pass, const elem *w, real *g, size_t weight, size_t bias,
                            const real *dpictures, long stride, real beta) {
    struct dit_acts *a = pass->acts;
    struct dit_backward_acts *b = &a->back;
    long N = pass->N, d = pass->d, out = 4L * pass->config->out_channels;
    pictures_backward(pass, b->dhead_out, dpictures, stride);
    elem_from_real(b->dhead, b->dhead_out, N * out);
    linear_grads(g, weight, bias, b->dhead, a->head_y, N, d, out);
    linear_backward_input(b->a, b->dhead, w + weight, N, d, out, beta);
}

/* Adds the gate's part of dy, and the reference's gradient to dlatents where it is among the frames. back.dclean
   becomes the gate's gradient. */
static void gate_backward(struct dit_pass *pass, const elem *w, real *g) {
    struct dit_acts *a = pass->acts;
    const struct dit_head_offsets *at = &pass->net->head;
    const struct dit_gradients *gradients = pass->gradients;
    long frame = dit_frame(pass->config), stride;
    const real *reference = reference_of(pass, &stride);
    reference_gate_backward(a->back.dclean, pass->in->first_frame ? NULL : gradients->dlatents,
                            gradients->dlatents_stride, a->gate, reference, stride, pass->B, pass->F, frame);
    output_backward(pass, w, g, at->gate_w, at->gate_b, a->back.dclean, pass->F * frame, 1);
}

/* Sets back.dx to the head's part of the stream's gradient, and back.de to its part of the time embedding's. */
static void head_backward(struct dit_pass *pass) {
    const struct dit_config *c = pass->config;
    const struct dit_head_offsets *at = &pass->net->head;
    struct dit_acts *a = pass->acts;
    struct dit_backward_acts *b = &a->back;
    int slice = c->layers + 1;
    const elem *w = params_acquire(pass->params, slice);
    real *g = grads_acquire(pass->params, slice);
    real *dm = g ? b->dm : NULL;
    long N = pass->N, G = pass->G, d = pass->d;
    const real *dlatents = pass->gradients->dvelocity;
    long stride = pass->gradients->dvelocity_stride, frame = dit_frame(c);
    if (c->clean_floor > 0) {
        clean_to_velocity_backward(b->dclean, pass->gradients->dlatents, pass->gradients->dlatents_stride, dlatents,
                                   stride, pass->in->t, (real)c->clean_floor, pass->B, pass->F, frame);
        dlatents = b->dclean;
        stride = pass->F * frame;
    }
    output_backward(pass, w, g, at->w, at->b, dlatents, stride, 0);
    if (c->reference_gate) gate_backward(pass, w, g);
    if (g) mem_zero(dm, (size_t)(G * 2 * d) * sizeof(real));
    layernorm_modulate_backward(b->dx, dm, grad_at(dm, (size_t)d), b->a, a->x[c->layers], a->head_mean, a->head_rstd,
                                a->head_m + d, N, d, pass->P, 2 * d);
    if (g) {
        modulation_backward(g + at->modulation, NULL, dm, G, 2 * d);
        /* both rows of M are e */
        size_t row = (size_t)d * sizeof(real);
        mem_copy_rows(b->de, row, dm, 2 * row, row, (size_t)G);
        mem_copy_rows(b->time_b, row, dm + d, 2 * row, row, (size_t)G);
        real_axpby(b->de, 1, b->time_b, 1, G * d);
    }
    params_release(pass->params, slice);
    if (g) grads_done(pass->params, slice);
}

/* Goes back from de0 and the head's de through the three time layers. */
static void time_backward(struct dit_pass *pass, const elem *w, real *g) {
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_acts *a = pass->acts;
    struct dit_backward_acts *b = &a->back;
    long G = pass->G, d = pass->d;
    elem_from_real(b->time_wide, b->de0, G * 6 * d);
    linear_grads(g, at->time_proj_w, at->time_proj_b, b->time_wide, a->e_silu, G, d, 6 * d);
    linear_backward_input(b->time_a, b->time_wide, w + at->time_proj_w, G, d, 6 * d, 0);
    silu_backward(b->time_b, b->time_a, a->e, G * d);
    real_axpby(b->de, 1, b->time_b, 1, G * d);
    elem_from_real(b->time_a, b->de, G * d);
    linear_grads(g, at->time2_w, at->time2_b, b->time_a, a->time_h, G, d, d);
    linear_backward_input(b->time_wide, b->time_a, w + at->time2_w, G, d, d, 0);
    silu_backward(b->time_b, b->time_wide, a->time_pre, G * d);
    elem_from_real(b->time_a, b->time_b, G * d);
    linear_grads(g, at->time0_w, at->time0_b, b->time_a, a->time_s, G, pass->config->freq_dim, d);
}

/* Adds the gradients of the patches of all ranks to dlatents. */
static int patches_backward(struct dit_pass *pass, const elem *dpatches) {
    const struct dit_config *c = pass->config;
    struct dit_acts *a = pass->acts;
    if (dit_divided(pass)) {
        TRY(sequence_gather(pass->net->sequence, &a->exchange[0], a->whole, dpatches, pass->G, pass->tokens,
                            4 * (size_t)c->in_channels * sizeof(elem)));
        dpatches = a->whole;
    }
    patchify_backward(pass->gradients->dlatents, dpatches, pass->B, pass->F, c->in_channels, c->height, c->width,
                      pass->gradients->dlatents_stride);
    return OK;
}

static int embed_backward(struct dit_pass *pass) {
    const struct dit_config *c = pass->config;
    const struct dit_embed_offsets *at = &pass->net->embed;
    struct dit_acts *a = pass->acts;
    struct dit_backward_acts *b = &a->back;
    const elem *w = params_acquire(pass->params, 0);
    real *g = grads_acquire(pass->params, 0);
    long patch = 4L * c->in_channels;
    elem_from_real(b->a, b->dx, pass->N * pass->d);
    linear_grads(g, at->patch_w, at->patch_b, b->a, a->patches, pass->N, patch, pass->d);
    if (pass->gradients->dlatents)
        linear_backward_input(b->dpatches, b->a, w + at->patch_w, pass->N, patch, pass->d, 0);
    if (g) {
        time_backward(pass, w, g);
        dit_condition_embed_backward(pass, w, g);
    }
    params_release(pass->params, 0);
    if (g) grads_done(pass->params, 0);
    return pass->gradients->dlatents ? patches_backward(pass, b->dpatches) : OK;
}

static void sums_clear(struct dit_pass *pass) {
    const struct dit_config *c = pass->config;
    struct dit_backward_acts *b = &pass->acts->back;
    mem_zero(b->dx, (size_t)(pass->N * pass->d) * sizeof(resid));
    if (!pass->params->grads) return;
    mem_zero(b->de0, (size_t)(pass->G * 6 * pass->d) * sizeof(real));
    mem_zero(b->de, (size_t)(pass->G * pass->d) * sizeof(real));
    mem_zero(b->dtext, (size_t)(pass->B * c->text_len * pass->d) * sizeof(real));
    if (c->audio_dim)
        mem_zero(b->dtokens, (size_t)(AUDIO_STREAMS * pass->G * c->audio_tokens * c->audio_width) * sizeof(real));
}

static int check_gradients(const struct dit_acts *acts, const struct dit_pass *pass) {
    const struct dit_gradients *g = pass->gradients;
    if (acts->memory == DIT_FORWARD_ONLY || acts->last_blocks != pass->blocks || acts->last_batch != pass->B ||
        acts->last_frames != pass->F)
        return error_set(ERR_USAGE, "model: no saved forward of this input to go back from");
    if (g->dvelocity && pass->in->blocks)
        return error_set(ERR_USAGE, "model: a gradient of the velocity comes with all blocks");
    if (g->taps < 0 || g->taps > DIT_TAPS_MAX) return error_set(ERR_USAGE, "model: %d taps", g->taps);
    for (int i = 0; i < g->taps; i++)
        if (g->tap_block[i] < 0 || g->tap_block[i] >= pass->blocks)
            return error_set(ERR_USAGE, "model: tap at block %d of %d", g->tap_block[i], pass->blocks);
    return OK;
}

static int block_step_back(struct dit_pass *pass, int block) {
    const struct dit_gradients *gradients = pass->gradients;
    for (int i = 0; i < gradients->taps; i++)
        if (gradients->tap_block[i] == block)
            real_axpby(pass->acts->back.dx, 1, gradients->tap_grad[i], 1, pass->N * pass->d);
    int slice = block + 1;
    const elem *w = params_acquire(pass->params, slice);
    real *g = grads_acquire(pass->params, slice);
    int code = OK;
    if (pass->acts->memory == DIT_SAVE_BLOCKS && pass->acts->held_block != block)
        code = dit_block_forward(pass, block, w, NULL);
    pass->owed = DIT_NOTHING_OWED; /* the forward has left the stream behind the block complete */
    if (!code) code = dit_block_backward(pass, block, w, g);
    params_release(pass->params, slice);
    if (g) grads_done(pass->params, slice);
    return code;
}

int dit_backward(const struct dit *net, const struct params *params, struct dit_acts *acts, const struct dit_input *in,
                 const struct dit_gradients *gradients) {
    TRY(check_input(net, acts, in));
    struct dit_pass pass = pass_begin(net, params, acts, in);
    pass.gradients = gradients;
    TRY(check_gradients(acts, &pass));
    sums_clear(&pass);
    if (gradients->dvelocity) head_backward(&pass);
    for (int l = pass.blocks - 1; l >= 0; l--) TRY(block_step_back(&pass, l));
    TRY(embed_backward(&pass));
    return params_status(params);
}

/* ---- cost ---- */

/* Counts self-attention only, the largest: cross-attention has the same queries and fewer keys in one range. History
   and own keys are neighbours in memory (kv_cache.h). */
size_t dit_workspace(const struct dit_config *c, int B, int F, int history, int backward) {
    long P = dit_tokens(c), own = F * P, before = history * P;
    struct attention_sizes sizes = {.B = B,
                                    .S = own,
                                    .H = c->heads,
                                    .D = c->dim / c->heads,
                                    .keys = own + before,
                                    .longest = own + before,
                                    .ranges = history ? 3 : 1};
    size_t bytes = attention_workspace(&sizes, backward);
    return bytes > WORKSPACE_LEAST ? bytes : WORKSPACE_LEAST;
}

size_t dit_quantised_room(const struct dit_config *c, int B, int F) {
    const long N = (long)B * F * dit_tokens(c), text = (long)B * c->text_len, audio = (long)B * F * c->audio_tokens;
    const long product[][3] = {{N, c->dim, c->ffn_dim},
                               {N, c->ffn_dim, c->dim},
                               {N, c->dim, c->dim},
                               {text, c->dim, c->dim},
                               {c->audio_dim ? audio : 0, c->audio_width, c->dim}};
    long most = 0;
    for (int i = 0; c->weights && i < 5; i++) {
        long bytes = quantised_room(c->weights, product[i][0], product[i][1], product[i][2]);
        if (bytes > most) most = bytes;
    }
    return (size_t)most;
}

double dit_flops(const struct dit_config *c, int B, int F, int history) {
    double d = c->dim, G = (double)B * F, P = dit_tokens(c), N = G * P, text = (double)B * c->text_len;
    double tokens = G * c->audio_tokens, audio_in = AUDIO_WINDOW * (double)c->audio_dim;
    double block = 8 * N * d * d + 4 * N * (F + history) * P * d                /* self-attention */
                   + 4 * N * d * d + 4 * text * d * d + 4 * N * c->text_len * d /* text */
                   + 4 * N * d * c->ffn_dim;
    double total = c->layers * block + 2 * N * 4 * c->in_channels * d +
                   2 * N * d * 4 * c->out_channels * (1 + c->reference_gate) + 2 * text * d * (c->text_dim + d) +
                   2 * G * d * (c->freq_dim + d + 6 * d);
    if (!c->audio_dim) return total;
    double audio_blocks = (c->layers + c->audio_every - 1) / c->audio_every;
    double stream = 4 * N * d * d + 4 * tokens * c->audio_width * d + 4 * N * c->audio_tokens * d;
    double projection =
        2 * G * c->audio_hidden * (audio_in + c->audio_hidden + c->audio_tokens * (double)c->audio_width);
    return total + AUDIO_STREAMS * (audio_blocks * stream + projection);
}
