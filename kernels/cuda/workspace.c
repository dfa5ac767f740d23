/* workspace.c: adds up what attention_library.c takes from the workspace, piece by piece. The backward in parts has a
   float gradient of the queries and their sums of dout o; an engine may keep the same once more, in whole tiles of
   rows. The ordered form, which serves where equal bits are asked for, keeps every gradient of a score instead.
   Convolutions on tensor cores take channels in eights: other numbers of channels are padded in a copy.
   tests/cuda/test_cuda_engines.c holds this against what the library says. */
#include "kernels/workspace.h"
#include "kernels/arena.h"
#include "kernels/cuda/attention/attention_merge.h"
#include "kernels/cuda/cuda.h"
#include "kernels/types.h"

/* Sizes in bytes, but TILE, which is rows. Where the ordered form wants more than ORDERED_MOST, as for a whole clip at
   full size, it takes the keys in pieces (attention_cudnn.h). */
enum { TILE = 128, LIBRARY_FORWARD = 4 << 20, ORDERED_MOST = 1 << 30, LIBRARY_CONV = 16 << 20 };

static size_t tiles(long rows) { return (size_t)((rows + TILE - 1) / TILE * TILE); }

static size_t library_backward(const struct attention_sizes *s) {
    size_t heads = (size_t)s->B * (size_t)s->H,
           gradient = arena_aligned(heads * tiles(s->S) * ((size_t)s->D + 1) * sizeof(real));
    size_t ordered = arena_aligned(heads * tiles(s->S) * tiles(s->longest) * sizeof(elem)) + gradient;
    if (ordered > ORDERED_MOST) ordered = ORDERED_MOST;
    return cuda_deterministic() && ordered > 2 * gradient ? ordered : 2 * gradient;
}

size_t attention_workspace(const struct attention_sizes *s, int backward) {
    size_t heads = (size_t)s->B * (size_t)s->H, rows = heads * (size_t)s->S, D = (size_t)s->D, of = sizeof(elem);
    size_t parts = s->ranges > 1 ? (size_t)s->ranges : 0, pitch = (size_t)attention_pitch(s->B, s->S, s->H);
    if (!backward)
        return arena_aligned(rows * D * parts * of) + arena_aligned(pitch * parts * sizeof(real)) + LIBRARY_FORWARD;
    size_t keys = parts ? arena_aligned(heads * (size_t)s->longest * D * of)
                        : 0; /* gradients of a history's keys, which are added to sums */
    return (parts ? arena_aligned(rows * D * of) : 0) + 2 * keys + library_backward(s);
}

static size_t copied(long positions, long channels) {
    return channels % 8 ? arena_aligned((size_t)(positions * ((channels + 7) / 8 * 8)) * sizeof(elem)) : 0;
}

size_t conv_workspace(long positions, long ci, long co) {
    return copied(positions, ci) + copied(positions, co) + LIBRARY_CONV;
}
