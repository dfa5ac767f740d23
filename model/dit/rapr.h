/* rapr.h: which past latent frames a chunk sees, and at which temporal RoPE positions (Reference-Anchored Positional
   Re-encoding). Pure functions of the config and the chunk's index: no state, no device.
   Latent frame 0 is the clean reference; chunk i >= 1 covers frames (i-1) C + 1 .. i C. Its history is the sink (the
   first `sink` frames, never evicted) and the ring (the last `ring` frames before the chunk that are not in the sink).
   The first chunk may be shorter, so that a stream starts sooner: with first_chunk = P it covers frames 1 .. P, and
   chunk i >= 2 covers P + (i-2) C + 1 .. P + (i-1) C. All rules below are about frames and stay as they are; the sink
   of reference and first chunk is then 1 + P frames.

   With C = 3, sink = 4, ring = 6, D = 9, RAPR_END and SINK_NATIVE a chunk sees these latent frames, each in the column
   of its position (tests/unit/test_rapr.c has the same table):

     position         0   1   2   3   4   5   6   7   8   9
     chunk 1   sink   0
               own        1   2   3
     chunk 2   sink   0   1   2   3
               own                    4   5   6
     chunk 3   sink   0   1   2   3
               ring                   4   5   6
               own                                7   8   9
     chunk 4   sink   0   1   2   3                             ring and chunk have moved back by 3
               ring       4   5   6   7   8   9
               own                               10  11  12
     chunk 5   sink   0   1   2   3                             moved back by 6; frames 4 .. 6 are gone
               ring       7   8   9  10  11  12
               own                               13  14  15
     chunk 6   sink   0   1   2   3                             moved back by 9; and so on without end
               ring      10  11  12  13  14  15
               own                               16  17  18

   Ring and chunk move back by the same shift, the least that keeps one frame's position at or below D. Which frame:
     RAPR_END      the chunk's last frame       (the chunk ends up at D-C+1 .. D; reading 1, the default),
     RAPR_START    the chunk's first frame      (at D .. D+C-1; reading 2),
     RAPR_CONTEXT  the last frame before it     (at D+1 .. D+C; reading 3),
     RAPR_OFF      none: positions are the frames' indices and grow without end.
   Until that frame's index passes D, all positions are indices.
   SINK_NATIVE leaves the sink at its own indices, which ring frames may then share, as in chunk 4. SINK_SHIFTED puts
   the sink right before the first later frame that the chunk sees, as if nothing had been evicted in between: no two
   frames share a position and distances are those of a clip without a gap, but the sink falls below 0 (in chunk 4: -3
   .. 0). The two differ with RAPR_OFF also, once frames have been evicted. */
#ifndef MODEL_DIT_RAPR_H
#define MODEL_DIT_RAPR_H

#include "base/media_rates.h"

enum rapr_mode { RAPR_OFF, RAPR_END, RAPR_START, RAPR_CONTEXT }; /* readings 1, 2, 3: docs/model.md */

enum sink_pos { SINK_NATIVE, SINK_SHIFTED };
extern const char *const rapr_names[], *const sink_pos_names[]; /* values of keys; NULL ends */

struct causal_config {
    int chunk; /* C, latent frames of a chunk (3) */
    int sink;  /* frames never evicted: reference and whole chunks (4), 1, or 0 (ablation: no reference either) */
    int ring;  /* frames of history besides the sink, the latest ones (6) */
    enum rapr_mode rapr;
    int rapr_cap; /* D, largest position of the capped frame (9) */
    int sink_pos; /* enum sink_pos (SINK_NATIVE) */
    /* Video frames of sound that a chunk hears beyond its last one, at most AUDIO_MARGIN, as far as windows reach. */
    int audio_lookahead;
    int first_chunk; /* P, latent frames of the first chunk, at most C; 0: C */
};
enum { HISTORY_MAX = 64 };
/* What one chunk sees: history frames in ascending order, and the positions of all frames. */
struct causal_view {
    int first, own;            /* the chunk's own frames: index of the first, number */
    int count;                 /* number of history frames */
    int pinned;                /* number of those, from the first, that are the sink's */
    int frame[HISTORY_MAX];    /* latent indices */
    int position[HISTORY_MAX]; /* their temporal RoPE positions */
    int current[HISTORY_MAX];  /* [own] positions of the chunk's own frames */
};

/* Latent frames of chunk `chunk` (1 ..). */
static inline int causal_own(const struct causal_config *c, int chunk) {
    return chunk == 1 && c->first_chunk ? c->first_chunk : c->chunk;
}
/* Index of its first latent frame, which is also how many frames lie before it. */
static inline int causal_first(const struct causal_config *c, int chunk) {
    return chunk == 1 ? 1 : 1 + causal_own(c, 1) + (chunk - 2) * c->chunk;
}
/* Number of chunks of a clip of `frames` latent frames; 0: it does not end with a chunk, or has none. */
int causal_chunks(const struct causal_config *config, int frames);
/* Checks a config. ERR_USAGE names what does not fit: a sink that cuts a chunk in two, more history than HISTORY_MAX, a
   cap so small that a rolling frame would come before the reference. */
int causal_check(const struct causal_config *config);
/* How far the windows of a student's latent frames may hear. */
struct audio_reach causal_reach(const struct causal_config *config);
/* Fills `view` with what chunk `chunk` (1 or more) sees, as in the table above. The config has passed causal_check. */
void causal_view(struct causal_view *view, const struct causal_config *config, int chunk);

#endif
