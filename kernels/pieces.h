/* pieces.h: divides things between ranks or blocks as equally as can be, and says where each one's piece begins. */
#ifndef KERNELS_PIECES_H
#define KERNELS_PIECES_H

/* Index of the first thing of piece `piece` when n things are divided into `count` pieces; n for piece == count. The
   first n % count pieces have one thing more than the others. */
static inline
#ifdef __CUDACC__
    __host__ __device__
#endif
    long
    piece_first(long n, long count, long piece) {
    long extra = n % count;
    return piece * (n / count) + (piece < extra ? piece : extra);
}

#endif
