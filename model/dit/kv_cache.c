/* kv_cache.c: see kv_cache.h.
   Memory, T = P dim (one frame; of a divided network P D times the rank's own heads). Every layer has its frames' keys
   before rotation [B, slots, T], and, as attention reads them, rotated keys and values [B, places, T]: the sink's
   places, then `period` places for the ring and the chunk in hand, where frames f and f + period share a place. A
   chunk's keys and values stay where they were written:

       places:   | sink: 0 1 2 3 | ring: 13 14 15 | own: 16 17 18 | 10 11 12 |     chunk of frames 16 .. 18
                 | sink: 0 1 2 3 | ring: 13 14 15 |      16 17 18 | own: 19 20 21 |   and the next one

   A slot holds what is stored of a frame. A stream's slots are numbered like its places. A cache for a whole clip has a
   slot for each frame, and values [B, slots, T] besides, from which the places are filled for the chunk in hand. One
   table of cosines and sines serves all layers. In fp8 a layer has codes and scales by slot alone, and all layers have
   the same places, which each fills when its turn comes. */
#include "model/dit/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "kernels/device.h"

const char *const kv_type_names[] = {"full", "fp8", NULL};

struct fp8_memory { /* [B, slots, T] codes; [B, slots, T / head_dim] scales */
    uint8_t *codes;
    real *scale;
};
struct layer_memory {
    struct fp8_memory k8, v8;   /* only in fp8: keys before rotation, values */
    elem *k, *v;                /* [B, slots, T] keys before rotation, values; a stream's v is placed_v */
    elem *placed_k, *placed_v;  /* [B, places, T], what attention reads */
    real *dk, *dv, *dk_rotated; /* gradient sums: by slot, by slot, by place */
};
enum { NOTHING = -1, OWN = -2 };
enum { RANGES = ATTENTION_RANGES_MAX - 1 };
/* A run: frames of a view that are neighbours both by place and by slot. */
struct run {
    int place, index, slot, n; /* first place, index in the view, slot; frames */
};
struct kv_cache {
    struct causal_config config;
    struct rope_axes axes;
    int layers, B, heads, height, width; /* height x width tokens a frame */
    long frame;                          /* T: elements of a frame */
    int capacity, period, lead;          /* slots, places behind the sink's; offset of frame `sink` there */
    int slots, places;                   /* sink + capacity, sink + period */
    int whole;                           /* 1: there is a slot for every frame of a clip */
    const struct kv_layer *shared;       /* in fp8: the places; else NULL */
    int kept, kept_count;                /* slot and number of the frames that a pass leaves */
    int *stored;                         /* [slots] latent frame stored; -1: none */
    int *seen;                           /* [places] index into the current view, or NOTHING, OWN */
    struct layer_memory *layer;
    real *cos, *sin;
    /* Host tables that the public functions return pointers to. */
    elem **out_k, **out_v, **own_k, **own_v;
    real **own_dk, **own_dv;
    struct dit_kv_output output, own;
    struct attention_range *ranges; /* [layers][RANGES] */
    struct run runs[RANGES];        /* the current view's */
    int run_count;
    struct dit_history view;
};

static int ring_index(const struct kv_cache *c, int frame, int length) {
    int sink = c->config.sink;
    return frame < sink ? frame : sink + (frame - sink + c->lead) % length;
}
static int slot_of(const struct kv_cache *c, int frame) { return ring_index(c, frame, c->capacity); }
static int place_of(const struct kv_cache *c, int frame) { return ring_index(c, frame, c->period); }

static int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

static struct fp8_memory take_fp8(struct arena *arena, const char *purpose, size_t numbers, int head_dim) {
    return (struct fp8_memory){ARENA_TAKE(arena, purpose, uint8_t, numbers),
                               ARENA_TAKE(arena, "cache scales", real, numbers / (size_t)head_dim)};
}

static void take_layers(struct kv_cache *c, struct arena *arena) {
    size_t store = (size_t)c->B * c->slots * c->frame, placed = (size_t)c->B * c->places * c->frame;
    for (int l = 0; l < c->layers; l++) {
        struct layer_memory *m = &c->layer[l];
        if (c->shared) {
            m->k8 = take_fp8(arena, "cache keys in fp8", store, c->axes.head_dim);
            m->v8 = take_fp8(arena, "cache values in fp8", store, c->axes.head_dim);
            *m = (struct layer_memory){.k8 = m->k8, .v8 = m->v8, .placed_k = c->shared->k, .placed_v = c->shared->v};
            continue;
        }
        m->k = ARENA_TAKE(arena, "cache keys", elem, store);
        m->placed_k = ARENA_TAKE(arena, "cache keys, rotated", elem, placed);
        m->placed_v = ARENA_TAKE(arena, "cache values", elem, placed);
        m->v = c->whole ? ARENA_TAKE(arena, "cache values of the clip", elem, store) : m->placed_v;
    }
    size_t table = (size_t)(c->config.sink + c->config.ring) * c->height * c->width * (size_t)(c->axes.head_dim / 2);
    c->cos = ARENA_TAKE(arena, "cache cosines", real, table);
    c->sin = ARENA_TAKE(arena, "cache sines", real, table);
}

/* The first frame of a whole chunk must fall on a multiple of the chunk, or chunks would straddle the ring's end. */
static void set_sizes(struct kv_cache *c, int capacity) {
    int C = c->config.chunk, sink = c->config.sink;
    c->lead = (C - (causal_first(&c->config, 2) - sink) % C) % C;
    c->period = c->capacity = round_up(c->config.ring + C, C);
    c->whole = capacity > 0;
    if (c->whole) c->capacity = round_up((capacity > c->period ? capacity : c->period) + c->lead, C);
    c->slots = sink + c->capacity;
    c->places = sink + c->period;
}

static int host_tables(struct kv_cache *c) {
    size_t L = (size_t)c->layers;
    c->stored = malloc(sizeof(int) * (size_t)c->slots);
    c->seen = malloc(sizeof(int) * (size_t)c->places);
    c->layer = calloc(L, sizeof *c->layer);
    c->out_k = calloc(L, sizeof *c->out_k);
    c->out_v = calloc(L, sizeof *c->out_v);
    c->own_k = calloc(L, sizeof *c->own_k);
    c->own_v = calloc(L, sizeof *c->own_v);
    c->own_dk = calloc(L, sizeof *c->own_dk);
    c->own_dv = calloc(L, sizeof *c->own_dv);
    c->ranges = calloc(RANGES * L, sizeof *c->ranges);
    return c->stored && c->seen && c->layer && c->out_k && c->out_v && c->own_k && c->own_v && c->own_dk && c->own_dv &&
           c->ranges;
}

static void set_shape(struct kv_cache *c, const struct dit *net, const struct causal_config *config, int B,
                      int capacity) {
    c->config = *config;
    c->axes = net->axes;
    c->layers = net->config.layers;
    c->B = B;
    c->heads = (int)sequence_own(net->sequence, net->config.heads);
    c->height = net->config.height / 2;
    c->width = net->config.width / 2;
    c->frame = (long)c->height * c->width * c->heads * net->axes.head_dim;
    set_sizes(c, capacity);
}

int kv_layer_layout(struct kv_layer *layer, const struct dit *net, const struct causal_config *config, int B,
                    struct arena *arena) {
    struct kv_cache c = {.shared = layer};
    TRY(causal_check(config));
    set_shape(&c, net, config, B, KV_STREAM);
    size_t others = (size_t)(B - 1) * c.places * c.frame, placed = others + (size_t)c.places * c.frame;
    layer->k = ARENA_TAKE(arena, "a layer's keys, rotated", elem, placed);
    layer->v = ARENA_TAKE(arena, "a layer's values", elem, placed);
    layer->before = ARENA_TAKE(arena, "a layer's new keys", elem, others + (size_t)config->chunk * c.frame);
    return OK;
}

static int lay_out(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                   int capacity, const struct kv_layer *shared, struct arena *arena) {
    *cache = NULL;
    TRY(causal_check(config));
    struct kv_cache *c = calloc(1, sizeof *c);
    if (!c) return error_set(ERR_DEVICE, "kv cache: out of host memory");
    set_shape(c, net, config, B, capacity);
    c->shared = shared;
    if (!host_tables(c)) {
        kv_cache_free(c);
        return error_set(ERR_DEVICE, "kv cache: out of host memory");
    }
    take_layers(c, arena);
    kv_cache_clear(c);
    *cache = c;
    return OK;
}

int kv_cache_layout(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                    int capacity, struct arena *arena) {
    return lay_out(cache, net, config, B, capacity, NULL, arena);
}

int kv_cache_layout_fp8(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                        const struct kv_layer *layer, struct arena *arena) {
    return lay_out(cache, net, config, B, KV_STREAM, layer, arena);
}

void kv_cache_free(struct kv_cache *c) {
    if (!c) return;
    free(c->stored);
    free(c->seen);
    free(c->layer);
    free(c->out_k);
    free(c->out_v);
    free(c->own_k);
    free(c->own_v);
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

/* ---- fp8 ---- */

/* Where frame 0 of `slot` of sample b lies. */
static struct fp8_memory fp8_at(const struct kv_cache *c, const struct fp8_memory *m, int b, int slot) {
    long at = ((long)b * c->slots + slot) * c->frame;
    return (struct fp8_memory){m->codes + at, m->scale + at / c->axes.head_dim};
}

/* Quantises what a pass has left of a layer: see struct dit_kv_output. */
static void take_layer(void *of, int l) {
    const struct kv_cache *c = of;
    long rows = c->kept_count * c->frame / c->axes.head_dim, D = c->axes.head_dim;
    for (int b = 0; b < c->B; b++) {
        struct fp8_memory k = fp8_at(c, &c->layer[l].k8, b, c->kept), v = fp8_at(c, &c->layer[l].v8, b, c->kept);
        long sample = (long)b * c->places * c->frame;
        rows_quantise(k.codes, k.scale, QUANTISED_FP8, c->shared->before + sample, rows, D);
        rows_quantise(v.codes, v.scale, QUANTISED_FP8, c->shared->v + sample + c->kept * c->frame, rows, D);
    }
}

/* Fills the places with a layer's keys and values: see struct dit_history. */
static void give_layer(void *of, int l) {
    const struct kv_cache *c = of;
    long tokens = (long)c->height * c->width, D = c->axes.head_dim;
    for (int i = 0; i < c->run_count * c->B; i++) {
        const struct run *r = &c->runs[i / c->B];
        int b = i % c->B;
        struct fp8_memory k = fp8_at(c, &c->layer[l].k8, b, r->slot), v = fp8_at(c, &c->layer[l].v8, b, r->slot);
        long table = r->index * tokens * (D / 2), at = ((long)b * c->places + r->place) * c->frame;
        rope_widen(c->shared->k + at, k.codes, k.scale, QUANTISED_FP8, c->cos + table, c->sin + table, r->n * tokens,
                   c->heads, D);
        rows_widen(c->shared->v + at, v.codes, v.scale, QUANTISED_FP8, r->n * tokens * c->heads, D);
    }
}

const struct dit_kv_output *kv_cache_output(struct kv_cache *c, int first, int count) {
    int slot = slot_of(c, first);
    for (int i = 0; i < count; i++) c->stored[slot + i] = first + i;
    for (int l = 0; l < c->layers; l++) {
        c->out_k[l] = c->shared ? c->shared->before : c->layer[l].k + slot * c->frame;
        c->out_v[l] = (c->shared ? c->shared->v : c->layer[l].v) + slot * c->frame;
    }
    c->kept = slot;
    c->kept_count = count;
    c->output = (struct dit_kv_output){c->out_k, c->out_v, c->slots * c->frame, c->shared ? take_layer : NULL, c};
    return &c->output;
}

/* ---- the history of a chunk ---- */

static int all_stored(const struct kv_cache *c, const struct causal_view *view) {
    if (view->count > c->config.sink + c->config.ring || view->own > c->config.chunk) {
        error_set(ERR_USAGE, "kv cache: a view of %d frames and a chunk of %d, laid out for %d and %d", view->count,
                  view->own, c->config.sink + c->config.ring, c->config.chunk);
        return 0;
    }
    for (int i = 0; i < view->count; i++)
        if (c->stored[slot_of(c, view->frame[i])] != view->frame[i]) {
            error_set(ERR_USAGE, "kv cache: latent frame %d is not in the cache", view->frame[i]);
            return 0;
        }
    return 1;
}

/* Notes for each place which of the view's frames it holds, or that it is the chunk's own. */
static void fill_places(struct kv_cache *c, const struct causal_view *view) {
    for (int p = 0; p < c->places; p++) c->seen[p] = NOTHING;
    for (int i = 0; i < view->count; i++) c->seen[place_of(c, view->frame[i])] = i;
    for (int i = 0; i < view->own; i++) c->seen[place_of(c, view->first + i)] = OWN;
}

/* Number of places, from p on, that hold successive frames of the view in successive slots. 0: place p holds none. */
static int run_length(const struct kv_cache *c, const struct causal_view *view, int p) {
    int n = 0, i = c->seen[p];
    while (i >= 0 && p + n < c->places && c->seen[p + n] == i + n &&
           slot_of(c, view->frame[i + n]) == slot_of(c, view->frame[i]) + n)
        n++;
    return n;
}

/* Walks all runs of the view, from one of zeros. */
static int next_run(const struct kv_cache *c, const struct causal_view *view, struct run *run) {
    int p = run->place + run->n;
    while (p < c->places && c->seen[p] < 0) p++;
    if (p >= c->places) return 0;
    *run = (struct run){p, c->seen[p], slot_of(c, view->frame[c->seen[p]]), run_length(c, view, p)};
    return 1;
}

/* Rotates the view's keys to their positions, from slots into places. */
static void rotate_keys(struct kv_cache *c, const struct causal_view *view) {
    long tokens = (long)c->height * c->width, half = c->axes.head_dim / 2;
    for (struct run r = {0}; next_run(c, view, &r);) {
        long table = r.index * tokens * half;
        for (int l = 0; l < c->layers; l++)
            rope_apply(c->layer[l].placed_k + r.place * c->frame, c->layer[l].k + r.slot * c->frame, c->cos + table,
                       c->sin + table, c->B, r.n * tokens, c->heads, c->axes.head_dim, c->slots * c->frame,
                       c->places * c->frame, +1);
    }
}

/* Copies the view's values from slots into places, where the two are different memory. */
static void place_values(struct kv_cache *c, const struct causal_view *view) {
    size_t of = sizeof(elem), frame = of * (size_t)c->frame;
    for (struct run r = {0}; next_run(c, view, &r);)
        for (int l = 0; l < c->layers; l++)
            mem_copy_rows(c->layer[l].placed_v + r.place * c->frame, frame * (size_t)c->places,
                          c->layer[l].v + r.slot * c->frame, frame * (size_t)c->slots, frame * (size_t)r.n,
                          (size_t)c->B);
}

/* Finds the chunk's own places. A stream's frames there are forgotten, because the chunk's first pass overwrites their
   values. */
static void place_own(struct kv_cache *c, const struct causal_view *view) {
    int place = place_of(c, view->first);
    for (int i = 0; i < view->own && !c->whole; i++) c->stored[place + i] = -1;
    for (int l = 0; l < c->layers; l++) {
        c->own_k[l] = c->layer[l].placed_k + place * c->frame;
        c->own_v[l] = c->layer[l].placed_v + place * c->frame;
    }
    c->own = (struct dit_kv_output){.k = c->own_k, .v = c->own_v, .stride = c->places * c->frame};
}

/* Lists one attention range a run, and counts those that lie before the chunk's own places. */
static void list_ranges(struct kv_cache *c, const struct causal_view *view) {
    int count = 0, before = 0, own = place_of(c, view->first);
    for (struct run r = {0}; next_run(c, view, &r); count++) before += r.place < own;
    struct attention_range *range = c->ranges;
    for (int l = 0; l < c->layers; l++)
        for (struct run r = {0}; next_run(c, view, &r); range++)
            *range = (struct attention_range){.k = c->layer[l].placed_k + r.place * c->frame,
                                              .v = c->layer[l].placed_v + r.place * c->frame,
                                              .length = (long)r.n * c->height * c->width,
                                              .k_stride = c->places * c->frame,
                                              .v_stride = c->places * c->frame};
    c->view = (struct dit_history){.ranges = c->ranges,
                                   .count = count,
                                   .own = &c->own,
                                   .before = before,
                                   .give = c->shared ? give_layer : NULL,
                                   .of = c};
}

static void note_runs(struct kv_cache *c, const struct causal_view *view) {
    c->run_count = 0;
    for (struct run r = {0}; next_run(c, view, &r);) c->runs[c->run_count++] = r;
}

static int begin_history(struct kv_cache *c, const struct causal_view *view) {
    if (!all_stored(c, view)) return 0;
    fill_places(c, view);
    rope_table(c->cos, c->sin, &c->axes, view->position, view->count, c->height, c->width);
    if (c->shared)
        note_runs(c, view);
    else
        rotate_keys(c, view);
    place_own(c, view);
    list_ranges(c, view);
    return 1;
}

const struct dit_history *kv_cache_history(struct kv_cache *c, const struct causal_view *view) {
    if (!begin_history(c, view)) return NULL;
    if (c->whole) place_values(c, view);
    return &c->view;
}

/* ---- gradients ---- */

int kv_cache_grads_layout(struct kv_cache *c, struct arena *arena) {
    size_t store = (size_t)c->B * c->slots * c->frame, placed = (size_t)c->B * c->places * c->frame;
    for (int l = 0; l < c->layers; l++) {
        c->layer[l].dk = ARENA_TAKE(arena, "cache key gradients", real, store);
        c->layer[l].dv = ARENA_TAKE(arena, "cache value gradients", real, store);
        c->layer[l].dk_rotated = ARENA_TAKE(arena, "cache key gradients, rotated", real, placed);
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

/* False when the slots have been used over again within the view, so that they no longer rise with the frames. */
static int slots_rise(const struct kv_cache *c, const struct causal_view *view) {
    for (int i = 1; i < view->count; i++)
        if (slot_of(c, view->frame[i]) < slot_of(c, view->frame[i - 1])) return 0;
    return 1;
}

/* Attention adds values' gradients up with the stride of the values. The sums lie by slot, so the values are read from
   their slots here, not from places. */
const struct dit_history *kv_cache_history_with_grads(struct kv_cache *c, const struct causal_view *view) {
    if (!c->whole || !slots_rise(c, view)) {
        error_set(ERR_USAGE, "kv cache: gradients of a history need room for the whole clip");
        return NULL;
    }
    if (!begin_history(c, view)) return NULL;
    struct attention_range *range = c->ranges;
    for (int l = 0; l < c->layers; l++) {
        const struct layer_memory *m = &c->layer[l];
        mem_zero(m->dk_rotated, sizeof(real) * (size_t)c->B * c->places * c->frame);
        for (struct run r = {0}; next_run(c, view, &r); range++) {
            range->v = m->v + r.slot * c->frame;
            range->v_stride = c->slots * c->frame;
            range->dk_sum = m->dk_rotated + r.place * c->frame;
            range->dv_sum = m->dv + r.slot * c->frame;
        }
    }
    return &c->view;
}

/* Uses the cosines, sines and places of this view, which kv_cache_history_with_grads has filled. */
void kv_cache_grads_collect(struct kv_cache *c, const struct causal_view *view) {
    long tokens = (long)c->height * c->width, half = c->axes.head_dim / 2;
    for (struct run r = {0}; next_run(c, view, &r);) {
        long table = r.index * tokens * half;
        for (int l = 0; l < c->layers; l++)
            rope_add_inverse(c->layer[l].dk + r.slot * c->frame, c->layer[l].dk_rotated + r.place * c->frame,
                             c->cos + table, c->sin + table, c->B, r.n * tokens, c->heads, c->axes.head_dim,
                             c->places * c->frame, c->slots * c->frame);
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

void kv_cache_grads_drop(struct kv_cache *c, int first, int count, int sample) {
    long at = ((long)sample * c->slots + slot_of(c, first)) * c->frame;
    size_t bytes = sizeof(real) * (size_t)(count * c->frame);
    for (int l = 0; l < c->layers; l++) {
        mem_zero(c->layer[l].dk + at, bytes);
        mem_zero(c->layer[l].dv + at, bytes);
    }
}
