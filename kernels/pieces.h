/* pieces.h: things shared out between ranks or blocks as equally as can be: where the share of each begins. */
#ifndef KERNELS_PIECES_H
#define KERNELS_PIECES_H

/* Of n things in `count` pieces, where piece `piece` starts (piece == count: n); the first pieces have one more. */
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
