/* workspace.c: what attention_cudnn.c takes from the workspace, piece by piece. The library says what an engine wants only on
   a device; its backward keeps a float gradient of the queries and their sums of dout o, in whole tiles of rows, and is given
   twice that. */
#include "kernels/workspace.h"
#include "kernels/arena.h"
#include "kernels/cuda/attention/attention_merge.h"
#include "kernels/types.h"

enum { TILE = 128, LIBRARY_FORWARD = 4 << 20 };

size_t attention_workspace(const struct attention_sizes *s, int backward) {
    size_t heads = (size_t)s->B * (size_t)s->H, rows = heads * (size_t)s->S, D = (size_t)s->D, of = sizeof(elem);
    size_t parts = s->ranges > 1 ? (size_t)s->ranges : 0, pitch = (size_t)attention_pitch(s->B, s->S, s->H);
    if (!backward)
        return arena_aligned(rows * D * parts * of) + arena_aligned(pitch * parts * sizeof(real)) + LIBRARY_FORWARD;
    size_t tiled = heads * (size_t)((s->S + TILE - 1) / TILE * TILE);
    size_t keys =
        parts ? arena_aligned(heads * (size_t)s->longest * D * of) : 0; /* those of a history: added to sums */
    return (parts ? arena_aligned(rows * D * of) : 0) + 2 * keys + 2 * arena_aligned(tiled * (D + 1) * sizeof(real));
}
