/* kv_cache.h: keys (after RMSNorm) and values of past latent frames, a pinned sink and a ring, laid out so that one
   call of attention reads them together with the chunk in hand. Keys are kept before RoPE, since positions change from
   chunk to chunk. They are rotated once a chunk, for all layers, into one piece of memory a layer, [sink | ring and
   own], which has the values beside them. A frame's place in the ring depends on its index alone and comes round: the
   chunk in hand takes the place of the frames that have just left the history, and stays there when it is history
   itself. In softmax the order of keys is only that of a sum. A cache with room for the whole clip keeps all frames
   besides, and fills the same places chunk by chunk: training uses it so. So streaming and training give attention the
   same keys in the same order, and have the same bits. Which frames a chunk sees, and at which temporal position, is
   decided by pure functions of the chunk's index (rapr.h). */
#ifndef MODEL_DIT_KV_CACHE_H
#define MODEL_DIT_KV_CACHE_H

#include "model/dit/dit.h"
#include "model/dit/rapr.h"

struct kv_cache;
enum { KV_STREAM = 0 };
/* capacity: frames stored besides the sink, at least config->ring + config->chunk; KV_STREAM: no more than a stream
   needs, in which an earlier chunk's pass cannot be run again. Device memory from the arena; called twice (arena.h;
   free what the planning call made). ERR_USAGE: causal_check. */
int kv_cache_layout(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                    int capacity, struct arena *arena);
void kv_cache_free(struct kv_cache *cache); /* NULL is allowed */
/* Forgets all frames. */
void kv_cache_clear(struct kv_cache *cache);
/* Clips of `batch` samples from here on, at most those laid out; forgets all frames. */
void kv_cache_batch(struct kv_cache *cache, int batch);

/* Where a forward of frames first .. first+count-1 (the reference alone, or one whole chunk) writes its keys and
   values; from now on these frames are in the cache and those that had their slots are not. Valid until the next
   call. */
const struct dit_kv_output *kv_cache_output(struct kv_cache *cache, int first, int count);
/* The history of one chunk for all layers: rotates the keys of view's frames (once a chunk), lists the ranges, and says
   where the chunk's own keys and values go. In a stream's cache the frames that had those places are gone from now on.
   Valid until the next call. NULL, with the error text set, when a frame of the view is not in the cache. */
const struct dit_history *kv_cache_history(struct kv_cache *cache, const struct causal_view *view);

/* Block-causal training (ode_init): the gradients of history keys and values, added up frame by frame, fp32. */
int kv_cache_grads_layout(struct kv_cache *cache, struct arena *arena);
/* Zeroes the sums of all frames. */
void kv_cache_grads_clear(struct kv_cache *cache);
/* As kv_cache_history, and the ranges carry gradient buffers for keys and values. NULL also in a stream's cache, and
   when the ring has started over inside the view. */
const struct dit_history *kv_cache_history_with_grads(struct kv_cache *cache, const struct causal_view *view);
/* After the backward of the chunk seen through `view`: un-rotates the key gradients into the frames' sums. (Value
   gradients are added there by attention itself.) */
void kv_cache_grads_collect(struct kv_cache *cache, const struct causal_view *view);
/* The sums of frames first .., one pointer a layer (keys before RoPE): dit_gradients.dk_own and dv_own. */
void kv_cache_grads_own(struct kv_cache *cache, int first, const real *const **dk, const real *const **dv,
                        long *stride);

#endif
