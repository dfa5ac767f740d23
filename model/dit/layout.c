/* layout.c: the DiT's parameter table (original Wan names) and the plan of its activations.
   Initialisation is Wan's: Xavier deviations sqrt(2 / (in + out)) for linear layers, 0.02 in the text and time
   embeddings, modulation 1/sqrt(dim), zero head and biases; norms one. Audio output projections are zero, so that a new
   audio module leaves the video model as it is. The audio projection's last bias is not zero, because zero features
   (silence, dropped audio) would otherwise give the norm behind it constant rows. */
#include "model/dit/private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/dit/kv_cache.h"

/* ---- parameter table ---- */

/* Where the next parameters go: a slice and the prefix of their names. */
struct builder {
    struct param_table *table;
    int slice;
    char prefix[64];
    enum quantised_type type; /* type of the blocks' linear weights */
};

int dit_param_quantises(const struct param *p) { return p->ndim == 2 && !strncmp(p->name, "blocks.", 7); }

typedef size_t adder(struct param_table *table, int slice, const char *name, enum param_init init, double deviation,
                     int decay, const long *shape);

static size_t add_by(adder *how, struct builder *b, const char *name, enum param_init init, double deviation, int decay,
                     const long *shape) {
    char full[160];
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    size_t offset = how(b->table, b->slice, full, init, deviation, decay, shape);
    if (!b->table->failed && dit_param_quantises(&b->table->list[b->table->count - 1]))
        param_quantise(b->table, b->type);
    return offset;
}

static size_t add(struct builder *b, const char *name, enum param_init init, double deviation, int decay,
                  const long *shape) {
    return add_by(param_add, b, name, init, deviation, decay, shape);
}

static size_t add_vector(struct builder *b, const char *name, enum param_init init, double deviation, long n) {
    return add(b, name, init, deviation, 0, (long[]){n, 0});
}

static double xavier(long din, long dout) { return sqrt(2.0 / (double)(din + dout)); }

/* Adds the weight and the zero bias of a linear layer. deviation 0: zero weights. */
static void add_linear(struct builder *b, const char *name, long din, long dout, double deviation, size_t *w,
                       size_t *bias) {
    char part[64];
    snprintf(part, sizeof part, "%s.weight", name);
    *w = add(b, part, deviation > 0 ? INIT_NORMAL : INIT_ZERO, deviation, 1, (long[]){dout, din, 0});
    snprintf(part, sizeof part, "%s.bias", name);
    *bias = add_vector(b, part, INIT_ZERO, 0, dout);
}

static void add_norm(struct builder *b, const char *name, long n, size_t *w, size_t *bias) {
    char part[64];
    snprintf(part, sizeof part, "%s.weight", name);
    *w = add_vector(b, part, INIT_ONE, 0, n);
    snprintf(part, sizeof part, "%s.bias", name);
    *bias = add_vector(b, part, INIT_ZERO, 0, n);
}

/* Adds the weights of q, k and v without a gap, then their biases: where all three have the same input, one product
   takes them as one matrix and one vector. They are numbered in Wan's order, each weight before its bias, so that
   random numbers are the same as in that order. */
static void add_inputs(struct builder *b, const char *name, long d, long key_width, struct dit_attention_offsets *at) {
    static const char letter[] = "qkv";
    static const int order[] = {0, 2, 4, 1, 3, 5};
    size_t *const w[] = {&at->q_w, &at->k_w, &at->v_w}, *const bias[] = {&at->q_b, &at->k_b, &at->v_b};
    const long width[] = {d, key_width, key_width};
    int first = b->table->count;
    char part[64];
    for (int i = 0; i < 3; i++) {
        snprintf(part, sizeof part, "%s.%c.weight", name, letter[i]);
        *w[i] = add_by(i ? param_follow : param_add, b, part, INIT_NORMAL, xavier(width[i], d), 1,
                       (long[]){d, width[i], 0});
    }
    for (int i = 0; i < 3; i++) {
        snprintf(part, sizeof part, "%s.%c.bias", name, letter[i]);
        *bias[i] = add_by(i ? param_follow : param_add, b, part, INIT_ZERO, 0, 0, (long[]){d, 0});
    }
    param_number(b->table, first, order, 6);
}

static void add_attention(struct builder *b, const char *name, long d, long key_width, int zero_output,
                          struct dit_attention_offsets *at) {
    char part[64];
    add_inputs(b, name, d, key_width, at);
    snprintf(part, sizeof part, "%s.o", name);
    add_linear(b, part, d, d, zero_output ? 0 : xavier(d, d), &at->o_w, &at->o_b);
    snprintf(part, sizeof part, "%s.norm_q.weight", name);
    at->norm_q = add_vector(b, part, INIT_ONE, 0, d);
    snprintf(part, sizeof part, "%s.norm_k.weight", name);
    at->norm_k = add_vector(b, part, INIT_ONE, 0, d);
}

static void add_embeddings(struct builder *b, const struct dit_config *c, struct dit_embed_offsets *at) {
    long d = c->dim, patch = 4L * c->in_channels;
    at->patch_w =
        add(b, "patch_embedding.weight", INIT_NORMAL, xavier(patch, d), 1, (long[]){d, c->in_channels, 1, 2, 2});
    at->patch_b = add_vector(b, "patch_embedding.bias", INIT_ZERO, 0, d);
    add_linear(b, "text_embedding.0", c->text_dim, d, 0.02, &at->text0_w, &at->text0_b);
    add_linear(b, "text_embedding.2", d, d, 0.02, &at->text2_w, &at->text2_b);
    add_linear(b, "time_embedding.0", c->freq_dim, d, 0.02, &at->time0_w, &at->time0_b);
    add_linear(b, "time_embedding.2", d, d, 0.02, &at->time2_w, &at->time2_b);
    add_linear(b, "time_projection.1", d, 6 * d, xavier(d, 6 * d), &at->time_proj_w, &at->time_proj_b);
    if (!c->audio_dim) return;
    long window = (long)AUDIO_WINDOW * c->audio_dim, window0 = (long)AUDIO_WINDOW_FIRST * c->audio_dim,
         hidden = c->audio_hidden;
    long out = (long)c->audio_tokens * c->audio_width;
    add_linear(b, "audio_proj.proj1", window0, hidden, xavier(window0, hidden), &at->audio1_w, &at->audio1_b);
    add_linear(b, "audio_proj.proj1_vf", window, hidden, xavier(window, hidden), &at->audio1vf_w, &at->audio1vf_b);
    add_linear(b, "audio_proj.proj2", hidden, hidden, xavier(hidden, hidden), &at->audio2_w, &at->audio2_b);
    at->audio3_w = add(b, "audio_proj.proj3.weight", INIT_NORMAL, xavier(hidden, out), 1, (long[]){out, hidden, 0});
    at->audio3_b = add_vector(b, "audio_proj.proj3.bias", INIT_NORMAL, 1 / sqrt((double)hidden), out);
    add_norm(b, "audio_proj.norm", c->audio_width, &at->audio_norm_w, &at->audio_norm_b);
}

static void add_block(struct builder *b, const struct dit_config *c, int index, struct dit_block_offsets *at) {
    static const char *const stream_name[AUDIO_STREAMS] = {"talk", "listen"};
    long d = c->dim;
    memset(at, 0xff, sizeof *at); /* DIT_NONE everywhere */
    at->has_audio = c->audio_dim && index % c->audio_every == 0;
    at->modulation = add(b, "modulation", INIT_NORMAL, 1 / sqrt((double)d), 0, (long[]){1, 6, d, 0});
    add_attention(b, "self_attn", d, d, 0, &at->self);
    add_norm(b, "norm3", d, &at->norm3_w, &at->norm3_b);
    add_attention(b, "cross_attn", d, d, 0, &at->cross);
    for (int s = 0; s < AUDIO_STREAMS && at->has_audio; s++) {
        char name[32];
        snprintf(name, sizeof name, "%s_norm", stream_name[s]);
        add_norm(b, name, d, &at->audio_norm_w[s], &at->audio_norm_b[s]);
        snprintf(name, sizeof name, "%s_attn", stream_name[s]);
        add_attention(b, name, d, c->audio_width, 1, &at->audio[s]);
    }
    add_linear(b, "ffn.0", d, c->ffn_dim, xavier(d, c->ffn_dim), &at->ffn0_w, &at->ffn0_b);
    add_linear(b, "ffn.2", c->ffn_dim, d, xavier(c->ffn_dim, d), &at->ffn2_w, &at->ffn2_b);
}

static int check_size(const char *name, long value, long min, long max) {
    if (value >= min && value <= max) return OK;
    return error_set(ERR_USAGE, "model: %s is %ld, expected %ld to %ld", name, value, min, max);
}

static int check_config(const struct dit_config *c) {
    enum { LARGE = 1 << 20 };
    TRY(check_size("dim", c->dim, 1, LARGE));
    TRY(check_size("ffn_dim", c->ffn_dim, 1, LARGE));
    TRY(check_size("heads", c->heads, 1, c->dim));
    TRY(check_size("layers", c->layers, 1, 1000));
    TRY(check_size("in_channels", c->in_channels, 1, 4096));
    TRY(check_size("out_channels", c->out_channels, 1, 4096));
    TRY(check_size("height", c->height, 2, 4096));
    TRY(check_size("width", c->width, 2, 4096));
    TRY(check_size("freq_dim", c->freq_dim, 2, LARGE));
    TRY(check_size("text_len", c->text_len, 1, LARGE));
    TRY(check_size("text_dim", c->text_dim, 1, LARGE));
    TRY(check_size("audio_dim", c->audio_dim, 0, LARGE));
    if (c->dim % c->heads) return error_set(ERR_USAGE, "model: dim %d is no multiple of heads %d", c->dim, c->heads);
    int head = c->dim / c->heads;
    if (head % 2 || head < 6)
        return error_set(ERR_USAGE, "model: heads of width %d, expected even and at least 6", head);
    if (c->height % 2 || c->width % 2)
        return error_set(ERR_USAGE, "model: latent size %dx%d, expected even numbers", c->height, c->width);
    if (c->freq_dim % 2) return error_set(ERR_USAGE, "model: freq_dim is %d, expected an even number", c->freq_dim);
    if (c->audio_dim) {
        TRY(check_size("audio_tokens", c->audio_tokens, 1, 4096));
        TRY(check_size("audio_width", c->audio_width, 1, LARGE));
        TRY(check_size("audio_hidden", c->audio_hidden, 1, LARGE));
        TRY(check_size("audio_every", c->audio_every, 1, 1000));
    }
    if (!(c->eps > 0)) return error_set(ERR_USAGE, "model: eps must be above 0");
    if (!(c->clean_floor >= 0)) return error_set(ERR_USAGE, "model: clean_floor %g is below 0", c->clean_floor);
    if (c->reference_gate && !(c->clean_floor > 0))
        return error_set(ERR_USAGE, "model: reference_gate needs a clean_floor above 0");
    if (c->clean_floor > 0 && c->in_channels != c->out_channels)
        return error_set(ERR_USAGE, "model: clean latents need as many channels out (%d) as in (%d)", c->out_channels,
                         c->in_channels);
    if (!(c->rope_theta_t > 0) || !(c->rope_theta_hw > 0))
        return error_set(ERR_USAGE, "model: rope_theta must be above 0");
    return OK;
}

/* Splits a head's width as Wan does: a third each, rounded down to pairs, for rows and columns, the rest for time. */
static struct rope_axes rope_split(const struct dit_config *c) {
    int head = c->dim / c->heads, pairs_hw = head / 6;
    return (struct rope_axes){.head_dim = head,
                              .pairs_t = head / 2 - 2 * pairs_hw,
                              .pairs_h = pairs_hw,
                              .pairs_w = pairs_hw,
                              .theta_t = c->rope_theta_t,
                              .theta_hw = c->rope_theta_hw};
}

int dit_create(struct dit *net, const struct dit_config *config, int open) {
    memset(net, 0, sizeof *net);
    TRY(check_config(config));
    net->config = *config;
    net->axes = rope_split(config);
    net->blocks = calloc((size_t)config->layers, sizeof *net->blocks);
    if (!net->blocks) return error_set(ERR_DEVICE, "model: out of host memory");
    param_table_open(&net->table);
    memset(&net->embed, 0xff, sizeof net->embed);
    struct builder b = {.table = &net->table, .type = config->weights};
    add_embeddings(&b, config, &net->embed);
    for (int l = 0; l < config->layers; l++) {
        b.slice = l + 1;
        snprintf(b.prefix, sizeof b.prefix, "blocks.%d.", l);
        add_block(&b, config, l, &net->blocks[l]);
    }
    b.slice = config->layers + 1;
    snprintf(b.prefix, sizeof b.prefix, "head.");
    long d = config->dim;
    net->head.modulation = add(&b, "modulation", INIT_NORMAL, 1 / sqrt((double)d), 0, (long[]){1, 2, d, 0});
    add_linear(&b, "head", d, 4L * config->out_channels, 0, &net->head.w, &net->head.b);
    if (config->reference_gate)
        add_linear(&b, "reference_gate", d, 4L * config->out_channels, 0, &net->head.gate_w, &net->head.gate_b);
    int code = open ? OK : param_table_close(&net->table);
    if (code) dit_destroy(net);
    return code;
}

int dit_divide(struct dit *net, const struct sequence *sequence) {
    int ranks = sequence_divides(sequence) ? sequence->ranks : 1, tokens = dit_tokens(&net->config);
    if (ranks > net->config.heads || ranks > tokens)
        return error_set(ERR_USAGE, "comm.sequence: %d ranks cannot divide %d heads and %d tokens of a frame", ranks,
                         net->config.heads, tokens);
    net->sequence = sequence;
    return OK;
}

void dit_destroy(struct dit *net) {
    param_table_free(&net->table);
    free(net->blocks);
    memset(net, 0, sizeof *net);
}

/* ---- activations ---- */

/* Takes buffers from an arena under names like "block 3 talk q raw". */
struct planner {
    struct arena *arena;
    char prefix[40];
};

static void *take(struct planner *p, const char *name, size_t bytes) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", p->prefix, name);
    return arena_take(p->arena, full, bytes);
}
#define TAKE(p, name, type, n) ((type *)take(p, name, sizeof(type) * (size_t)(n)))

static void plan_prefix(struct planner *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void plan_prefix(struct planner *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(p->prefix, sizeof p->prefix, format, args);
    va_end(args);
}

static long larger(long a, long b) { return a > b ? a : b; }

struct sizes {
    long B, F, G, N, d, heads;
    long whole;     /* rows of all ranks; N when nothing is divided */
    long by_heads;  /* self-attention: elements of all rows of the rank's own heads; 0: nothing is divided */
    long self, lse; /* elements of the larger of the two forms (private.h); of its lse */
};

/* Plans the query side. elements and lse: sizes of q and lse; behind: elements to leave behind q_raw for keys and
   values. */
static void plan_query(struct planner *p, struct attention_query *q, const struct sizes *s, long elements, long lse,
                       long behind) {
    q->mean = TAKE(p, "norm mean", real, s->N);
    q->rstd = TAKE(p, "norm rstd", real, s->N);
    q->y = TAKE(p, "norm", elem, s->N * s->d);
    q->q_raw = TAKE(p, behind ? "q, k raw, v" : "q raw", elem, s->N * s->d + behind);
    q->q_rstd = TAKE(p, "q rstd", real, s->N);
    q->q = TAKE(p, "q", elem, elements);
    q->o = q->o_heads = TAKE(p, "o", elem, s->N * s->d);
    q->lse = TAKE(p, "lse", real, lse);
}

/* Plans the key side. elements: size of k and of v. raw: keys whose k_raw and k_rstd are shared, because only a
   backward reads those again; NULL: own ones. */
static void plan_keys(struct planner *p, struct attention_keys *k, long rows, long d, long elements,
                      const struct attention_keys *raw) {
    k->k_raw = raw ? raw->k_raw : TAKE(p, "k raw", elem, rows * d);
    k->k_rstd = raw ? raw->k_rstd : TAKE(p, "k rstd", real, rows);
    k->k = TAKE(p, "k", elem, elements);
    k->v = TAKE(p, "v", elem, elements);
}

/* Plans self-attention's keys: raw keys and values lie behind the raw queries, as one product makes all three. */
static void plan_own_keys(struct planner *p, struct attention_keys *k, const struct sizes *s, elem *q_raw) {
    long Nd = s->N * s->d;
    k->k_raw = q_raw ? q_raw + Nd : NULL;
    k->v = q_raw ? q_raw + 2 * Nd : NULL;
    k->k_rstd = TAKE(p, "k rstd", real, s->N);
    k->k = TAKE(p, "k", elem, s->self);
}

/* Plans the buffers of one block. keep not 0: a backward will read them, so each layer of the block has its own; 0: the
   layers take turns with one set, and the residual stream `x` is updated in place. */
static void plan_block(struct planner *p, struct dit_block_acts *a, const struct dit_config *c, const struct sizes *s,
                       int block, int keep, int audio, resid *x) {
    long Nd = s->N * s->d;
    plan_prefix(p, "block %d self ", block);
    plan_query(p, &a->self, s, s->self, s->lse, Nd + s->self);
    if (s->by_heads) a->self.o_heads = TAKE(p, "o by heads", elem, s->by_heads);
    a->self.out = TAKE(p, "out", elem, Nd);
    a->self.x = keep ? TAKE(p, "x", resid, Nd) : x;
    plan_own_keys(p, &a->own, s, a->self.q_raw);
    a->cross = a->audio[AUDIO_TALK] = a->audio[AUDIO_LISTEN] = a->self;
    if (keep) {
        plan_prefix(p, "block %d cross ", block);
        plan_query(p, &a->cross, s, Nd, s->N * s->heads, 0);
        a->cross.x = TAKE(p, "x", resid, Nd);
        for (int i = 0; i < AUDIO_STREAMS && audio; i++) {
            plan_prefix(p, "block %d %s ", block, i == AUDIO_TALK ? "talk" : "listen");
            plan_query(p, &a->audio[i], s, Nd, s->N * s->heads, 0);
            a->audio[i].x = TAKE(p, "x", resid, Nd);
        }
    }
    plan_prefix(p, "block %d ffn ", block);
    a->ffn_mean = TAKE(p, "norm mean", real, s->N);
    a->ffn_rstd = TAKE(p, "norm rstd", real, s->N);
    a->ffn_y = keep ? TAKE(p, "norm", elem, Nd) : a->self.y;
    a->ffn_pre = keep ? TAKE(p, "pre", elem, s->N * c->ffn_dim) : NULL;
    a->ffn_h = TAKE(p, "h", elem, s->N * c->ffn_dim);
    a->ffn_out = keep ? TAKE(p, "out", elem, Nd) : a->self.out;
    /* These may share the FFN's: without a gate nothing reads them again, and the FFN writes later. */
    a->cross.out = a->audio[AUDIO_TALK].out = a->audio[AUDIO_LISTEN].out = a->ffn_out;
}

/* Plans the quantised operand of the layer in work, which is at most as large as the FFN's or that of the keys of text
   or of audio. */
static void plan_operand(struct planner *p, struct dit_operand *o, const struct dit_config *c, const struct sizes *s) {
    long text = s->B * c->text_len, audio = c->audio_dim ? s->G * c->audio_tokens : 0, rows = s->N;
    long numbers = s->N * larger(c->ffn_dim, s->d);
    plan_prefix(p, "blocks ");
    rows = larger(rows, larger(text, audio));
    numbers = larger(numbers, larger(text * s->d, audio * c->audio_width));
    o->codes = TAKE(p, "quantised operand", uint8_t, numbers);
    o->scale = TAKE(p, "quantised operand's scales", real, rows);
}

static void plan_condition(struct planner *p, struct dit_condition *a, const struct dit *net, const struct sizes *s,
                           int keep) {
    const struct dit_config *c = &net->config;
    long rows = s->B * c->text_len, frames = AUDIO_STREAMS * s->G, tokens = frames * c->audio_tokens;
    plan_prefix(p, "condition ");
    a->text_pre = keep ? TAKE(p, "text pre", elem, rows * s->d) : NULL;
    a->text_h = TAKE(p, "text h", elem, rows * s->d);
    a->text = TAKE(p, "text", elem, rows * s->d);
    if (c->audio_dim) {
        a->window0 = TAKE(p, "window 0", elem, AUDIO_STREAMS * s->B * 5 * c->audio_dim);
        a->window = TAKE(p, "windows", elem, frames * AUDIO_WINDOW * c->audio_dim);
        a->hidden1_part0 = TAKE(p, "hidden 1 part 0", elem, AUDIO_STREAMS * s->B * c->audio_hidden);
        a->hidden1_part = TAKE(p, "hidden 1 part", elem, frames * c->audio_hidden);
        a->hidden1 = TAKE(p, "hidden 1", elem, frames * c->audio_hidden);
        a->hidden2 = TAKE(p, "hidden 2", elem, frames * c->audio_hidden);
        a->tokens_raw = TAKE(p, "tokens raw", resid, tokens * c->audio_width);
        a->tokens_mean = TAKE(p, "tokens mean", real, tokens);
        a->tokens_rstd = TAKE(p, "tokens rstd", real, tokens);
        a->tokens = TAKE(p, "tokens", elem, tokens * c->audio_width);
    }
    for (int l = 0; l < c->layers; l++) {
        plan_prefix(p, "block %d text ", l);
        plan_keys(p, &a->text_keys[l], rows, s->d, rows * s->d, keep || !l ? NULL : &a->text_keys[0]);
        for (int i = 0; i < AUDIO_STREAMS && net->blocks[l].has_audio; i++) {
            plan_prefix(p, "block %d %s ", l, i == AUDIO_TALK ? "talk" : "listen");
            plan_keys(p, &a->audio_keys[i][l], tokens / AUDIO_STREAMS, s->d, tokens / AUDIO_STREAMS * s->d,
                      keep || !l ? NULL : &a->audio_keys[i][0]);
        }
    }
}

static void plan_backward(struct planner *p, struct dit_backward_acts *a, const struct dit_config *c,
                          const struct sizes *s) {
    long Nd = s->N * s->d, text = s->B * c->text_len;
    plan_prefix(p, "backward ");
    a->dx = TAKE(p, "dx", resid, Nd);
    a->a = TAKE(p, "a", elem, Nd);
    a->b = TAKE(p, "b", elem, s->self);
    a->dq = TAKE(p, "dq", elem, s->self);
    a->dk = TAKE(p, "dk", elem, s->self);
    a->dv = TAKE(p, "dv", elem, s->self);
    long wide = larger(c->ffn_dim, 3 * s->d);
    a->dqkv = a->wide = take(p, "wide", (size_t)larger(s->N * wide * (long)sizeof(elem), s->self * (long)sizeof(real)));
    a->dm = TAKE(p, "dm", real, s->G * 6 * s->d);
    a->de0 = TAKE(p, "de0", real, s->G * 6 * s->d);
    a->de = TAKE(p, "de", real, s->G * s->d);
    a->time_wide = TAKE(p, "time wide", elem, s->G * 6 * s->d);
    a->time_a = TAKE(p, "time a", elem, s->G * s->d);
    a->time_b = TAKE(p, "time b", real, s->G * s->d);
    a->dclean = TAKE(p, "clean latents", real, c->clean_floor > 0 ? s->whole * 4 * c->out_channels : 0);
    a->dhead_out = TAKE(p, "head out", real, s->N * 4 * c->out_channels);
    a->dhead = TAKE(p, "head", elem, s->N * 4 * c->out_channels);
    a->dpatches = TAKE(p, "patches", elem, s->N * 4 * c->in_channels);
    long frames = AUDIO_STREAMS * s->G, tokens = c->audio_dim ? s->G * c->audio_tokens : 0;
    long keys = larger(text, tokens);
    a->dtext = TAKE(p, "text", real, text * s->d);
    a->dkeys = TAKE(p, "condition k", elem, keys * s->d);
    a->dvalues = TAKE(p, "condition v", elem, keys * s->d);
    a->dsource = TAKE(p, "condition source", elem, larger(text * s->d, tokens * c->audio_width));
    if (!c->audio_dim) return;
    a->dtokens = TAKE(p, "tokens", real, AUDIO_STREAMS * tokens * c->audio_width);
    a->dtokens_raw = TAKE(p, "tokens raw", resid, AUDIO_STREAMS * tokens * c->audio_width);
    a->dtokens_elem = TAKE(p, "tokens elem", elem, AUDIO_STREAMS * tokens * c->audio_width);
    a->dhidden2 = TAKE(p, "hidden 2", elem, frames * c->audio_hidden);
    a->dhidden1 = TAKE(p, "hidden 1", elem, frames * c->audio_hidden);
    a->dhidden1_part0 = TAKE(p, "hidden 1 part 0", elem, AUDIO_STREAMS * s->B * c->audio_hidden);
    a->dhidden1_part = TAKE(p, "hidden 1 part", elem, frames * c->audio_hidden);
}

/* Plans the exchanges' buffers: as large as a block's exchange or as the rows gathered, whichever is larger. */
static void plan_exchange(struct planner *p, struct dit_acts *a, const struct dit_config *c, const struct sizes *s) {
    long channels = larger(c->in_channels, c->out_channels), rows = s->whole * 4 * channels * (long)sizeof(real);
    for (int i = 0; i < DIT_EXCHANGES; i++)
        sequence_slot_layout(&a->exchange[i], (size_t)larger(s->self * (long)sizeof(elem), i ? 0 : rows), p->arena);
    plan_prefix(p, "sequence ");
    a->whole = take(p, "rows of all ranks", (size_t)rows);
}

static struct sizes sizes_of(const struct dit *net, int B, int F) {
    const struct dit_config *c = &net->config;
    long tokens = dit_tokens(c), G = (long)B * F, heads = sequence_own(net->sequence, c->heads);
    struct sizes s = {.B = B, .F = F, .G = G, .d = c->dim, .heads = c->heads};
    s.N = G * sequence_own(net->sequence, tokens);
    s.whole = G * tokens;
    s.by_heads = sequence_divides(net->sequence) ? s.whole * heads * net->axes.head_dim : 0;
    s.self = larger(s.N * s.d, s.by_heads);
    s.lse = larger(s.N * s.heads, s.whole * heads);
    return s;
}

static struct dit_acts *acts_create(const struct dit *net, int B, int F, enum dit_memory memory) {
    struct dit_acts *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    size_t layers = (size_t)net->config.layers;
    a->memory = memory;
    a->B = B;
    a->F = F;
    a->layers = net->config.layers;
    a->positions = calloc((size_t)F, sizeof *a->positions);
    a->x = calloc(layers + 1, sizeof *a->x);
    a->blocks = calloc(layers, sizeof *a->blocks);
    a->condition.text_keys = calloc(layers, sizeof(struct attention_keys));
    for (int i = 0; i < AUDIO_STREAMS; i++) a->condition.audio_keys[i] = calloc(layers, sizeof(struct attention_keys));
    dit_condition_reset(a, 1, 1);
    if (a->positions && a->x && a->blocks && a->condition.text_keys && a->condition.audio_keys[AUDIO_TALK] &&
        a->condition.audio_keys[AUDIO_LISTEN])
        return a;
    dit_acts_free(a);
    return NULL;
}

int dit_acts_layout(struct dit_acts **acts, const struct dit *net, int B, int F, enum dit_memory memory,
                    struct arena *arena) {
    const struct dit_config *c = &net->config;
    *acts = NULL;
    if (B < 1 || F < 1) return error_set(ERR_USAGE, "model: activations for %d samples of %d frames", B, F);
    if (c->weights && memory != DIT_FORWARD_ONLY)
        return error_set(ERR_USAGE, "model: a network of quantised weights runs forward only, it is not trained");
    struct dit_acts *a = acts_create(net, B, F, memory);
    if (!a) return error_set(ERR_DEVICE, "model: out of host memory");
    struct sizes s = sizes_of(net, B, F);
    long P = dit_tokens(c), G = s.G;
    struct planner p = {.arena = arena};
    a->patches = TAKE(&p, "patches", elem, s.N * 4 * c->in_channels);
    a->rope_cos = TAKE(&p, "rope cos", real, F * P * (net->axes.head_dim / 2));
    a->rope_sin = TAKE(&p, "rope sin", real, F * P * (net->axes.head_dim / 2));
    a->time_s = TAKE(&p, "time s", elem, G * c->freq_dim);
    a->time_pre = TAKE(&p, "time pre", real, G * s.d);
    a->time_h = TAKE(&p, "time h", elem, G * s.d);
    a->e = TAKE(&p, "e", real, G * s.d);
    a->e_silu = TAKE(&p, "e silu", elem, G * s.d);
    a->e0 = TAKE(&p, "e0", real, G * 6 * s.d);
    int forward_only = memory == DIT_FORWARD_ONLY;
    for (int l = 0; l <= c->layers; l++) {
        plan_prefix(&p, "block %d ", l);
        a->x[l] = l && forward_only ? a->x[0] : TAKE(&p, "input", resid, s.N * s.d);
    }
    for (int l = 0; l < c->layers; l++) {
        int audio = memory == DIT_SAVE_ALL ? net->blocks[l].has_audio : c->audio_dim > 0;
        if (l == 0 || memory == DIT_SAVE_ALL)
            plan_block(&p, &a->blocks[l], c, &s, l, !forward_only, audio, a->x[0]);
        else
            a->blocks[l] = a->blocks[0];
        plan_prefix(&p, "block %d ", l);
        a->blocks[l].m =
            l < 2 || memory == DIT_SAVE_ALL ? TAKE(&p, "modulation", real, G * 6 * s.d) : a->blocks[l - 2].m;
    }
    plan_prefix(&p, "head ");
    a->head_e = TAKE(&p, "e", real, G * 2 * s.d);
    a->head_m = TAKE(&p, "modulation", real, G * 2 * s.d);
    a->head_mean = TAKE(&p, "norm mean", real, s.N);
    a->head_rstd = TAKE(&p, "norm rstd", real, s.N);
    a->head_y = TAKE(&p, "norm", elem, s.N * s.d);
    a->head_out = TAKE(&p, "out", real, s.N * 4 * c->out_channels);
    a->gate = TAKE(&p, "gate", real, c->reference_gate ? s.whole * 4 * c->out_channels : 0);
    plan_condition(&p, &a->condition, net, &s, !forward_only);
    if (c->weights) plan_operand(&p, &a->operand, c, &s);
    if (!forward_only) plan_backward(&p, &a->back, c, &s);
    if (sequence_divides(net->sequence)) plan_exchange(&p, a, c, &s);
    *acts = a;
    return OK;
}

void dit_acts_free(struct dit_acts *acts) {
    if (!acts) return;
    free(acts->positions);
    free(acts->x);
    free(acts->blocks);
    free(acts->condition.text_keys);
    for (int i = 0; i < AUDIO_STREAMS; i++) free(acts->condition.audio_keys[i]);
    free(acts);
}
