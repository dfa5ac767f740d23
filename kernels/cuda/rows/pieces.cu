/* pieces.cu: rows cut in pieces for exchanges between ranks, and put together again: one kernel for all pieces. A
   thread moves one word of the rows, as wide as pointers and items allow, so that rows are read or written as whole
   lines and a piece's part of a row as one stretch. */
#include "kernels/cuda/kernel.cuh"
#include "kernels/pieces.h"

/* Sizes of rows and pieces, in words. */
struct cut_rows {
    long n, items, width, count;
};

/* Index, in the pieces, of word i of the rows [n, items, width]. */
__device__ static inline long place_in_pieces(const struct cut_rows &c, long i) {
    long row = i / (c.items * c.width), column = i - row * (c.items * c.width), item = column / c.width;
    long least = c.items / c.count, larger = c.items % c.count, of_larger = larger * (least + 1);
    long piece = item < of_larger ? item / (least + 1) : larger + (item - of_larger) / least;
    long first = piece_first(c.items, c.count, piece), size = piece_first(c.items, c.count, piece + 1) - first;
    return (c.n * first + row * size - first) * c.width + column;
}

template <class W> struct packed {
    W *pieces;
    const W *rows;
    struct cut_rows c;
    __device__ void at(long i) const { pieces[place_in_pieces(c, i)] = rows[i]; }
};
template <class W> struct unpacked {
    W *rows;
    const W *pieces;
    struct cut_rows c;
    __device__ void at(long i) const { rows[i] = pieces[place_in_pieces(c, i)]; }
};

template <template <class> class F, class W>
static void move(void *to, const void *from, long n, long items, long width, long count) {
    long words = width / (long)sizeof(W);
    for_each_one(F<W>{(W *)to, (const W *)from, {n, items, words, count}}, n * items * words);
}

/* Runs F with the widest word that divides items and pointers. */
template <template <class> class F>
static void move_words(void *to, const void *from, long n, long items, long width, long count) {
    unsigned long odd = (unsigned long)(uintptr_t)to | (unsigned long)(uintptr_t)from | (unsigned long)width;
    if (odd % 16 == 0)
        move<F, uint4>(to, from, n, items, width, count);
    else if (odd % 4 == 0)
        move<F, uint32_t>(to, from, n, items, width, count);
    else if (odd % 2 == 0)
        move<F, uint16_t>(to, from, n, items, width, count);
    else
        move<F, uint8_t>(to, from, n, items, width, count);
}

void pieces_pack(void *pieces, const void *rows, long n, long items, long width, long count) {
    move_words<packed>(pieces, rows, n, items, width, count);
}

void pieces_unpack(void *rows, const void *pieces, long n, long items, long width, long count) {
    move_words<unpacked>(rows, pieces, n, items, width, count);
}
