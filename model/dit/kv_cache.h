/* kv_cache.h: keys and values of past latent frames for one rollout: a pinned sink and a ring, laid out so that one
   call of attention reads them together with the chunk in hand. Which frames a chunk sees, and at which positions:
   rapr.h.
   Every layer has `sink` places of one frame each, and behind them ring + chunk more, rounded up to whole chunks. A
   frame's place depends on its index alone: neither sink nor ring ever moves. With sink = 4, ring = 6, chunk = 3 the
   places hold these frames while a chunk is made ([ ]: its own):

     place       0   1   2   3 |  4   5   6 |  7   8   9 | 10  11  12
     reference [ 0]
     chunk 1     0 [ 1   2   3]|            |            |
     chunk 2     0   1   2   3 |[ 4   5   6]|            |
     chunk 3     0   1   2   3 |  4   5   6 |[ 7   8   9]|
     chunk 4     0   1   2   3 |  4   5   6 |  7   8   9 |[10  11  12]
     chunk 5     0   1   2   3 |[13  14  15]|  7   8   9 | 10  11  12     over 4 .. 6, which chunk 5 no longer sees
     chunk 6     0   1   2   3 | 13  14  15 |[16  17  18]| 10  11  12     over 7 .. 9

   What is written when. Before a chunk's first pass, kv_cache_history rotates the keys of the sink and the ring to this
   chunk's positions, in place of their last rotation; in a stream the frames in the chunk's own places are lost now.
   Every pass writes the chunk's own keys, rotated, and values into its places, over those of the pass before. The
   chunk's last pass writes its keys before RoPE too (kv_cache_output), into memory beside the places, from which later
   chunks rotate them. The order of keys changes nothing in softmax but the order of a sum.
   A cache with room for the whole clip (training) keeps keys and values of all frames besides, and fills the same
   places from them, chunk by chunk: so streaming and training give attention the same keys in the same order, bit for
   bit.

   A stream's cache may keep keys before RoPE and values in fp8 (quantised.h), with a scale for each head and token:
   1.03 bytes a number. Then there are places of one layer only (struct kv_layer), which all layers and all streams use
   in turn: before a layer's attention the view's keys are widened and rotated into them, and its values widened; what
   the chunk's last pass leaves there is quantised. The chunk's own keys and values are never rounded to fp8 while the
   chunk is made. Why that scale: fp8 has an exponent of its own, so that one scale for a head and frame would round
   hardly worse; but a token's codes then depend on its neighbours, and a frame must be read twice. A scale for each
   token costs 3 % of memory at 128 numbers a head, and the kernel that quantises operands makes it as it is. */
#ifndef MODEL_DIT_KV_CACHE_H
#define MODEL_DIT_KV_CACHE_H

#include "model/dit/dit.h"
#include "model/dit/rapr.h"

struct kv_cache;
enum { KV_STREAM = 0 };
enum kv_type { KV_FULL, KV_FP8 };         /* what a stream's cache keeps: numbers of elem; fp8 with scales */
extern const char *const kv_type_names[]; /* in that order, for keys; ends with NULL */

/* Places of one layer, for caches in fp8 that take turns, a pass at a time. Device memory of an arena. */
struct kv_layer {
    elem *k, *v;  /* [B, places, T] rotated keys, values */
    elem *before; /* keys before RoPE that a pass leaves, with the distance between samples of k */
};
/* Lays out those places for B samples; called twice (arena.h). ERR_USAGE: the config does not pass causal_check. */
int kv_layer_layout(struct kv_layer *layer, const struct dit *net, const struct causal_config *config, int B,
                    struct arena *arena);
/* Makes a cache for B samples. capacity: frames stored besides the sink, at least config->ring + config->chunk;
   KV_STREAM: only what a stream needs, where an earlier chunk's pass cannot be run again. Device memory comes from the
   arena; called twice (arena.h; free what the planning call made). ERR_USAGE: the config does not pass causal_check. */
int kv_cache_layout(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                    int capacity, struct arena *arena);
/* The same for a stream's cache in fp8, whose passes go through `layer`, laid out for the same net, config and B. */
int kv_cache_layout_fp8(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                        const struct kv_layer *layer, struct arena *arena);
void kv_cache_free(struct kv_cache *cache); /* NULL is allowed */
/* Forgets all frames. */
void kv_cache_clear(struct kv_cache *cache);
/* Sets the number of samples of the clips that follow, at most the number laid out; forgets all frames. */
void kv_cache_batch(struct kv_cache *cache, int batch);

/* Returns where a forward of frames first .. first+count-1 (the reference alone, or one whole chunk) shall write its
   keys and values. From now on these frames count as stored, and those that had their slots do not. Valid until the
   next call. */
const struct dit_kv_output *kv_cache_output(struct kv_cache *cache, int first, int count);
/* Returns the history of one chunk for all layers: rotates the keys of view's frames (once a chunk), lists the ranges,
   and says where the chunk's own keys and values go. In a stream's cache the frames that had those places are gone from
   now on. Valid until the next call. NULL, with the error text set, when a frame of the view is not in the cache. */
const struct dit_history *kv_cache_history(struct kv_cache *cache, const struct causal_view *view);

/* Memory for gradients of history keys and values, summed frame by frame in fp32: for block-causal training (ode_init),
   where later chunks' losses reach earlier chunks through the cache. */
int kv_cache_grads_layout(struct kv_cache *cache, struct arena *arena);
/* Zeroes the sums of all frames. */
void kv_cache_grads_clear(struct kv_cache *cache);
/* Does what kv_cache_history does and gives the ranges gradient buffers for keys and values. NULL also in a stream's
   cache, and when the view's frames do not lie in ascending slots. */
const struct dit_history *kv_cache_history_with_grads(struct kv_cache *cache, const struct causal_view *view);
/* Adds the key gradients of one chunk's backward, rotated back, to the frames' sums. Call it after that backward, with
   the same view. Attention itself adds the value gradients. */
void kv_cache_grads_collect(struct kv_cache *cache, const struct causal_view *view);
/* Returns the sums of the frames from `first` on, one pointer a layer (keys before RoPE), for dit_gradients.dk_own and
   dv_own. stride: elements between samples. */
void kv_cache_grads_own(struct kv_cache *cache, int first, const real *const **dk, const real *const **dv,
                        long *stride);
/* Zeroes one sample's sums of the frames from `first` on, reference or whole chunk: of entries that no pass with a
   gradient made. */
void kv_cache_grads_drop(struct kv_cache *cache, int first, int count, int sample);

#endif
