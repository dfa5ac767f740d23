/* recorded_pass.c: see recorded_pass.h. */
#include "model/dit/recorded_pass.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct recorded_passes {
    struct recordings *recordings;
    size_t layers;
    unsigned char key[]; /* key of the current pass */
};

/* Everything that the host decides in a pass after dit_prepare: addresses and sizes of its input and result. The
   chunk's place in the clip is no part of it, because noise, positions, text and audio are computed before. */
struct pass_key {
    const struct params *params;
    const elem *weights;
    struct dit_acts *acts;
    const real *latents, *t, *reference;
    real *result;
    long latent_stride, reference_stride, kv_stride, batch, frames, ranges, step;
    long before, places,
        writes; /* ranges before the own keys; whether those have places of the history's; go to the cache */
};

/* Number of recordings kept, enough for: the ring's period times the passes of a chunk, times three, because while the
   history still grows each chunk brings keys that never come again. */
enum { RECORDINGS_MAX = 96 };

int recorded_passes_open(struct recorded_passes **out, const struct dit *net) {
    size_t layers = (size_t)net->config.layers;
    size_t bytes =
        sizeof(struct pass_key) + layers * (ATTENTION_RANGES_MAX * sizeof(struct attention_range) + 4 * sizeof(elem *));
    struct recorded_passes *p = *out = calloc(1, sizeof *p + bytes);
    if (!p) return error_set(ERR_DEVICE, "out of memory for recordings");
    p->layers = layers;
    return recordings_open(&p->recordings, RECORDINGS_MAX, bytes);
}

void recorded_passes_close(struct recorded_passes *p) {
    if (!p) return;
    recordings_close(p->recordings);
    free(p);
}

struct recording_counts recorded_passes_counts(const struct recorded_passes *p) {
    return p ? recordings_counts(p->recordings) : (struct recording_counts){0};
}

static size_t put(unsigned char *key, size_t at, const void *from, size_t bytes) {
    memcpy(key + at, from, bytes);
    return at + bytes;
}

static size_t put_places(struct recorded_passes *p, size_t at, const struct dit_kv_output *places) {
    if (!places) return at;
    at = put(p->key, at, places->k, p->layers * sizeof *places->k);
    return put(p->key, at, places->v, p->layers * sizeof *places->v);
}

/* Fills p->key; returns its length in bytes. */
static size_t make_key(struct recorded_passes *p, const struct network_pass *pass) {
    const struct dit_input *in = pass->in;
    const struct dit_history *h = in->history;
    const struct dit_kv_output *kv = in->kv_output;
    struct pass_key key;
    memset(&key, 0, sizeof key);
    key = (struct pass_key){.params = pass->params,
                            .weights = pass->params->weights,
                            .acts = pass->acts,
                            .latents = in->latents,
                            .t = in->t,
                            .reference = in->reference,
                            .result = pass->result,
                            .latent_stride = in->latent_stride,
                            .reference_stride = in->reference_stride,
                            .kv_stride = kv ? kv->stride : 0,
                            .batch = in->batch,
                            .frames = in->frames,
                            .ranges = h->count,
                            .step = pass->step,
                            .before = h->before,
                            .places = h->own != NULL,
                            .writes = kv != NULL};
    size_t at = put(p->key, 0, &key, sizeof key);
    at = put(p->key, at, h->ranges, p->layers * (size_t)h->count * sizeof *h->ranges);
    at = put_places(p, at, h->own);
    return put_places(p, at, kv);
}

int recorded_pass_run(struct recorded_passes *p, const struct network_pass *pass, int (*work)(void *user), void *user) {
    if (!p || pass->params->source) return work(user);
    TRY(dit_prepare(pass->net, pass->params, pass->acts, pass->in));
    return recordings_run(p->recordings, p->key, make_key(p, pass), work, user);
}
