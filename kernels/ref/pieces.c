/* pieces.c: rows cut in pieces for exchanges between ranks, and put together again. */
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/device.h"
#include "kernels/pieces.h"

/* Copies columns [first, last), in bytes, of rows of `row` bytes. */
static void cut(char *piece, const char *rows, long n, long row, long first, long last) {
    for (long i = 0; i < n; i++) memcpy(piece + i * (last - first), rows + i * row + first, (size_t)(last - first));
}

static void put(char *rows, const char *piece, long n, long row, long first, long last) {
    for (long i = 0; i < n; i++) memcpy(rows + i * row + first, piece + i * (last - first), (size_t)(last - first));
}

void pieces_pack(void *pieces, const void *rows, long n, long items, long width, long count) {
    KERNEL_SCOPE;
    for (long r = 0; r < count && n; r++) {
        long first = piece_first(items, count, r) * width, last = piece_first(items, count, r + 1) * width;
        cut((char *)pieces + n * first, rows, n, items * width, first, last);
    }
}

void pieces_unpack(void *rows, const void *pieces, long n, long items, long width, long count) {
    KERNEL_SCOPE;
    for (long r = 0; r < count && n; r++) {
        long first = piece_first(items, count, r) * width, last = piece_first(items, count, r + 1) * width;
        put(rows, (const char *)pieces + n * first, n, items * width, first, last);
    }
}
