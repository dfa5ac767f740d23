/* rapr.h: which past latent frames a chunk sees, and at which temporal RoPE positions (Reference-Anchored Positional
   Re-encoding). Pure functions of the config and the chunk's index: no state, no device.
   Latent frame 0 is the clean reference; chunk i >= 1 covers frames (i-1) C + 1 .. i C. Its history are the sink (the
   first `sink` frames, never evicted) and the ring: the last `ring` frames before it that are not in the sink.
   Positions: ring and chunk move back by a shift that caps, at D,
     RAPR_END      the chunk's last frame       (the chunk at D-C+1 .. D; reading 1, the default),
     RAPR_START    the chunk's first frame      (the chunk at D .. D+C-1; reading 2),
     RAPR_CONTEXT  the last frame before it     (the chunk at D+1 .. D+C; reading 3),
   RAPR_OFF        nothing: absolute positions, without end.
   So the largest position is D, D+C-1, D+C. As long as the capped index is at most D, ring and chunk have absolute
   positions. The sink has one of
     SINK_NATIVE   its own indices; frames of the ring may share them,
     SINK_SHIFTED  those right before the first frame after it that the chunk sees, as if nothing had been evicted in
                   between: no two frames share a position, distances are those of a clip without a gap, and the sink's
                   own positions fall below 0 as ring and chunk move back.
   The two differ as soon as frames were evicted, also with RAPR_OFF. */
#ifndef MODEL_DIT_RAPR_H
#define MODEL_DIT_RAPR_H

enum rapr_mode { RAPR_OFF, RAPR_END, RAPR_START, RAPR_CONTEXT }; /* off; readings 1, 2, 3 (docs/model.md) */

enum sink_pos { SINK_NATIVE, SINK_SHIFTED };
extern const char *const rapr_names[], *const sink_pos_names[]; /* as configs and exports have them */

struct causal_config {
    int chunk; /* C: latent frames a chunk (3) */
    int sink; /* frames pinned: 1 + chunk (reference and first chunk), 1, or 0 (ablation: the reference rolls out too) */
    int ring; /* frames of rolling history (6) */
    enum rapr_mode rapr;
    int rapr_cap; /* D (9) */
    int sink_pos; /* enum sink_pos: where the sink stands (SINK_NATIVE) */
};
enum { HISTORY_MAX = 64 };
/* Frames that chunk i >= 1 sees, in ascending order, and all positions. */
struct causal_view {
    int first, own;            /* the chunk's own frames: the first of them, how many */
    int count;                 /* history frames */
    int pinned;                /* the first so many of them are the sink's */
    int frame[HISTORY_MAX];    /* latent indices */
    int position[HISTORY_MAX]; /* their temporal RoPE positions */
    int current[HISTORY_MAX];  /* positions of the chunk's own frames, [chunk] */
};

/* ERR_USAGE names what does not fit: a sink that cuts a chunk in two, more history than HISTORY_MAX, a cap so small
   that a rolling frame would come before the reference. */
int causal_check(const struct causal_config *config);
/* With C = 3, sink = 4, ring = 6, D = 9, reading 1: chunk 1 sees frame 0 at 0, itself at 1..3; chunk 4 sees 0..3 at
   0..3 and 4..9 at 1..6, itself at 7..9. */
void causal_view(struct causal_view *view, const struct causal_config *config, int chunk);

#endif
