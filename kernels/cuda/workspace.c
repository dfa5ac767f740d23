/* workspace.c: what attention_cudnn.c takes from the workspace, piece by piece. The library says what an engine wants only on
   a device; its backward keeps a float gradient of the queries and their sums of dout o, in whole tiles of rows, and is given
   twice that. */
#include "kernels/workspace.h"
#include "kernels/types.h"

enum { TILE = 128, PIECE = 64 /* what a piece is rounded to */, LIBRARY_FORWARD = 4 << 20 };

static size_t piece(size_t bytes) { return (bytes + PIECE - 1) / PIECE * PIECE; }

size_t attention_workspace(const struct attention_sizes *s, int backward) {
    size_t heads = (size_t)s->B * (size_t)s->H, rows = heads * (size_t)s->S, D = (size_t)s->D, of = sizeof(elem);
    size_t parts = s->ranges > 1 ? (size_t)s->ranges : 0;
    if (!backward) return piece(rows * D * parts * of) + piece(rows * parts * sizeof(real)) + LIBRARY_FORWARD;
    size_t tiled = heads * (size_t)((s->S + TILE - 1) / TILE * TILE);
    size_t keys = parts ? piece(heads * (size_t)s->longest * D * of) : 0; /* those of a history: added to sums */
    return (parts ? piece(rows * D * of) : 0) + 2 * keys + 2 * piece(tiled * (D + 1) * sizeof(real));
}
