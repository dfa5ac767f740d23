/* minimum.c: see minimum.h. Letters: N rows, G frames, d width, W width of the FFN, T rows of text, A rows of a
   stream's audio tokens (docs/model.md has the formulas). */
#include "tools/dry/minimum.h"

#include "base/media_rates.h"

struct list {
    struct traffic sum;
    double N, G, P, d, W, D, H, T, A, audio_width, sees; /* sees: keys that a query sees in self-attention */
    int saves;                                           /* 1: all that a backward reads is written too */
};

#define N(elems, reals) ((struct numbers){elems, reals})

static void kernel(struct list *l, struct numbers in, struct numbers out, double operations) {
    struct traffic t = {1, numbers_bytes(in), numbers_bytes(out), operations};
    traffic_add(&l->sum, &t);
}

/* ---- forward ---- */

static void product(struct list *l, double n, double din, double dout, double kept) {
    kernel(l, N(n * din + din * dout + dout, 0), N(n * dout + kept, 0), 2 * n * din * dout);
}

static void product_real(struct list *l, double n, double din, double dout) {
    kernel(l, N(n * din + din * dout + dout, 0), N(0, n * dout), 2 * n * din * dout);
}

/* x += branch gate and y = norm(x). modulated 1: two vectors for each frame; 0: a weight and a bias. */
static void residual_norm(struct list *l, int gated, int modulated) {
    double Nd = l->N * l->d, vectors = l->G * l->d * (gated + 2 * modulated), weights = modulated ? 0 : 2 * l->d;
    kernel(l, N(Nd + weights, Nd + vectors), N(Nd, Nd + 2 * l->N), 0);
}

/* Attention over `keys` rows of keys and of values, of which one query sees `sees`. */
static void attention(struct list *l, double keys, double sees) {
    double Nd = l->N * l->d;
    kernel(l, N(Nd + 2 * keys * l->d, 0), N(Nd, l->N * l->H), 4 * Nd * sees);
}

static void cross(struct list *l, double keys, double sees, int next_modulated) {
    double Nd = l->N * l->d;
    product(l, l->N, l->d, l->d, 0);
    kernel(l, N(Nd + l->d, 0), N(Nd, l->N), 0); /* RMSNorm */
    attention(l, keys, sees);
    product(l, l->N, l->d, l->d, 0);
    residual_norm(l, 0, next_modulated);
}

/* One block. kept: numbers of its own keys before their rotation, which go to the cache. */
static void block(struct list *l, int audio, double kept) {
    double Nd = l->N * l->d, m = 6 * l->G * l->d;
    kernel(l, N(6 * l->d, m), N(0, m), 0);
    product(l, l->N, l->d, 3 * l->d, 0);
    kernel(l, N(2 * Nd + 2 * l->d, l->N * l->D), N(2 * Nd + kept, 2 * l->N), 0); /* norms and rotation */
    attention(l, l->sees, l->sees);
    product(l, l->N, l->d, l->d, 0);
    residual_norm(l, 1, 0);
    cross(l, l->T, l->T, !audio);
    for (int s = 0; audio && s < AUDIO_STREAMS; s++) cross(l, l->A, l->A / l->G, s == AUDIO_STREAMS - 1);
    product(l, l->N, l->d, l->W, l->saves ? l->N * l->W : 0);
    product(l, l->N, l->W, l->d, 0);
    residual_norm(l, 1, 1);
}

static void embedding(struct list *l, const struct dit_config *c) {
    double patch = 4.0 * c->in_channels, Gd = l->G * l->d, Nd = l->N * l->d;
    kernel(l, N(0, l->G), N(l->G * c->freq_dim, 0), 0);
    product_real(l, l->G, c->freq_dim, l->d);
    kernel(l, N(0, Gd), N(Gd, 0), 0);
    product_real(l, l->G, l->d, l->d);
    kernel(l, N(0, Gd), N(Gd, 0), 0);
    product_real(l, l->G, l->d, 6 * l->d);
    kernel(l, N(0, l->N * patch), N(l->N * patch, 0), 0);
    product_real(l, l->N, patch, l->d);
    kernel(l, N(0, Nd + 2 * Gd), N(Nd, 2 * l->N), 0); /* the first norm */
}

static void head(struct list *l, const struct dit_config *c) {
    double out = 4.0 * c->out_channels;
    kernel(l, N(2 * l->d, l->G * l->d), N(0, 2 * l->G * l->d), 0);
    product_real(l, l->N, l->d, out);
    kernel(l, N(0, l->N * out), N(0, l->N * out), 0);
}

/* Makes the keys and values of a cross-attention. */
static void keys(struct list *l, double rows, double width) {
    product(l, rows, width, l->d, 0);
    kernel(l, N(rows * l->d + l->d, 0), N(rows * l->d, rows), 0);
    product(l, rows, width, l->d, 0);
}

static void audio_tokens(struct list *l, const struct dit_config *c, double frames, int window) {
    double features = (double)window * c->audio_dim, hidden = c->audio_hidden;
    kernel(l, N(frames * features, 0), N(frames * features, 0), 0); /* gathers the features */
    product(l, frames, features, hidden, 0);
}

static void audio_projection(struct list *l, const struct dit_config *c) {
    double frames = AUDIO_STREAMS * l->G, hidden = c->audio_hidden, tokens = AUDIO_STREAMS * l->A * l->audio_width;
    kernel(l, N(frames * hidden, 0), N(frames * hidden, 0), 0);
    product(l, frames, hidden, hidden, 0);
    kernel(l, N(frames * hidden, 0), N(frames * hidden, 0), 0);
    product_real(l, frames, hidden, c->audio_tokens * l->audio_width);
    kernel(l, N(2 * l->audio_width, tokens), N(tokens, 2 * AUDIO_STREAMS * l->A), 0);
}

static struct list list_of(const struct dit_config *c, double frames, double history, int saves) {
    struct list l = {.G = frames, .P = dit_tokens(c), .d = c->dim, .W = c->ffn_dim, .H = c->heads, .T = c->text_len};
    l.N = l.G * l.P;
    l.D = l.d / l.H;
    l.A = l.G * c->audio_tokens;
    l.audio_width = c->audio_width;
    l.sees = l.N + history * l.P;
    l.saves = saves;
    return l;
}

static int has_audio(const struct dit_config *c, int layer) { return c->audio_dim && layer % c->audio_every == 0; }

static void chunk_condition(struct list *l, const struct dit_config *c, double history) {
    double rows = history * l->P, turned = rows * l->d;
    kernel(l, N(0, 0), N(0, rows * l->D), 0); /* the table of cosines and sines, the chunk's own included */
    kernel(l, N(0, 0), N(0, l->N * l->D), 0);
    for (int i = 0; i < c->layers; i++) kernel(l, N(turned, rows * l->D), N(turned, 0), 0);
    if (!c->audio_dim) return;
    audio_tokens(l, c, AUDIO_STREAMS * l->G, AUDIO_WINDOW);
    audio_projection(l, c);
    for (int i = 0; i < c->layers; i++)
        for (int s = 0; has_audio(c, i) && s < AUDIO_STREAMS; s++) keys(l, l->A, l->audio_width);
}

struct traffic minimum_chunk(const struct dit_config *c, const struct rollout_config *r) {
    double history = r->causal.sink + r->causal.ring, chunk = r->causal.chunk;
    struct list l = list_of(c, chunk, history, 0);
    double latents = l.N * 4 * c->in_channels;
    int passes = r->steps + r->clean_pass;
    chunk_condition(&l, c, history);
    for (int pass = 0; pass < passes; pass++) {
        if (pass < r->steps) kernel(&l, N(0, 0), N(0, latents), 0);                   /* noise */
        if (pass && pass < r->steps) kernel(&l, N(0, 2 * latents), N(0, latents), 0); /* noise is added again */
        embedding(&l, c);
        for (int i = 0; i < c->layers; i++) block(&l, has_audio(c, i), pass == passes - 1 ? l.N * l.d : 0);
        head(&l, c);
        if (pass < r->steps) kernel(&l, N(0, 2 * latents), N(0, latents), 0); /* x0 */
    }
    kernel(&l, N(0, latents), N(0, latents), 0); /* copies the chunk out */
    return l.sum;
}

/* ---- backward ---- */

/* The gradients of a linear layer's weights and bias, which are added to sums. */
static void weight_back(struct list *l, double n, double din, double dout) {
    double sums = din * dout + dout;
    kernel(l, N(n * din + n * dout, sums), N(0, sums), 2 * n * din * dout);
}

static void input_back(struct list *l, double n, double din, double dout, double gelu) {
    kernel(l, N(n * dout + din * dout + gelu, 0), N(n * din, 0), 2 * n * din * dout);
}

static void linear_back(struct list *l, double n, double din, double dout) {
    weight_back(l, n, din, dout);
    input_back(l, n, din, dout, 0);
}

/* The backward of a norm and of the residual in front of it: adds to the stream's gradient, from which
   that of the branch follows. gated 1: the branch is read, for its gate's gradient. modulated 1: the
   norm has vectors for each frame. */
static void norm_back(struct list *l, int modulated, int gated) {
    double Nd = l->N * l->d, Gd = l->G * l->d, sums = modulated ? 2 * Gd : 2 * l->d;
    kernel(l, N(Nd + (gated ? Nd : 0), 2 * Nd + 2 * l->N + Gd * (modulated + 2 * gated) + sums),
           N(Nd, Nd + sums + (gated ? Gd : 0)), 0);
}

static void attention_back(struct list *l, double keys, double sees) {
    double Nd = l->N * l->d;
    kernel(l, N(3 * Nd + 2 * keys * l->d, l->N * l->H), N(Nd + 2 * keys * l->d, 0), 10 * Nd * sees);
}

static void rms_back(struct list *l, double rows) {
    kernel(l, N(2 * rows * l->d + l->d, rows + l->d), N(rows * l->d, l->d), 0);
}

static void cross_back(struct list *l, double keys, double sees, double width, int front_gated) {
    linear_back(l, l->N, l->d, l->d);
    attention_back(l, keys, sees);
    rms_back(l, keys);
    weight_back(l, keys, width, l->d);
    weight_back(l, keys, width, l->d);
    input_back(l, keys, width, l->d, 0);
    input_back(l, keys, width, l->d, keys * width); /* the values' part is added to the keys' */
    kernel(l, N(keys * width, keys * width), N(0, keys * width), 0);
    rms_back(l, l->N);
    linear_back(l, l->N, l->d, l->d);
    norm_back(l, 0, front_gated);
}

static void block_back(struct list *l, int audio) {
    double Nd = l->N * l->d, m = 6 * l->G * l->d;
    weight_back(l, l->N, l->W, l->d);
    input_back(l, l->N, l->W, l->d, l->N * l->W);
    linear_back(l, l->N, l->d, l->W);
    norm_back(l, 1, 0);
    for (int s = 0; audio && s < AUDIO_STREAMS; s++) cross_back(l, l->A, l->A / l->G, l->audio_width, 0);
    cross_back(l, l->T, l->T, l->d, 1);
    linear_back(l, l->N, l->d, l->d);
    attention_back(l, l->sees, l->sees);
    kernel(l, N(4 * Nd + 2 * l->d, 2 * l->N + l->N * l->D + 2 * l->d), N(2 * Nd, 2 * l->d), 0);
    linear_back(l, l->N, l->d, 3 * l->d);
    norm_back(l, 1, 1);
    kernel(l, N(0, 2 * m + 6 * l->d), N(0, m + 6 * l->d), 0);
}

static void head_back(struct list *l, const struct dit_config *c) {
    double out = 4.0 * c->out_channels, Gd = l->G * l->d;
    kernel(l, N(0, l->N * out), N(l->N * out, 0), 0);
    linear_back(l, l->N, l->d, out);
    norm_back(l, 1, 1); /* together with the last block's residual */
    kernel(l, N(0, 2 * Gd + 2 * l->d), N(0, Gd + 2 * l->d), 0);
}

static void text_embedding(struct list *l, const struct dit_config *c) {
    product(l, l->T, c->text_dim, l->d, l->T * l->d);
    product(l, l->T, l->d, l->d, 0);
}

static void embedding_back(struct list *l, const struct dit_config *c) {
    double Gd = l->G * l->d;
    weight_back(l, l->N, 4.0 * c->in_channels, l->d);
    kernel(l, N(0, 6 * Gd), N(6 * Gd, 0), 0);
    linear_back(l, l->G, l->d, 6 * l->d);
    kernel(l, N(Gd, 2 * Gd), N(Gd, 0), 0);
    linear_back(l, l->G, l->d, l->d);
    kernel(l, N(Gd, Gd), N(Gd, 0), 0);
    weight_back(l, l->G, c->freq_dim, l->d);
    kernel(l, N(0, l->T * l->d), N(l->T * l->d, 0), 0);
    weight_back(l, l->T, l->d, l->d);
    input_back(l, l->T, l->d, l->d, l->T * l->d);
    weight_back(l, l->T, c->text_dim, l->d);
}

static void audio_back(struct list *l, const struct dit_config *c) {
    double frames = AUDIO_STREAMS * l->G, hidden = c->audio_hidden, width = l->audio_width;
    double tokens = AUDIO_STREAMS * l->A * width, rows = frames * hidden;
    kernel(l, N(width, 2 * tokens + 2 * width), N(tokens, 2 * width), 0);
    linear_back(l, frames, hidden, c->audio_tokens * width);
    kernel(l, N(2 * rows, 0), N(rows, 0), 0);
    linear_back(l, frames, hidden, hidden);
    kernel(l, N(2 * rows, 0), N(rows, 0), 0);
    weight_back(l, AUDIO_STREAMS, (double)AUDIO_WINDOW_FIRST * c->audio_dim, hidden);
    weight_back(l, frames - AUDIO_STREAMS, (double)AUDIO_WINDOW * c->audio_dim, hidden);
}

struct traffic minimum_training(const struct dit_config *c, int frames) {
    struct list l = list_of(c, frames, 0, 1);
    kernel(&l, N(0, 0), N(0, l.N * l.D), 0); /* cosines and sines */
    embedding(&l, c);
    text_embedding(&l, c);
    if (c->audio_dim) {
        audio_tokens(&l, c, AUDIO_STREAMS, AUDIO_WINDOW_FIRST);
        audio_tokens(&l, c, AUDIO_STREAMS * (l.G - 1), AUDIO_WINDOW);
        audio_projection(&l, c);
    }
    for (int i = 0; i < c->layers; i++) {
        keys(&l, l.T, l.d);
        for (int s = 0; has_audio(c, i) && s < AUDIO_STREAMS; s++) keys(&l, l.A, l.audio_width);
        block(&l, has_audio(c, i), 0);
    }
    head(&l, c);
    head_back(&l, c);
    for (int i = c->layers - 1; i >= 0; i--) block_back(&l, has_audio(c, i));
    embedding_back(&l, c);
    if (c->audio_dim) audio_back(&l, c);
    return l.sum;
}
