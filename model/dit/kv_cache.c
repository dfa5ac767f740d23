/* kv_cache.c: see kv_cache.h.
   Memory, T = P dim (one frame; of a divided network P D times the rank's own heads): every layer has keys and values
   [B, slots, T], the keys of the present history rotated [B, sink + ring, T], and, in a cache whose ring starts over,
   values gathered [B, ring, T], used when the ring's frames do not lie in neighbouring slots. One table of cosines and sines serves all layers. */
#include "model/dit/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

struct layer_memory {
    elem *k, *v, *rotated, *gathered;
    real *dk, *dv;    /* sums by slot, laid out like k and v */
    real *dk_rotated; /* like rotated */
};
struct kv_cache {
    struct causal_config config;
    struct rope_axes axes;
    int layers, B, heads, height, width; /* tokens of a frame: height x width */
    long frame;                          /* T: elements of a frame */
    int capacity, lead;                  /* ring slots; ring slot of frame `sink` */
    int slots, history;                  /* sink + capacity, sink + ring */
    int *stored;                         /* [slots] latent frame, -1: none */
    struct layer_memory *layer;
    real *cos, *sin;
    /* what the calls hand out: */
    elem **out_k, **out_v;
    real **own_dk, **own_dv;
    struct dit_kv_output output;
    struct attention_range *ranges; /* [layers][2] */
    struct dit_history view;
};

static int slot_of(const struct kv_cache *c, int frame) {
    int sink = c->config.sink;
    return frame < sink ? frame : sink + (frame - sink + c->lead) % c->capacity;
}

static int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

static void take_layers(struct kv_cache *c, struct arena *arena) {
    size_t store = (size_t)c->B * c->slots * c->frame, history = (size_t)c->B * c->history * c->frame;
    size_t ring = (size_t)c->B * c->config.ring * c->frame;
    for (int l = 0; l < c->layers; l++) {
        c->layer[l].k = ARENA_TAKE(arena, "cache keys", elem, store);
        c->layer[l].v = ARENA_TAKE(arena, "cache values", elem, store);
        c->layer[l].rotated = ARENA_TAKE(arena, "cache keys, rotated", elem, history);
        c->layer[l].gathered = ARENA_TAKE(arena, "cache values, gathered", elem, ring);
    }
    size_t table = (size_t)c->history * c->height * c->width * (size_t)(c->axes.head_dim / 2);
    c->cos = ARENA_TAKE(arena, "cache cosines", real, table);
    c->sin = ARENA_TAKE(arena, "cache sines", real, table);
}

int kv_cache_layout(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                    int capacity, struct arena *arena) {
    *cache = NULL;
    TRY(causal_check(config));
    struct kv_cache *c = calloc(1, sizeof *c);
    if (!c) return error_set(ERR_DEVICE, "kv cache: out of host memory");
    c->config = *config;
    c->axes = net->axes;
    c->layers = net->config.layers;
    c->B = B;
    c->heads = (int)sequence_own(net->sequence, net->config.heads);
    c->height = net->config.height / 2;
    c->width = net->config.width / 2;
    c->frame = (long)c->height * c->width * c->heads * net->axes.head_dim;
    /* Frame 1, the first of a chunk, must fall on a multiple of the chunk, or chunks would straddle the ring's end. */
    int C = config->chunk, least = config->ring + C;
    c->lead = config->sink == 0 ? C - 1 : 0;
    c->capacity = round_up((capacity > least ? capacity : least) + c->lead, C);
    c->slots = config->sink + c->capacity;
    c->history = config->sink + config->ring;
    size_t L = (size_t)c->layers;
    c->stored = malloc(sizeof(int) * (size_t)c->slots);
    c->layer = calloc(L, sizeof *c->layer);
    c->out_k = calloc(L, sizeof *c->out_k);
    c->out_v = calloc(L, sizeof *c->out_v);
    c->own_dk = calloc(L, sizeof *c->own_dk);
    c->own_dv = calloc(L, sizeof *c->own_dv);
    c->ranges = calloc(2 * L, sizeof *c->ranges);
    if (!c->stored || !c->layer || !c->out_k || !c->out_v || !c->own_dk || !c->own_dv || !c->ranges) {
        kv_cache_free(c);
        return error_set(ERR_DEVICE, "kv cache: out of host memory");
    }
    take_layers(c, arena);
    kv_cache_clear(c);
    *cache = c;
    return OK;
}

void kv_cache_free(struct kv_cache *c) {
    if (!c) return;
    free(c->stored);
    free(c->layer);
    free(c->out_k);
    free(c->out_v);
    free(c->own_dk);
    free(c->own_dv);
    free(c->ranges);
    free(c);
}

void kv_cache_clear(struct kv_cache *c) {
    for (int s = 0; s < c->slots; s++) c->stored[s] = -1;
}

void kv_cache_batch(struct kv_cache *c, int batch) {
    c->B = batch;
    kv_cache_clear(c);
}

const struct dit_kv_output *kv_cache_output(struct kv_cache *c, int first, int count) {
    int slot = slot_of(c, first);
    for (int i = 0; i < count; i++) c->stored[slot + i] = first + i;
    for (int l = 0; l < c->layers; l++) {
        c->out_k[l] = c->layer[l].k + slot * c->frame;
        c->out_v[l] = c->layer[l].v + slot * c->frame;
    }
    c->output = (struct dit_kv_output){c->out_k, c->out_v, c->slots * c->frame};
    return &c->output;
}

/* Neighbouring slots that hold frames from .. of the view: how many of them follow each other. */
static int run_length(const struct kv_cache *c, const struct causal_view *view, int from) {
    int slot = slot_of(c, view->frame[from]), n = 1;
    while (from + n < view->count && slot_of(c, view->frame[from + n]) == slot + n) n++;
    return n;
}

static int all_stored(const struct kv_cache *c, const struct causal_view *view) {
    if (view->count > c->history) {
        error_set(ERR_USAGE, "kv cache: a view of %d frames, laid out for %d", view->count, c->history);
        return 0;
    }
    for (int i = 0; i < view->count; i++)
        if (c->stored[slot_of(c, view->frame[i])] != view->frame[i]) {
            error_set(ERR_USAGE, "kv cache: latent frame %d is not in the cache", view->frame[i]);
            return 0;
        }
    return 1;
}

/* Fills rotated with the view's keys. */
static void rotate_keys(struct kv_cache *c, const struct causal_view *view) {
    long tokens = (long)c->height * c->width, half = c->axes.head_dim / 2;
    rope_table(c->cos, c->sin, &c->axes, view->position, view->count, c->height, c->width);
    for (int from = 0, n; from < view->count; from += n) {
        n = run_length(c, view, from);
        long table = from * tokens * half;
        for (int l = 0; l < c->layers; l++)
            rope_apply(c->layer[l].rotated + from * c->frame, c->layer[l].k + slot_of(c, view->frame[from]) * c->frame,
                       c->cos + table, c->sin + table, c->B, n * tokens, c->heads, c->axes.head_dim,
                       c->slots * c->frame, c->history * c->frame, +1);
    }
}

/* The ring's values of one layer where attention can read them as one range. */
static void gather_values(struct kv_cache *c, const struct causal_view *view, int l) {
    for (int from = view->pinned, n; from < view->count; from += n) {
        n = run_length(c, view, from);
        mem_copy_rows(
            c->layer[l].gathered + (from - view->pinned) * c->frame, sizeof(elem) * (size_t)(c->config.ring * c->frame),
            c->layer[l].v + slot_of(c, view->frame[from]) * c->frame, sizeof(elem) * (size_t)(c->slots * c->frame),
            sizeof(elem) * (size_t)(n * c->frame), (size_t)c->B);
    }
}

/* Frames from .. from+n-1 of the view as one range with its values in place. */
static struct attention_range range_of(const struct kv_cache *c, const struct causal_view *view, int l, int from,
                                       int n) {
    return (struct attention_range){.k = c->layer[l].rotated + from * c->frame,
                                    .v = c->layer[l].v + slot_of(c, view->frame[from]) * c->frame,
                                    .length = (long)n * c->height * c->width,
                                    .k_stride = c->history * c->frame,
                                    .v_stride = c->slots * c->frame};
}

static int ring_wraps(const struct kv_cache *c, const struct causal_view *view) {
    return view->pinned < view->count && run_length(c, view, view->pinned) < view->count - view->pinned;
}

const struct dit_history *kv_cache_history(struct kv_cache *c, const struct causal_view *view) {
    if (!all_stored(c, view)) return NULL;
    rotate_keys(c, view);
    int ring = view->count - view->pinned, wraps = ring_wraps(c, view);
    int count = (view->pinned > 0) + (ring > 0);
    for (int l = 0; l < c->layers; l++) {
        struct attention_range *r = c->ranges + l * count;
        if (view->pinned) *r++ = range_of(c, view, l, 0, view->pinned);
        if (!ring) continue;
        *r = range_of(c, view, l, view->pinned, ring);
        if (wraps) {
            gather_values(c, view, l);
            r->v = c->layer[l].gathered;
            r->v_stride = c->config.ring * c->frame;
        }
    }
    c->view = (struct dit_history){c->ranges, count};
    return &c->view;
}

int kv_cache_grads_layout(struct kv_cache *c, struct arena *arena) {
    size_t store = (size_t)c->B * c->slots * c->frame, history = (size_t)c->B * c->history * c->frame;
    for (int l = 0; l < c->layers; l++) {
        c->layer[l].dk = ARENA_TAKE(arena, "cache key gradients", real, store);
        c->layer[l].dv = ARENA_TAKE(arena, "cache value gradients", real, store);
        c->layer[l].dk_rotated = ARENA_TAKE(arena, "cache key gradients, rotated", real, history);
    }
    return OK;
}

void kv_cache_grads_clear(struct kv_cache *c) {
    size_t bytes = sizeof(real) * (size_t)c->B * c->slots * c->frame;
    for (int l = 0; l < c->layers; l++) {
        mem_zero(c->layer[l].dk, bytes);
        mem_zero(c->layer[l].dv, bytes);
    }
}

const struct dit_history *kv_cache_history_with_grads(struct kv_cache *c, const struct causal_view *view) {
    if (!kv_cache_history(c, view)) return NULL;
    if (ring_wraps(c, view)) {
        error_set(ERR_USAGE, "kv cache: gradients of a history need room for the whole clip");
        return NULL;
    }
    for (int l = 0; l < c->layers; l++) {
        mem_zero(c->layer[l].dk_rotated, sizeof(real) * (size_t)c->B * c->history * c->frame);
        for (int r = 0, from = 0; r < c->view.count; r++) {
            struct attention_range *range = c->ranges + l * c->view.count + r;
            range->dk_sum = c->layer[l].dk_rotated + from * c->frame;
            range->dv_sum = c->layer[l].dv + slot_of(c, view->frame[from]) * c->frame;
            from = view->pinned;
        }
    }
    return &c->view;
}

void kv_cache_grads_collect(struct kv_cache *c, const struct causal_view *view) {
    long tokens = (long)c->height * c->width, half = c->axes.head_dim / 2;
    for (int from = 0, n; from < view->count; from += n) {
        n = run_length(c, view, from);
        long table = from * tokens * half; /* still the table of this view */
        for (int l = 0; l < c->layers; l++)
            rope_add_inverse(c->layer[l].dk + slot_of(c, view->frame[from]) * c->frame,
                             c->layer[l].dk_rotated + from * c->frame, c->cos + table, c->sin + table, c->B, n * tokens,
                             c->heads, c->axes.head_dim, c->history * c->frame, c->slots * c->frame);
    }
}

void kv_cache_grads_own(struct kv_cache *c, int first, const real *const **dk, const real *const **dv, long *stride) {
    int slot = slot_of(c, first);
    for (int l = 0; l < c->layers; l++) {
        c->own_dk[l] = c->layer[l].dk + slot * c->frame;
        c->own_dv[l] = c->layer[l].dv + slot * c->frame;
    }
    *dk = (const real *const *)c->own_dk;
    *dv = (const real *const *)c->own_dv;
    *stride = c->slots * c->frame;
}
