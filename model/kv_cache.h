/* kv_cache.h: keys (after RMSNorm, before RoPE) and values of past latent frames, a pinned sink and a ring.
   Frame f lives in slot f while f < sink, else in slot sink + (f - sink) % ring. A cache with room for the whole clip
   (ring >= T - sink) evicts nothing: training uses it so. Which frames a chunk sees, and at which temporal position, is
   decided by pure functions of the chunk's index: rapr_history. */
#ifndef MODEL_KV_CACHE_H
#define MODEL_KV_CACHE_H

#include "model/dit.h"

enum rapr_mode { RAPR_OFF, RAPR_END, RAPR_START, RAPR_CONTEXT }; /* off; readings 1, 2, 3 (docs/model.md) */

struct causal_config {
    int chunk;       /* C: latent frames a chunk (3) */
    int sink;        /* frames pinned: 1 + chunk (reference and first chunk), 1, or 0 (ablation) */
    int ring;        /* frames of rolling history (6) */
    enum rapr_mode rapr;
    int rapr_cap;    /* D (9) */
};
enum { HISTORY_MAX = 64 };
/* Frames that chunk i >= 1 sees (chunk i covers frames (i-1) C + 1 .. i C), in ascending order, and all positions. */
struct causal_view {
    int count;                  /* history frames */
    int frame[HISTORY_MAX];     /* latent indices */
    int position[HISTORY_MAX];  /* their temporal RoPE positions */
    int current[HISTORY_MAX];   /* positions of the chunk's own frames, [chunk] */
};
/* Pure. With C = 3, sink = 4, ring = 6, D = 9, reading 1: chunk 1 sees frame 0 at 0, itself at 1..3; chunk 4 sees
   0..3 at 0..3 and 4..9 at 1..6, itself at 7..9. */
void causal_view(struct causal_view *view, const struct causal_config *config, int chunk);
/* The largest position that any chunk meets, and the largest in chunks 1 .. chunks. */
int causal_position_max(const struct causal_config *config, int chunks);

struct kv_cache;
/* capacity: frames stored besides the sink (>= config->ring). Device memory from the arena; called twice (arena.h). */
int kv_cache_layout(struct kv_cache **cache, const struct dit *net, const struct causal_config *config, int B,
                    int capacity, struct arena *arena);
void kv_cache_free(struct kv_cache *cache);
void kv_cache_clear(struct kv_cache *cache);

/* Where a forward of frames first .. first+count-1 (contiguous slots) writes its keys and values. */
const struct dit_kv_output *kv_cache_output(struct kv_cache *cache, int first, int count);
/* The history of one chunk for all layers: rotates the keys of view's frames (once a chunk) and lists the ranges. The
   result is valid until the next call. */
const struct dit_history *kv_cache_history(struct kv_cache *cache, const struct causal_view *view);
/* As above, and the ranges carry gradient buffers (fp32, zeroed by kv_cache_grads_clear) for keys and values. */
const struct dit_history *kv_cache_history_with_grads(struct kv_cache *cache, const struct causal_view *view);
int kv_cache_grads_layout(struct kv_cache *cache, struct arena *arena);
void kv_cache_grads_clear(struct kv_cache *cache);
/* After the backward of the chunk seen through `view`: un-rotates the key gradients into the frames' sums. */
void kv_cache_grads_collect(struct kv_cache *cache, const struct causal_view *view);
/* The sums of frames first .., one pointer a layer (keys before RoPE): dit_gradients.dk_own and dv_own. */
void kv_cache_grads_own(struct kv_cache *cache, int first, const real *const **dk, const real *const **dv, long *stride);

#endif
