/* surplus.c: see surplus.h. Letters as in minimum.c: N rows, G frames, d width, D width of a head, L layers. */
#include "tools/dry/surplus.h"

#include "base/media_rates.h"

struct items {
    struct surplus *item;
    int count;
};

static void add(struct items *s, const char *what, double launches, struct numbers in, struct numbers out) {
    s->item[s->count++] =
        (struct surplus){what, {(long)launches, numbers_bytes(in), numbers_bytes(out), .operations = 0}};
}

#define N(elems, reals) ((struct numbers){elems, reals})

struct sizes {
    double N, G, d, D, L;
};
static struct sizes sizes_of(const struct dit_config *c, int frames) {
    return (struct sizes){(double)frames * dit_tokens(c), frames, c->dim, (double)c->dim / c->heads, c->layers};
}

/* Adds the surplus of `times` forward passes. */
static void forward(struct items *s, const struct sizes *z, double times) {
    double Gd = z->G * z->d, layers = times * z->L;
    add(s, "norm and rotation of queries and of keys apart", layers, N(0, layers * z->N * z->D), N(0, 0));
    add(s, "the head's modulation: the time embedding copied into both its rows", 2 * times, N(0, 3 * times * Gd),
        N(0, 2 * times * Gd));
}

/* Pieces of the history that lie in order, as a mean over the places that a chunk can have in the ring: one and two at
   two of the places, three at the others, where the chunk divides the history and older frames lie behind it. */
static double runs_of_history(const struct causal_config *c) {
    double chunks = (double)c->ring / c->chunk;
    return (1 + 2 + 3 * (chunks - 1)) / (chunks + 1);
}

int surplus_chunk(struct surplus *items, const struct dit_config *c, const struct rollout_config *r) {
    struct items s = {items, 0};
    struct sizes z = sizes_of(c, r->causal.chunk);
    double frames = AUDIO_STREAMS * z.G * c->audio_hidden;
    double passes = r->steps + r->clean_pass, values = passes * z.L * z.N * z.d;
    forward(&s, &z, passes);
    add(&s, "values, made beside queries and keys, are copied to their place in the cache", passes * z.L, N(values, 0),
        N(values, 0));
    add(&s, "the history's keys are rotated in a call for each piece that lies in order",
        z.L * (runs_of_history(&r->causal) - 1), N(0, 0), N(0, 0));
    if (c->audio_dim)
        add(&s, "audio: the two tracks gathered apart, hidden rows scattered", 2, N(frames, 0), N(frames, 0));
    return s.count;
}

int surplus_training(struct surplus *items, const struct dit_config *c, int clip) {
    struct items s = {items, 0};
    struct sizes z = sizes_of(c, clip);
    double Nd = z.N * z.d, Gd = z.G * z.d, out = z.N * 4 * c->out_channels, layers = z.L;
    double hidden = AUDIO_STREAMS * z.G * c->audio_hidden;
    double tokens = AUDIO_STREAMS * z.G * c->audio_tokens * (double)c->audio_width;
    forward(&s, &z, 1);
    add(&s, "sums set to zero before they are added to", 5 + layers + 2, N(0, 0),
        N(0, Nd + 7 * Gd + layers * 6 * Gd + 2 * Gd + c->text_len * z.d + 2 * tokens));
    add(&s, "the stream's gradient is read again for each block's last residual, and for the patches", layers + 1,
        N(0, (layers + 1) * Nd), N(0, 0));
    add(&s, "the values' gradient joins those of queries and keys in a copy", layers, N(layers * Nd, 0),
        N(layers * Nd, 0));
    add(&s, "norm and rotation backward apart", layers, N(0, layers * z.N * z.D), N(0, 0));
    add(&s, "the head's gradient: out of patches, then to elem; its modulation's two rows added up", 4,
        N(0, out + 4 * Gd), N(0, out + 3 * Gd));
    add(&s, "the time embedding's gradients: conversions and a sum of their own", 3, N(0, 4 * Gd), N(2 * Gd, Gd));
    if (c->audio_dim)
        add(&s, "audio: tracks and the reference's frame gathered apart, both ways; conversions", 8,
            N(2 * hidden, 2 * tokens), N(2 * hidden + 2 * tokens, 0));
    return s.count;
}
