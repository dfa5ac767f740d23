/* tile.h: small dense products of data in the first cache, for attention.c: packing of rows, and C [m, n] = A B
   with the numbers of A broadcast one by one and B, C in rows of vectors.
   Operands are packed in cells of 32 bits. A cell is one float; or, where the processor multiplies bf16, two bf16 that
   are neighbours along the dimension that is summed over, and a product takes half as many instructions. So an operand
   comes in up to three layouts, named by what its cells run along (R rows of width W):
     rows     [R][W / CELL]   neighbours in a row: summed over the width
     pairs    [R / CELL][W]   neighbours in a column: summed over the rows
     columns  [W / CELL][R]   rows, transposed
   With CELL 1, rows and pairs are the same. Sums are float in either case. Widths are padded with zeros to LANES
   numbers, pairs with a row of zeros. */
#ifndef KERNELS_CPU_TILE_H
#define KERNELS_CPU_TILE_H

#include "kernels/cpu/simd.h"

#if defined(TYPE_BF16) && defined(__AVX512BF16__)
enum { CELL = 2 };
typedef elem number; /* type of the numbers in a cell */
SIMD void number_store(number *p, vec x) { elem_store_vec(p, x); }
SIMD vec cell_multiply_add(vec sum, float a, vec b) {
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)vec_set(a), (__m512bh)b);
}
/* Makes cells of LANES columns from CELL rows. */
SIMD vec cell_join(const vec rows[CELL]) {
    uvec even = __builtin_convertvector((hvec)_mm512_cvtneps_pbh((__m512)rows[0]), uvec);
    uvec odd = __builtin_convertvector((hvec)_mm512_cvtneps_pbh((__m512)rows[1]), uvec);
    return (vec)(even | odd << 16);
}
/* Loads LANES cells of a row of which n numbers are left; a row may start at any elem. */
typedef float cell_memory __attribute__((vector_size(64), aligned(2), may_alias));
SIMD vec cell_load(const elem *p, long n) {
    if (n >= LANES * CELL) return *(const cell_memory *)(const void *)p;
    elem part[LANES * CELL] = {0};
    for (long i = 0; i < n; i++) part[i] = p[i];
    return *(const cell_memory *)(const void *)part;
}
#else
enum { CELL = 1 };
typedef float number;
SIMD void number_store(number *p, vec x) { vec_store(p, x); }
SIMD vec cell_multiply_add(vec sum, float a, vec b) { return sum + a * b; }
SIMD vec cell_join(const vec rows[CELL]) { return rows[0]; }
SIMD vec cell_load(const elem *p, long n) { return elem_load_some(p, n); }
#endif

static inline long padded(long n) { return (n + LANES - 1) / LANES * LANES; }
static inline long cells(long n) { return (n + CELL - 1) / CELL; }

/* ---- packing: `rows` rows of D numbers, `pitch` apart ---- */

static inline void pack_rows(float *to, const elem *from, long pitch, long rows, long D) {
    long width = padded(D);
    number *row = (number *)(void *)to;
    for (long i = 0; i < rows; i++, row += width)
        for (long d = 0; d < width; d += LANES) number_store(row + d, elem_load_some(from + i * pitch + d, D - d));
}

static inline void pack_pairs(float *to, const elem *from, long pitch, long rows, long D) {
    long width = padded(D);
    for (long i = 0; i < rows; i += CELL)
        for (long d = 0; d < width; d += LANES) {
            vec pair[CELL];
            for (long c = 0; c < CELL; c++)
                pair[c] = i + c < rows ? elem_load_some(from + (i + c) * pitch + d, D - d) : vec_set(0);
            vec_store(to + i / CELL * width + d, cell_join(pair));
        }
}

/* Packs rows into columns. Columns are as long as the padded number of rows; rows past the end are zero. */
static inline void pack_columns(float *to, const elem *from, long pitch, long rows, long D) {
    long lanes = padded(rows), height = padded(D) / CELL;
    for (long i = 0; i < lanes; i += LANES)
        for (long d = 0; d < height; d += LANES) {
            vec block[LANES];
            for (long r = 0; r < LANES; r++)
                block[r] = i + r < rows ? cell_load(from + (i + r) * pitch + d * CELL, D - d * CELL) : vec_set(0);
            vec_transpose(block);
            for (long r = 0; r < LANES && d + r < height; r++) vec_store(to + (d + r) * lanes + i, block[r]);
        }
}

/* Writes float columns [padded D][padded rows], times a factor for each row, as rows of elem. */
static inline void unpack_columns(elem *to, long pitch, const float *from, const float *factor, long rows, long D) {
    long lanes = padded(rows);
    for (long i = 0; i < lanes; i += LANES)
        for (long d = 0; d < padded(D); d += LANES) {
            vec block[LANES];
            for (long r = 0; r < LANES; r++) block[r] = vec_load(from + (d + r) * lanes + i) * vec_load(factor + i);
            vec_transpose(block);
            for (long r = 0; r < LANES && i + r < rows; r++) elem_store_some(to + (i + r) * pitch + d, block[r], D - d);
        }
}

/* Writes rows of the padded width, times factor, to where a range wants gradients:
   assigned to elem `to`, added to real `to_sum`. NULL: not wanted. */
static inline void unpack_gradient(elem *to, real *to_sum, const float *from, float factor, long pitch, long rows,
                                   long D) {
    for (long i = 0; i < rows; i++)
        for (long d = 0; d < D; d += LANES) {
            vec x = vec_load(from + i * padded(D) + d) * factor;
            if (to) elem_store_some(to + i * pitch + d, x, D - d);
            if (to_sum) {
                real *sum = to_sum + i * pitch + d;
                vec_store_some(sum, vec_load_some(sum, D - d) + x, D - d);
            }
        }
}

/* ---- the product ---- */

/* Most rows of a block, so that its sums and the two vectors of B stay in registers: AVX-512 has 32 of them, others 16.
   Fewer than FEW_ROWS leave the multipliers idle: an addition takes four turns, and two can begin in each. */
enum { BLOCK_ROWS = LANES == 16 ? 8 : 6, FEW_ROWS = 4 };

/* `rows` x `vectors` vectors of C = add C + sum over l of A (i, l) = a[i a_row + l a_col]
   times row l of B; add: 0 or 1. cell: numbers in a cell. */
SIMD void product_block(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                        long k, int rows, int vectors, int add, int cell) {
    vec sum[BLOCK_ROWS][2];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) sum[i][j] = add ? vec_load(c + i * c_row + j * LANES) : vec_set(0);
    for (long l = 0; l < k; l++) {
        vec right[2];
        for (int j = 0; j < vectors; j++) right[j] = vec_load(b + l * b_row + j * LANES);
        for (int i = 0; i < rows; i++) {
            float left = a[i * a_row + l * a_col];
            for (int j = 0; j < vectors; j++)
                sum[i][j] = cell > 1 ? cell_multiply_add(sum[i][j], left, right[j]) : sum[i][j] + left * right[j];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) vec_store(c + i * c_row + j * LANES, sum[i][j]);
}

/* Takes blocks of BLOCK_ROWS, but such that what is left at the end is blocks of FEW_ROWS as often as that goes. */
SIMD void product_columns(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                          long m, long k, int vectors, int add, int cell) {
    long i = 0, large = m / BLOCK_ROWS;
    if (large && m % BLOCK_ROWS % FEW_ROWS == FEW_ROWS - BLOCK_ROWS % FEW_ROWS) large--;
    for (; large; large--, i += BLOCK_ROWS)
        product_block(c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k, BLOCK_ROWS, vectors, add, cell);
    for (; i + FEW_ROWS <= m; i += FEW_ROWS)
        product_block(c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k, FEW_ROWS, vectors, add, cell);
    for (; i < m; i++)
        product_block(c + i * c_row, c_row, a + i * a_row, a_row, a_col, b, b_row, k, 1, vectors, add, cell);
}

SIMD void product(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row, long m,
                  long n, long k, int add, int cell) {
    long j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        product_columns(c + j, c_row, a, a_row, a_col, b + j, b_row, m, k, 2, add, cell);
    if (j < n) product_columns(c + j, c_row, a, a_row, a_col, b + j, b_row, m, k, 1, add, cell);
}
/* C [m, n] = A [m, k] B [k, n], n a multiple of LANES, k and all distances in cells. */
static inline void product_set(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                               long m, long n, long k) {
    product(c, c_row, a, a_row, a_col, b, b_row, m, n, k, 0, CELL);
}
/* C += A B */
static inline void product_add(float *c, long c_row, const float *a, long a_row, long a_col, const float *b, long b_row,
                               long m, long n, long k) {
    product(c, c_row, a, a_row, a_col, b, b_row, m, n, k, 1, CELL);
}
/* The same of floats, whatever a cell is. */
static inline void product_floats_set(float *c, long c_row, const float *a, long a_row, long a_col, const float *b,
                                      long b_row, long m, long n, long k) {
    product(c, c_row, a, a_row, a_col, b, b_row, m, n, k, 0, 1);
}
static inline void product_floats_add(float *c, long c_row, const float *a, long a_row, long a_col, const float *b,
                                      long b_row, long m, long n, long k) {
    product(c, c_row, a, a_row, a_col, b, b_row, m, n, k, 1, 1);
}

#endif
