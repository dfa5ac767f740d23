/* launch.h: the arithmetic of launches, which needs no device: how many blocks serve a number of
   elements, how a row is split over a block's threads, into how many parts the rows of a sum are cut.
   All counts are long, because arrays of more than 2^31 elements are common. The parts of a sum depend
   on sizes alone, so that bits do not depend on the device. */
#ifndef KERNELS_CUDA_LAUNCH_H
#define KERNELS_CUDA_LAUNCH_H

#include "kernels/pieces.h"

enum {
    BLOCK_THREADS = 256, /* pointwise kernels: eight warps, eight blocks fill a multiprocessor */
    GRID_MAX = 0x7fffffff,
    VECTOR = 8,                   /* elements of a vectorised load: 16 bytes of bf16, twice 16 of float */
    ROW_THREADS_MAX = 256,        /* threads of a row kernel that loads vectors */
    ROW_THREADS_MAX_SCALAR = 512, /* threads of one that does not */
    ROW_WIDTH_MAX = 8192
};

static inline long divide_up(long a, long b) { return (a + b - 1) / b; }

/* Number of blocks for n elements with `each` to a block; 0 for none, -1 when no grid is that long. */
static inline long launch_blocks(long n, long each) {
    if (n <= 0) return 0;
    long blocks = divide_up(n, each);
    return blocks <= GRID_MAX ? blocks : -1;
}

/* The divisor d in 32 bits, for numbers below GRID_MAX (blocks, rows, elements of what place_fits), because a 64-bit
   division costs as much as a pointwise kernel's memory traffic. A larger d
   becomes GRID_MAX, which gives the same: quotient 0 and the number itself as the rest. */
static inline
#ifdef __CUDACC__
    __host__ __device__
#endif
    unsigned
    place_divisor(long d) {
    return d < GRID_MAX ? (unsigned)d : GRID_MAX;
}

/* 1: places among n elements are below GRID_MAX, so that 32 bits hold them. */
static inline int place_fits(long n) { return n <= GRID_MAX; }

/* A row of d numbers kept in the registers of one block: thread t holds, for k < pieces, the `vector` numbers from
   (k threads + t) vector on. Few threads with several pieces each need fewer exchanges than many with one; beyond
   four pieces of eight a backward would not fit into registers. */
struct row_shape {
    int vector, pieces, threads; /* pieces 0: the row is too wide */
};
static inline struct row_shape row_shape(long d, int vectorised) {
    struct row_shape s = {vectorised ? VECTOR : 1, 0, 0};
    if (d < 1 || d > ROW_WIDTH_MAX) return s;
    long chunks = divide_up(d, s.vector);
    if (vectorised)
        s.pieces = chunks <= 128 ? 1 : chunks <= 256 ? 2 : chunks <= 384 ? 3 : 4;
    else
        s.pieces = chunks <= 256 ? 1 : chunks <= 1024 ? 4 : 16;
    s.threads = (int)divide_up(divide_up(chunks, s.pieces), 32) * 32;
    return s;
}

/* Number of parts into which each of `groups` groups of `rows` rows is cut for a sum over rows: enough blocks for any
   device, at least four rows to a part, and partial sums of at most `bytes` (0: one part). */
enum { SUM_BLOCKS = 1024 };
static inline long sum_parts(long groups, long rows, long bytes_per_part, long bytes) {
    long parts = divide_up(SUM_BLOCKS, groups), most = rows / 4, fit = bytes / (groups * bytes_per_part);
    if (parts > most) parts = most;
    if (parts > fit) parts = fit;
    return parts < 1 ? 1 : parts;
}

/* First row of part p out of `parts`; part p ends where p + 1 starts. */
static inline
#ifdef __CUDACC__
    __host__ __device__
#endif
    long
    part_start(long rows, long parts, long p) {
    return piece_first(rows, parts, p);
}

#endif
